package annals_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/annals-db/annals"

// arrow says what the packages that match of may import from this module, by
// their paths in it ("." is the root, "a/..." is a and all below), and which
// other modules they may link. A package is judged by the first arrow that
// matches it.
type arrow struct {
	of      string
	imports []string
	links   []string // "*" is any
	testing bool     // it is there to be imported by tests
}

// arrows are those of the design: driver at the bottom, one handle at the root.
var arrows = []arrow{
	{of: ".", imports: []string{"driver", "codec"}, links: []string{"github.com/google/uuid", "github.com/cenkalti/backoff", "github.com/go-json-experiment/json"}},
	{of: "driver", links: []string{"github.com/google/uuid"}},
	{of: "codec", imports: []string{"driver"}, links: []string{"github.com/google/uuid", "github.com/go-json-experiment/json"}},
	{of: "codec/...", imports: []string{"codec", "driver"}, links: []string{"*"}},

	{of: "drivertest", imports: []string{"driver", "memstore", "internal/..."}, links: []string{"*"}, testing: true},
	{of: "annalstest", imports: []string{".", "driver", "codec", "memstore", "internal/..."}, links: []string{"*"}, testing: true},
	{of: "filestore/simtest", imports: []string{"driver", "filestore", "internal/..."}, links: []string{"*"}, testing: true},

	{of: "memstore", imports: []string{"driver", "internal/..."}, links: []string{"github.com/google/uuid"}},
	{of: "filestore/...", imports: []string{"driver", "filestore", "internal/..."}, links: []string{"*"}},
	{of: "sqlitestore/...", imports: []string{"driver", "internal/..."}, links: []string{"*"}},
	{of: "pgstore/...", imports: []string{"driver", "internal/..."}, links: []string{"*"}},
	{of: "httpstore/...", imports: []string{"driver", "internal/..."}, links: []string{"*"}},
	{of: "replica/...", imports: []string{"driver", "filestore", "internal/..."}, links: []string{"*"}},
	{of: "internal/...", imports: []string{"driver", "internal/..."}, links: []string{"*"}},

	{of: "move", imports: []string{"driver", "internal/..."}, links: []string{"github.com/google/uuid", "github.com/go-json-experiment/json"}},
	{of: "stores", imports: []string{"driver", "memstore", "filestore", "sqlitestore", "pgstore", "replica", "move", "internal/..."}, links: []string{"*"}},
	{of: "projection/...", imports: []string{".", "driver", "codec", "projection/...", "internal/..."}, links: []string{"*"}},
	{of: "group/...", imports: []string{".", "driver", "codec", "internal/..."}, links: []string{"*"}},
	{of: "process/...", imports: []string{".", "driver", "codec", "projection", "group", "internal/..."}, links: []string{"*"}},
	{of: "relay/...", imports: []string{".", "driver", "codec", "relay", "internal/..."}, links: []string{"*"}},
	{of: "audit/...", imports: []string{"driver", "internal/..."}, links: []string{"*"}},
	{of: "history/...", imports: []string{".", "driver", "codec", "internal/..."}, links: []string{"*"}},
	{of: "collab/...", imports: []string{".", "driver", "codec", "history", "undo", "collab", "internal/..."}, links: []string{"*"}},
	{of: "undo/...", imports: []string{".", "driver", "codec", "history", "internal/..."}, links: []string{"*"}},
	{of: "collab/...", imports: []string{".", "driver", "codec", "internal/..."}, links: []string{"*"}},

	// These work on raw records, and need no Go types, so not the root either. What they
	// show of states is that of history, which works on folds as well as on models.
	{of: "server/...", imports: []string{"driver", "internal/...", "server/..."}, links: []string{"*"}},
	{of: "studio/...", imports: []string{"driver", "history", "internal/...", "studio/..."}, links: []string{"*"}},
	{of: "cmd/...", imports: []string{"driver", "history", "memstore", "filestore", "sqlitestore", "pgstore", "httpstore", "replica", "move", "stores", "projection/...", "group", "process", "relay/...", "audit", "server", "studio", "internal/...", "cmd/..."}, links: []string{"*"}},

	{of: "bench/...", imports: []string{"..."}, links: []string{"*"}},
	{of: "examples/...", imports: []string{"..."}, links: []string{"*"}},
	{of: "docs/...", imports: []string{"..."}, links: []string{"*"}},
}

// listed is what go list says of a package.
type listed struct {
	ImportPath string
	Imports    []string // without those of its tests
	Deps       []string
}

// A program links only the store it uses, and data flows one way.
func TestImportArrowsHold(t *testing.T) {
	for _, system := range []string{"linux", "darwin", "windows"} {
		for _, broken := range brokenArrows(goList(t, system)) {
			t.Errorf("%s: %s", system, broken)
		}
	}
}

