package gitlog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/gitlog"
	"github.com/annals-db/annals/memstore"
)

// repo is a repository made by a test.
type repo struct {
	*testing.T
	dir   string
	clock int64
}

func newRepo(t *testing.T) *repo {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git")
	}
	r := &repo{t, t.TempDir(), 1_600_000_000}
	r.git("init", "-q", "-b", "main")
	return r
}

func (r *repo) git(args ...string) string {
	r.Helper()
	cmd := exec.Command("git", append([]string{"-C", r.dir, "-c", "protocol.file.allow=always"}, args...)...)
	r.clock += 60
	date := fmt.Sprintf("@%d +0000", r.clock)
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.org", "GIT_COMMITTER_NAME=Bob", "GIT_COMMITTER_EMAIL=bob@example.org",
		"GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil && args[0] != "merge" {
		r.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r *repo) write(name, text string) {
	r.Helper()
	path := filepath.Join(r.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		r.Fatal(err)
	}
}

func (r *repo) commit(message string) string {
	r.Helper()
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "--allow-empty-message", "-m", message)
	return r.git("rev-parse", "HEAD")
}

func (r *repo) open() *gitlog.Repository {
	r.Helper()
	g, err := gitlog.Open(r.Context(), r.dir)
	if err != nil {
		r.Fatal(err)
	}
	return g
}

func (r *repo) into(log driver.Log, o *gitlog.Options) gitlog.Summary {
	r.Helper()
	s, err := gitlog.Import(r.Context(), log, r.open(), o)
	if err != nil {
		r.Fatal(err)
	}
	return s
}

// lines returns "stream version type actor" of every record, in order.
func lines(t *testing.T, log driver.Log) (list []string) {
	t.Helper()
	for r, err := range log.Read(t.Context(), driver.Query{}, driver.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%s %d %s", r.Stream, r.Version, r.Type))
	}
	return list
}

