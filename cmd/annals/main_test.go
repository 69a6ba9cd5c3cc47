package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/internal/retail"
)

func TestMain(m *testing.M) {
	testscript.Main(servers{m}, map[string]func(){"annals": main})
}

// servers are the tests with the servers that they share.
type servers struct{ *testing.M }

func (s servers) Run() int {
	defer pgserver.StopShared()
	return s.M.Run()
}

// TestScripts runs the shell sessions in testdata/script.
func TestScripts(t *testing.T) {
	testscript.Run(t, params(func(*testscript.Env) string { return "" }, "testdata/script/*.txtar"))
}

// scripted are the kinds of store beside the default, each with what returns the
// URL of a new one.
var scripted = map[string]func(t *testing.T, e *testscript.Env) string{
	"sqlite": func(_ *testing.T, e *testscript.Env) string {
		return "sqlite:" + filepath.Join(e.WorkDir, "annals.sqlite")
	},
	"postgres": func(t *testing.T, _ *testscript.Env) string { return pgserver.Shared(t).NewDatabase(t) },
}

// TestScriptsOnEveryStore runs those sessions that only say what is done, not
// where, on every store.
func TestScriptsOnEveryStore(t *testing.T) {
	for name, url := range scripted {
		t.Run(name, func(t *testing.T) {
			testscript.Run(t, params(func(e *testscript.Env) string { return url(t, e) },
				"testdata/script/append.txtar", "testdata/script/fold.txtar", "testdata/script/history.txtar", "testdata/script/read.txtar",
				"testdata/script/state.txtar", "testdata/script/tail.txtar", "testdata/script/trace.txtar", "testdata/stores/*.txtar"))
		})
	}
}

// TestScriptsOnACluster runs some of them on one server of NATS; what a
// cluster of several does is tested in package replica.
func TestScriptsOnACluster(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(time.Minute) {
		t.Fatal("the NATS server is not ready")
	}
	var logs atomic.Int64
	p := params(func(e *testscript.Env) string {
		e.Setenv("SERVER", s.ClientURL())
		e.Setenv("DATABASE", pgserver.Shared(t).NewDatabase(t))
		return fmt.Sprintf("%s/log%d?dir=%s&replicas=1&unverified", s.ClientURL(), logs.Add(1), filepath.Join(e.WorkDir, "node"))
	}, "testdata/stores/*.txtar", "testdata/nats/*.txtar")
	testscript.Run(t, p)
}

// TestScriptsOnPostgres runs the sessions that are about PostgreSQL.
func TestScriptsOnPostgres(t *testing.T) {
	p := params(func(e *testscript.Env) string {
		url := pgserver.Shared(t).NewDatabase(t)
		e.Setenv("DATABASE", url)
		e.Setenv("SERVER", url[:strings.LastIndex(url, "/")])
		return ""
	}, "testdata/postgres/*.txtar")
	testscript.Run(t, p)
}

// params are those of the sessions whose files match; store returns the URL of
// a new store, "" for the default.
func params(store func(e *testscript.Env) string, match ...string) testscript.Params {
	var files []string
	for _, m := range match {
		found, err := filepath.Glob(m)
		if err != nil || len(found) == 0 {
			panic(fmt.Sprintf("no session matches %s: %v", m, err))
		}
		files = append(files, found...)
	}
	return testscript.Params{
		Files: files,
		Setup: func(e *testscript.Env) error {
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "config"))
			e.Setenv("ANNALS_STORE", store(e))
			e.Values[defaultStoreKey{}] = e.Getenv("ANNALS_STORE") == ""
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond != "root" {
				return false, fmt.Errorf("there is no condition %q", cond)
			}
			return os.Geteuid() == 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "eventually": eventually, "interrupt": interrupt, "hold": hold, "flip": flip, "retail": makeRetail, "bytes": makeBytes, "long": makeLong, "default-store": onDefaultStore, "hash": keepHash, "group": runGroup, "brokers": brokers, "received": received,
		},
	}
}

// hash FILE puts the running hash that the last command printed into a file.
func keepHash(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(`"hash":"([0-9a-f]{64})"`).FindStringSubmatch(ts.ReadFile("stdout"))
	if found == nil {
		ts.Fatalf("there is no hash in what was printed")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(found[1]+"\n"), 0o600))
}

type defaultStoreKey struct{}

// default-store COMMAND... runs a command only where the store is the default one.
func onDefaultStore(ts *testscript.TestScript, _ bool, args []string) {
	if ts.Value(defaultStoreKey{}) == true {
		ts.Check(ts.Exec(args[0], args[1:]...))
	}
}

