package simtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
)

const killEnv = "ANNALS_KILL_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killEnv); dir != "" {
		if err := appendForEver(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// appendForEver appends with 64 writers and prints each receipt, with the IDs
// and versions it is for, until it is killed.
func appendForEver(dir string) error {
	log, err := filestore.Open(dir, &filestore.Options{SegmentBytes: 256 << 10})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	failed := make(chan error)
	for n := range 64 {
		go func() {
			r := rand.New(rand.NewPCG(uint64(os.Getpid()), uint64(n)))
			for {
				var b driver.Batch
				for range 1 + r.IntN(3) {
					b.Events = append(b.Events, driver.Event{ID: uuid.Must(uuid.NewV7()), Stream: fmt.Sprintf("writer-%d", n), Type: "Written",
						Data: fmt.Appendf(nil, `{"n":%d,"fill":"%s"}`, n, strings.Repeat("x", r.IntN(400)))})
				}
				receipt, err := log.Append(context.Background(), b)
				if err != nil {
					failed <- err
					return
				}
				line := fmt.Sprintf("%d %d", receipt.First, receipt.Last)
				for i := range b.Events {
					line += fmt.Sprintf(" %s %d", b.Events[i].ID, receipt.Versions[i])
				}
				mu.Lock()
				_, _ = io.WriteString(os.Stdout, line+"\n") // in one write, so that a line is there whole or not at all
				mu.Unlock()
			}
		}()
	}
	return <-failed
}

// A process with 64 writers is killed 50 times while it appends to one
// directory; every receipt it printed is in the log. This is the crash of a
// process: what it had written is still in the kernel's memory. The loss of
// power is what TestSim is for.
func TestKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	r := rand.New(rand.NewPCG(1, 1))
	receipts, kills := 0, 50
	if testing.Short() {
		kills = 5
	}
	for round := range kills {
		lines := killed(t, dir, time.Duration(r.IntN(120))*time.Millisecond)
		receipts += len(lines)
		checkReceipts(t, dir, round, lines)
	}
	log, err := filestore.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for err := range log.Verify(context.Background(), nil) {
		t.Error(err)
	}
	info, err := log.Info(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kills, %d receipts, head %d", kills, receipts, info.Head)
	if receipts == 0 {
		t.Error("no receipt was ever printed")
	}
}

// killed starts a process, kills it so long after its first receipt, and
// returns what it printed.
func killed(t *testing.T, dir string, after time.Duration) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killEnv+"="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	var once sync.Once
	for s := bufio.NewScanner(out); s.Scan(); {
		lines = append(lines, s.Text())
		once.Do(func() { time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) })
	}
	_ = cmd.Wait() // killed
	if len(lines) == 0 {
		t.Fatalf("the process printed nothing: %s", stderr.String())
	}
	return lines
}

// checkReceipts compares receipts with the log.
func checkReceipts(t *testing.T, dir string, round int, lines []string) {
	t.Helper()
	log, err := filestore.Open(dir, nil)
	if err != nil {
		t.Fatalf("opening after kill %d: %v", round+1, err)
	}
	defer log.Close()
	type place struct {
		id      string
		version uint64
	}
	want := map[driver.Position]place{}
	from := ^driver.Position(0)
	for _, line := range lines {
		f := strings.Fields(line)
		var first, last driver.Position
		fmt.Sscan(f[0]+" "+f[1], &first, &last)
		from = min(from, first)
		for p := first; p <= last; p++ {
			var v uint64
			fmt.Sscan(f[3+2*(p-first)], &v)
			want[p] = place{f[2+2*(p-first)], v}
		}
	}
	for rec, err := range log.Read(context.Background(), driver.Query{}, driver.ReadOptions{After: from - 1}) {
		if err != nil {
			t.Fatalf("reading after kill %d: %v", round+1, err)
		}
		if w, ok := want[rec.Position]; ok && (w.id != rec.ID.String() || w.version != rec.Version) {
			t.Errorf("position %d is %s version %d, the receipt said %v", rec.Position, rec.ID, rec.Version, w)
		}
		delete(want, rec.Position)
	}
	if len(want) > 0 {
		t.Fatalf("after kill %d, %d positions with a receipt are not in the log", round+1, len(want))
	}
}
