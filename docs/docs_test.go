// Package docs_test keeps the documentation true: the code in it is code that
// is compiled and tested elsewhere, and its links lead somewhere.
//
// In a page, a comment before a block of code names where the code is:
//
//	<!-- code: docs/guide/conflicts_test.go#transfer -->
//
// is the lines between "// code: transfer" and "// end" in that file; without
// a name, it is the whole file. Likewise "output:" is what an example there says
// it prints. After a change of the code run
//
//	go test ./docs -update
package docs_test

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the code into the pages")

const root = ".."

// pages returns every page, by its path from the root.
func pages(t *testing.T) []string {
	t.Helper()
	found := []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			rel, _ := filepath.Rel(root, path)
			found = append(found, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

var block = regexp.MustCompile("(?m)^(?:<!-- (code|output): ([^ #]+)(?:#(\\S+))? -->\n)?```(\\w*)\n((?s).*?)^```$")

func TestCodeInThePagesIsCompiled(t *testing.T) {
	for _, page := range pages(t) {
		t.Run(page, func(t *testing.T) {
			text := read(t, page)
			fresh := block.ReplaceAllStringFunc(text, func(found string) string {
				m := block.FindStringSubmatch(found)
				kind, path, name, language, code := m[1], m[2], m[3], m[4], m[5]
				if kind == "" {
					if language == "go" {
						t.Errorf("a block of Go does not say where it is compiled:\n%s", code)
					}
					return found
				}
				want := source(t, kind, path, name)
				if code != want && !*update {
					t.Errorf("%s: the block is not that of %s %s; run go test ./docs -update\n%s", kind, path, name, code)
				}
				return strings.TrimSuffix(found, code+"```") + want + "```"
			})
			if fresh != text && *update {
				if err := os.WriteFile(filepath.Join(root, page), []byte(fresh), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// source returns the text that a comment names.
func source(t *testing.T, kind, path, name string) string {
	t.Helper()
	text := read(t, path)
	if kind == "output" {
		return output(t, path, name, text)
	}
	if name == "" {
		return text
	}
	_, rest, begins := strings.Cut(text, "// code: "+name+"\n")
	region, _, ends := strings.Cut(rest, "// end\n")
	if !begins || !ends {
		t.Fatalf("%s has no %q", path, name)
	}
	lines := strings.Split(strings.TrimRight(region, "\t \n"), "\n")
	indent := len(lines[0]) - len(strings.TrimLeft(lines[0], "\t"))
	for i, l := range lines {
		lines[i] = strings.TrimPrefix(l, strings.Repeat("\t", indent))
	}
	return strings.Join(lines, "\n") + "\n"
}

// output returns what the example name says it prints.
func output(t *testing.T, path, name, text string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, "func Example"+name+"() {")
	_, rest, says := strings.Cut(rest, "// Output:")
	comment, _, _ := strings.Cut(rest, "\n}")
	if !found || !says {
		t.Fatalf("%s has no output of Example%s", path, name)
	}
	var out []string
	for l := range strings.SplitSeq(strings.TrimSpace(comment), "\n") {
		out = append(out, strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(l), "//"), " "))
	}
	return strings.Join(out, "\n") + "\n"
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	for _, page := range pages(t) {
		t.Run(page, func(t *testing.T) {
			for _, m := range link.FindAllStringSubmatch(block.ReplaceAllString(read(t, page), ""), -1) {
				target, anchor, _ := strings.Cut(m[1], "#")
				if strings.Contains(m[1], "://") {
					continue
				}
				path := page
				if target != "" {
					path = filepath.Join(filepath.Dir(page), target)
				}
				if _, err := os.Stat(filepath.Join(root, path)); err != nil {
					t.Errorf("%s: %v", m[0], err)
				} else if anchor != "" && !strings.Contains(anchors(read(t, path)), " "+anchor+" ") {
					t.Errorf("%s: no such heading", m[0])
				}
			}
		})
	}
}

// anchors returns the anchors of the headings of a page, with a space around each.
func anchors(text string) string {
	out := " "
	for l := range strings.SplitSeq(text, "\n") {
		if title := strings.TrimLeft(l, "#"); title != l {
			title = regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
			out += strings.ReplaceAll(title, " ", "-") + " "
		}
	}
	return out
}

var requirement = regexp.MustCompile(`(?m)^(?:require )?\t?(\S+\.\S+/\S+) v\S+$`)

func TestEveryDependencyHasItsReason(t *testing.T) {
	listed := read(t, "docs/dependencies.md")
	direct := requirement.FindAllStringSubmatch(read(t, "go.mod"), -1)
	if len(direct) < 3 {
		t.Fatalf("only %d direct dependencies in go.mod", len(direct))
	}
	for _, m := range direct {
		name := strings.TrimPrefix(regexp.MustCompile(`/v\d+$`).ReplaceAllString(m[1], ""), "github.com/")
		if !strings.Contains(listed, "["+name+"]") {
			t.Errorf("docs/dependencies.md does not say why there is %s", m[1])
		}
	}
}