// exits CODE COMMAND... runs a command that must exit with CODE.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var x *exec.ExitError
		if !errors.As(err, &x) {
			ts.Fatalf("%v", err)
		}
		code = x.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// eventually REGEXP COMMAND... runs a command until what it prints matches.
func eventually(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile(args[0])
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if err := ts.Exec(args[1], args[2:]...); err == nil && want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("what it prints does not come to match %q", args[0])
		}
	}
}

// interrupt [-silent] COMMAND... runs a command until it has printed a line
// (-silent: until it has made annals.db and had time to read), interrupts it,
// and puts its exit code and streams into the files code, stdout and
// stderr. Its standard input stays open and empty but for the file stdin.
func interrupt(ts *testscript.TestScript, _ bool, args []string) {
	silent := args[0] == "-silent"
	if silent {
		args = args[1:]
	}
	cmd := exec.Command(lookPath(ts, args[0]), args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = []string{"HOME=" + ts.Getenv("HOME"), "PATH=" + ts.Getenv("PATH"), "ANNALS_STORE=" + ts.Getenv("ANNALS_STORE")}
	in, err := cmd.StdinPipe()
	ts.Check(err)
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	ts.Check(cmd.Start())
	if text, err := os.ReadFile(ts.MkAbs("stdin")); err == nil {
		_, err := in.Write(text)
		ts.Check(err)
	}
	var seen bytes.Buffer
	one := make([]byte, 1)
	if silent {
		for _, err := os.Stat(ts.MkAbs("annals.db")); err != nil; _, err = os.Stat(ts.MkAbs("annals.db")) {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(200 * time.Millisecond)
	}
	for !silent && !strings.Contains(seen.String(), "\n") {
		_, err := io.ReadFull(out, one)
		ts.Check(err)
		seen.Write(one)
	}
	ts.Check(cmd.Process.Signal(os.Interrupt))
	_, err = io.Copy(&seen, out)
	ts.Check(err)
	var x *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &x) {
		ts.Fatalf("%v", err)
	}
	for name, text := range map[string]string{"code": fmt.Sprintln(cmd.ProcessState.ExitCode()), "stdout": seen.String(), "stderr": errOut.String()} {
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

func lookPath(ts *testscript.TestScript, name string) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	ts.Fatalf("there is no %s", name)
	return ""
}

// hold DIRECTORY opens a store for writing until the script ends.
func hold(ts *testscript.TestScript, _ bool, args []string) {
	s, err := filestore.Open(ts.MkAbs(args[0]), nil)
	ts.Check(err)
	ts.Setenv("HOLDER", strconv.Itoa(os.Getpid()))
	ts.Defer(func() { ts.Check(s.Close()) })
}

// flip FILE PART PART flips a bit of the file somewhere between the two
// places, given in per cent, by a seed that it prints.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	name := ts.MkAbs(args[0])
	data, err := os.ReadFile(name)
	ts.Check(err)
	seed := uint64(time.Now().UnixNano())
	text := bytes.TrimRight(data, "\x00") // the room zeroed ahead is not in use
	low, _ := strconv.Atoi(args[1])
	high, _ := strconv.Atoi(args[2])
	rnd := rand.New(rand.NewPCG(seed, 0))
	at := len(text)*low/100 + rnd.IntN(len(text)*(high-low)/100)
	data[at] ^= 1 << rnd.IntN(8)
	ts.Logf("seed %d: a bit of byte %d of %d of %s", seed, at, len(text), args[0])
	ts.Check(os.WriteFile(name, data, 0o600))
}

// retail FILE ROWS writes a made-up history and sets its totals: SOLD and
// SOLDMID of stock code 22197, SUM and SUMMID of all.
func makeRetail(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	var b bytes.Buffer
	t, err := retail.Write(&b, n, 5)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o600))
	for name, v := range map[string]int{"SOLD": t.Sold["22197"], "SOLDMID": t.SoldMid["22197"], "SUM": t.Sum, "SUMMID": t.SumMid} {
		ts.Setenv(name, strconv.Itoa(v))
	}
}

// bytes FILE HEX... writes bytes that a script cannot hold; a number before x
// repeats: 3xff.
func makeBytes(ts *testscript.TestScript, _ bool, args []string) {
	var out []byte
	for _, a := range args[1:] {
		times, hex := 1, a
		if n, h, ok := strings.Cut(a, "x"); ok {
			times, _ = strconv.Atoi(n)
			hex = h
		}
		v, err := strconv.ParseUint(hex, 16, 8)
		ts.Check(err)
		out = append(out, bytes.Repeat([]byte{byte(v)}, times)...)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), out, 0o600))
}

// long N FILE BEFORE CHARACTER AFTER writes N characters between two texts.
func makeLong(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(args[2]+strings.Repeat(args[3], n)+args[4]+"\n"), 0o600))
}