func is(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestChanges(t *testing.T) {
	r := newRepo(t)
	r.write("a.txt", "one\ntwo\nthree\nfour\n")
	r.write("dir/run.sh", "echo\n")
	r.commit("first\n\nwith a body")
	r.write("a.txt", "one\ntwo\nthree\nfive\n")
	if err := os.Chmod(filepath.Join(r.dir, "dir/run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.commit("second")
	r.git("mv", "a.txt", "b.txt")
	r.commit("third")
	r.git("rm", "-q", "dir/run.sh")
	r.commit("fourth")
	r.commit("") // changes nothing and says nothing
	if err := os.Remove(filepath.Join(r.dir, "b.txt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("elsewhere", filepath.Join(r.dir, "b.txt")); err != nil {
		t.Fatal(err)
	}
	r.commit("sixth")
	log := memstore.New(nil)
	s := r.into(log, nil)
	is(t, lines(t, log),
		"branch-main 1 Committed", "file-a.txt 1 FileAdded", "file-dir/run.sh 1 FileAdded",
		"branch-main 2 Committed", "file-a.txt 2 FileModified", "file-dir/run.sh 2 FileModeChanged",
		"branch-main 3 Committed", "file-b.txt 1 FileRenamed", "file-a.txt 3 FileMovedAway",
		"branch-main 4 Committed", "file-dir/run.sh 3 FileDeleted",
		"branch-main 5 Committed",
		"branch-main 6 Committed", "file-b.txt 2 FileTypeChanged",
		"branch-main 7 BranchMoved")
	if s.Commits != 6 || s.Added != 15 || s.Known != 0 || s.First != 1 || s.Last != 15 || s.Branches != 1 {
		t.Errorf("summary %+v", s)
	}
	var records []driver.Record
	for rec, err := range log.Read(t.Context(), driver.Query{}, driver.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, rec)
	}
	first := records[0]
	var data struct{ Commit, Message, Author, Email, Committed string }
	if err := json.Unmarshal(first.Data, &data); err != nil || data.Message != "first\n\nwith a body" || data.Author != "Ann" || data.Email != "ann@example.org" {
		t.Errorf("data %+v, %v", data, err)
	}
	if first.Metadata.Value("actor") != "Ann" || first.Metadata.Value("reason") != "first" || first.Metadata.Value("causation") != "" ||
		first.Occurred.Format(time.RFC3339) != data.Committed || first.Metadata.Value("correlation") != data.Commit {
		t.Errorf("first %+v", first)
	}
	if records[3].Metadata.Value("causation") != first.ID.String() || records[4].Metadata.Value("causation") != records[3].ID.String() {
		t.Error("causes are wrong")
	}
	var modified, renamed map[string]any
	if err := errors.Join(json.Unmarshal(records[4].Data, &modified), json.Unmarshal(records[7].Data, &renamed)); err != nil {
		t.Fatal(err)
	}
	if modified["blob"] != r.git("rev-parse", "HEAD~4:a.txt") || modified["before"] != r.git("rev-parse", "HEAD~5:a.txt") || modified["mode"] != "100644" {
		t.Errorf("modified %v", modified)
	}
	if renamed["from"] != "a.txt" || renamed["path"] != "b.txt" {
		t.Errorf("renamed %v", renamed)
	}
}

func TestMerge(t *testing.T) {
	r := newRepo(t)
	r.write("shared", "1\n2\n3\n")
	r.commit("base")
	r.git("checkout", "-q", "-b", "side")
	r.write("shared", "1\nside\n3\n")
	r.write("new", "x\n")
	r.commit("on side")
	r.git("checkout", "-q", "main")
	r.write("shared", "1\nmain\n3\n")
	r.commit("on main")
	r.git("merge", "-q", "side")
	r.write("shared", "1\nboth\n3\n")
	r.commit("merged")
	log := memstore.New(nil)
	r.into(log, nil)
	got := lines(t, log)
	is(t, got[len(got)-4:], "branch-main 4 Committed", "file-shared 4 FileModified", "branch-main 5 BranchMoved", "branch-side 1 BranchMoved")
	// What merged cleanly is told by the commit that did it, once.
	n := 0
	for _, l := range got {
		if strings.HasPrefix(l, "file-new") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d events of file-new", n)
	}
}

func TestAgain(t *testing.T) {
	r := newRepo(t)
	for i := range 20 {
		r.write(fmt.Sprintf("f%d", i%3), fmt.Sprint(i))
		r.commit(fmt.Sprint("commit ", i))
	}
	log := memstore.New(nil)
	whole := r.into(log, nil)
	if s := r.into(log, nil); s.Added != 0 || s.Commits != 0 {
		t.Errorf("a second run: %+v", s)
	}
	r.write("f0", "more")
	r.commit("more")
	if s := r.into(log, nil); s.Added != 3 || s.Commits != 1 || s.First != whole.Last+1 {
		t.Errorf("after a commit: %+v", s)
	}
	r.git("branch", "twin")
	if s := r.into(log, nil); s.Added != 1 || s.Commits != 0 {
		t.Errorf("after a branch: %+v", s)
	}
	r.write("f1", "amended")
	r.git("add", "-A")
	r.git("commit", "-q", "--amend", "-m", "rewritten")
	if s := r.into(log, nil); s.Commits != 1 || s.Known != 0 || s.Added < 3 {
		t.Errorf("after a rewrite: %+v", s)
	}
	if s := r.into(log, nil); s.Added != 0 {
		t.Errorf("a last run: %+v", s)
	}

	t.Run("what was broken off is gone on with", func(t *testing.T) {
		log := memstore.New(nil)
		ctx, cancel := context.WithCancel(t.Context())
		for c, err := range r.open().Commits(ctx, []gitlog.Branch{{Ref: "refs/heads/main", Name: "main"}}, nil) {
			if err != nil {
				t.Fatal(err)
			}
			_ = c
			break // leaving the loop ends git
		}
		cancel()
		if _, err := gitlog.Import(ctx, log, r.open(), nil); err == nil {
			t.Fatal("an import went on after its context")
		}
		half := &limited{Log: log, left: 9}
		if _, err := gitlog.Import(t.Context(), half, r.open(), nil); !errors.Is(err, errLimited) {
			t.Fatalf("got %v", err)
		}
		info, _ := log.Info(t.Context())
		s := r.into(log, nil)
		if s.Known == 0 || s.Known != int(info.Head) {
			t.Errorf("%d events were there, %+v", info.Head, s)
		}
		other := memstore.New(nil)
		r.into(other, nil)
		is(t, lines(t, log), lines(t, other)...)
	})
	t.Run("two repositories fit one log", func(t *testing.T) {
		log := memstore.New(nil)
		one, two := r.into(log, &gitlog.Options{Prefix: "one"}), r.into(log, &gitlog.Options{Prefix: "two"})
		if one.Added != two.Added || two.Known != 0 {
			t.Errorf("%+v, %+v", one, two)
		}
		if l := lines(t, log); !strings.HasPrefix(l[1], "file-one/f0 ") {
			t.Errorf("got %s", l[1])
		}
	})
}

// limited is a log that takes but so many appends.
type limited struct {
	driver.Log
	left int
}

var errLimited = errors.New("no more")

func (l *limited) Append(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
	if l.left--; l.left < 0 {
		return driver.Receipt{}, errLimited
	}
	return l.Log.Append(ctx, b)
}

func TestTimes(t *testing.T) {
	r := newRepo(t)
	r.write("a", "1")
	r.commit("one")
	r.clock -= 10_000 // a clock that runs back
	r.write("a", "2")
	r.commit("two")
	r.clock += 20_000
	r.write("a", "3")
	r.commit("three")
	log := memstore.New(nil)
	r.into(log, &gitlog.Options{Times: true})
	var last time.Time
	var versions []string
	for rec, err := range log.Read(t.Context(), driver.Query{Items: []driver.Item{{Streams: []string{"file-a"}}}}, driver.ReadOptions{}) {
		if err != nil || rec.Time.Before(last) {
			t.Fatalf("%v, %v after %v", err, rec.Time, last)
		}
		last = rec.Time
		versions = append(versions, fmt.Sprint(rec.Time.Unix()-rec.Occurred.Unix()))
	}
	is(t, versions, "0", versions[1], "0")
	if versions[1] == "0" {
		t.Error("the time ran back")
	}
	fresh := newRepo(t)
	fresh.clock -= 1_000_000
	fresh.write("b", "1")
	fresh.commit("before")
	if _, err := gitlog.Import(t.Context(), log, fresh.open(), &gitlog.Options{Times: true, Prefix: "x"}); err == nil || !strings.Contains(err.Error(), "position") {
		t.Errorf("got %v", err)
	}
}

func TestOddNames(t *testing.T) {
	r := newRepo(t)
	names := []string{`quo"te`, "new\nline", "tab\t", "per%cent", "caf\u00e9", "latin\xe9", "-dash", " space ", ":colon", "commit x", "back\\slash", "\x7f\x1b[31m",
		strings.Repeat("long/", 50) + strings.Repeat("x", 200)}
	for _, n := range names {
		r.write(n, n)
	}
	r.commit("odd \xe9 message")
	for _, n := range names {
		r.write(n, n+n)
	}
	r.commit("again")
	log := memstore.New(&memstore.Options{Limits: shortNames()})
	r.into(log, nil)
	seen := map[string]int{}
	for rec, err := range log.Read(t.Context(), driver.Query{Items: []driver.Item{{Category: "file"}}}, driver.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		var data struct{ Path string }
		if err := json.Unmarshal(rec.Data, &data); err != nil {
			t.Fatal(err)
		}
		path, err := gitlog.Unescape(data.Path)
		if err != nil {
			t.Fatal(err)
		}
		seen[path]++
		if name, err := gitlog.Unescape(strings.TrimPrefix(rec.Stream, "file-")); len(rec.Stream) < 300 && (err != nil || name != path) {
			t.Errorf("stream %q, %v, of %q", rec.Stream, err, path)
		}
		if strings.ContainsAny(rec.Stream, "\n\t\x1b") {
			t.Errorf("stream %q has control characters", rec.Stream)
		}
	}
	for _, n := range names {
		if seen[n] != 2 {
			t.Errorf("%q has %d events", n, seen[n])
		}
	}
}

func shortNames() driver.Limits {
	l := driver.DefaultLimits
	l.NameBytes = 400
	return l
}

func TestEscape(t *testing.T) {
	for name, want := range map[string]string{"plain/a.go": "plain/a.go", "a%b": "a%25b", "a\nb": "a%0Ab", "\xff": "%FF", "é": "é", "\u0085": "%C2%85", "\ufffd": "\ufffd"} {
		if got := gitlog.Escape(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
	for _, bad := range []string{"%", "%1", "%zz"} {
		if _, err := gitlog.Unescape(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("a%\n\xff")
	f.Fuzz(func(t *testing.T, name string) {
		if back, err := gitlog.Unescape(gitlog.Escape(name)); err != nil || back != name {
			t.Fatalf("%q comes back as %q, %v", name, back, err)
		}
	})
}

func TestKinds(t *testing.T) {
	r := newRepo(t)
	empty := r.open()
	s := r.into(memstore.New(nil), nil)
	if s.Branches != 0 || !strings.Contains(empty.Describe(s), "no commits") {
		t.Errorf("empty: %+v, %q", s, empty.Describe(s))
	}
	for i := range 5 {
		r.write("a", fmt.Sprint(i))
		r.commit(fmt.Sprint(i))
	}
	log := memstore.New(nil)
	r.into(log, nil)
	want := lines(t, log)

	clone := func(args ...string) *repo {
		dir := filepath.Join(t.TempDir(), "clone.git")
		r.git(append(append([]string{"clone", "-q"}, args...), "file://"+r.dir, dir)...)
		return &repo{r.T, dir, r.clock}
	}
	bare := clone("--bare")
	log = memstore.New(nil)
	bare.into(log, nil)
	is(t, lines(t, log), want...)
	if g := bare.open(); !g.Bare || g.Shallow || g.Name() != "clone" {
		t.Errorf("bare: %+v, %s", g, g.Name())
	}
	shallow := clone("--depth", "2")
	log = memstore.New(nil)
	s = shallow.into(log, nil)
	is(t, lines(t, log), "branch-main 1 Committed", "file-a 1 FileAdded", "branch-main 2 Committed", "file-a 2 FileModified", "branch-main 3 BranchMoved")
	if g := shallow.open(); !g.Shallow || !strings.Contains(g.Describe(s), "shallow") {
		t.Errorf("shallow: %+v", g)
	}
	r.git("checkout", "-q", "--detach", "HEAD~1")
	r.write("a", "detached")
	r.commit("on no branch")
	log = memstore.New(nil)
	r.into(log, nil)
	if got := lines(t, log); got[len(got)-1] != "branch-HEAD 2 BranchMoved" || got[0] != "branch-main 1 Committed" {
		t.Errorf("detached: got %v", got)
	}
}

func TestWhatIsNoRepository(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(dir))
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, file, filepath.Join(dir, "ghost")} {
		if _, err := gitlog.Open(t.Context(), path); !errors.Is(err, gitlog.ErrNotRepository) {
			t.Errorf("%s: got %v", path, err)
		}
	}
	t.Setenv("PATH", dir)
	if _, err := gitlog.Open(t.Context(), dir); !errors.Is(err, driver.ErrUnavailable) || !strings.Contains(err.Error(), "git command") {
		t.Errorf("without git: got %v", err)
	}
}

// TestCounts checks the numbers of events against another reading of the log.
func TestCounts(t *testing.T) {
	g, err := gitlog.Open(t.Context(), "../..")
	if err != nil {
		t.Skipf("this is not in a git repository: %v", err)
	}
	log := memstore.New(nil)
	if _, err := gitlog.Import(t.Context(), log, g, nil); err != nil {
		t.Fatal(err)
	}
	types := map[string]int{}
	for r, err := range log.Read(t.Context(), driver.Query{}, driver.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		types[r.Type]++
	}
	git := func(args ...string) []byte {
		out, err := exec.Command("git", append([]string{"-C", "../.."}, args...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	commits := bytes.Count(git("rev-list", "--branches"), []byte("\n"))
	changes := 0
	for line := range strings.Lines(string(git("log", "--branches", "--name-status", "-M", "-c", "--format="))) {
		if strings.TrimSpace(line) != "" {
			changes++
		}
	}
	got := 0
	for typ, n := range types {
		if strings.HasPrefix(typ, "File") && typ != "FileMovedAway" {
			got += n
		}
	}
	if types["Committed"] != commits || got != changes || types["FileMovedAway"] != types["FileRenamed"] {
		t.Errorf("%v of %d commits and %d changes", types, commits, changes)
	}
}