// TestImportArrowsCanBreak lays a file with an import that is not allowed over
// the packages as they are.
func TestImportArrowsCanBreak(t *testing.T) {
	for _, c := range []struct{ file, imports, want string }{
		{"zz.go", module + "/memstore", ". imports memstore"},
		{"zz.go", "testing", ". imports testing, which only test-support packages may"},
		{"driver/zz.go", module + "/internal/when", "driver imports internal/when"},
		{"driver/zz.go", "github.com/spf13/cobra", "driver links github.com/spf13/cobra"},
		{"driver/zz.go", "github.com/spf13/cobra", ". links github.com/spf13/cobra"}, // by way of driver
		{"memstore/zz.go", module, "memstore imports ."},
		{"filestore/zz.go", module + "/memstore", "filestore imports memstore"},
		{"filestore/zz.go", "testing/quick", "filestore imports testing/quick, which only test-support packages may"},
		{"internal/when/zz.go", module + "/codec", "internal/when imports codec"},
		{"cmd/annals/zz.go", module, "cmd/annals imports ."},
		{"unheardof/zz.go", "fmt", "no arrow says what unheardof may import"},
	} {
		t.Run(c.file+" imports "+c.imports, func(t *testing.T) {
			broken := brokenArrows(goList(t, "linux", "-overlay="+overlay(t, c.file, c.imports)))
			if !slices.ContainsFunc(broken, func(b string) bool { return strings.HasPrefix(b, c.want) }) {
				t.Errorf("found %q, want %q", broken, c.want)
			}
		})
	}
}

// brokenArrows says each import that is not allowed.
func brokenArrows(packages []listed) (broken []string) {
	for _, p := range packages {
		from, ours := within(p.ImportPath)
		if !ours {
			continue
		}
		n := slices.IndexFunc(arrows, func(a arrow) bool { return matchesPath(a.of, from) })
		if n < 0 {
			broken = append(broken, fmt.Sprintf("no arrow says what %s may import: add one to arch_test.go", from))
			continue
		}
		a := arrows[n]
		for _, i := range p.Imports {
			to, ours := within(i)
			if ours && !slices.ContainsFunc(a.imports, func(m string) bool { return matchesPath(m, to) }) {
				broken = append(broken, fmt.Sprintf("%s imports %s; of this module it may import %v", from, to, a.imports))
			}
			if (i == "testing" || strings.HasPrefix(i, "testing/")) && !a.testing {
				broken = append(broken, fmt.Sprintf("%s imports %s, which only test-support packages may", from, i))
			}
		}
		for _, d := range p.Deps {
			if foreign(d) && !slices.ContainsFunc(a.links, func(m string) bool { return m == "*" || d == m || strings.HasPrefix(d, m+"/") }) {
				broken = append(broken, fmt.Sprintf("%s links %s; of other modules it may link %v", from, d, a.links))
			}
		}
	}
	return broken
}

// within returns the path of a package in this module, "." for its root.
func within(path string) (string, bool) {
	if path == module {
		return ".", true
	}
	return strings.CutPrefix(path, module+"/")
}

// foreign reports whether path is of another module: its first element has a dot.
func foreign(path string) bool {
	_, ours := within(path)
	first, _, _ := strings.Cut(path, "/")
	return !ours && strings.Contains(first, ".")
}

// matchesPath reports whether path is pattern or, where that ends in "...", below it.
func matchesPath(pattern, path string) bool {
	below, ok := strings.CutSuffix(pattern, "...")
	return pattern == path || ok && (strings.HasPrefix(path, below) || path+"/" == below)
}

// goList lists the packages of the module as built for an operating system.
func goList(t *testing.T, system string, flags ...string) (packages []listed) {
	t.Helper()
	args := append([]string{"list", "-json=ImportPath,Imports,Deps"}, flags...)
	cmd := exec.Command("go", append(args, "./...")...)
	cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%s: %v\n%s", cmd, err, exit.Stderr)
		}
		t.Fatalf("%s: %v", cmd, err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); err == io.EOF {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// overlay returns an overlay for the go command that adds a file with an import.
func overlay(t *testing.T, file, imports string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(filepath.Dir(filepath.Join(dir, file)))
	switch filepath.Dir(file) {
	case ".":
		name = "annals"
	case "cmd/annals":
		name = "main"
	}
	added := filepath.Join(t.TempDir(), "added.go")
	if err := os.WriteFile(added, fmt.Appendf(nil, "package %s\n\nimport _ %q\n", name, imports), 0o600); err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(dir, file): added}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(path, replace, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
