package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// A block of "console" is a session: the lines after "$ " are run in a shell,
// all those of a page in one directory, and print what follows them. What
// differs each time, such as an ID, is written "…".
var (
	session = regexp.MustCompile("(?m)^```console\n((?s).*?)^```$")
	prompt  = regexp.MustCompile(`(?m)^\$ .*\n`)
	fleeing = regexp.MustCompile(`([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{64}|\d{4}-\d\d-\d\dT[0-9:.]+Z)` +
		`|(("seconds"|"per_second"|"bytes_copied"|"bytes_there"):)[0-9.]*[1-9][0-9.]*|("seconds":)0[0.]*`)
)

func TestSessionsPrintWhatThePagesSay(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the sessions need a POSIX shell")
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin, "./cmd/annals")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, page := range pages(t) {
		text := read(t, page)
		if !session.MatchString(text) {
			continue
		}
		t.Run(page, func(t *testing.T) {
			dir := t.TempDir()
			fresh := session.ReplaceAllStringFunc(text, func(found string) string {
				was := session.FindStringSubmatch(found)[1]
				var is strings.Builder
				for _, command := range prompt.FindAllString(was, -1) {
					is.WriteString(command + shell(t, dir, bin, strings.TrimPrefix(command, "$ ")))
				}
				if is.String() != was && !*update {
					t.Errorf("the session is not as it says; run go test ./docs -update\ngot\n%s\nthe page has\n%s", is.String(), was)
				}
				return "```console\n" + is.String() + "```"
			})
			if fresh != text && *update {
				if err := os.WriteFile(filepath.Join(root, page), []byte(fresh), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// shell returns what command prints, in dir, with programs from bin.
func shell(t *testing.T, dir, bin, command string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "ANNALS_STORE=", "ANNALS_CONFIG=")
	out, _ := cmd.CombinedOutput() // a command may fail: the page shows how
	return fleeing.ReplaceAllString(string(out), "$3$5…")
}
