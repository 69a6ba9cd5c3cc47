package sqlitestore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/sqlitestore"
)

// Tests that need another process run this test binary again, told by
// environment variables what to do.
const (
	childVariable = "ANNALS_SQLITE_CHILD"
	fileVariable  = "ANNALS_SQLITE_FILE"
)

func TestMain(m *testing.M) {
	children := map[string]func(path string) error{"append": appendForEver, "compete": compete, "fill": fillDisk}
	told := os.Getenv(childVariable)
	if told == "" {
		os.Exit(m.Run())
	}
	if err := children[told](os.Getenv(fileVariable)); err != nil {
		fmt.Fprintln(os.Stderr, told+":", err)
		os.Exit(1)
	}
}

// child starts a process that does what, and returns its lines.
func child(t *testing.T, what, path string) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+what, fileVariable+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		cmd.Wait()         //nolint:errcheck // it was killed
	})
	return cmd, out
}

// appendForEver appends by 64 goroutines and prints each receipt.
func appendForEver(path string) error {
	s, err := sqlitestore.Open(path, nil)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	failed := make(chan error, 64)
	for w := range 64 {
		wg.Go(func() {
			for {
				b := batch(event(fmt.Sprintf("item-%d", w), "writer:64"), event("shared"))
				r, err := s.Append(context.Background(), b)
				if err != nil {
					failed <- err
					return
				}
				mu.Lock()
				fmt.Printf("%d %s %s\n", r.First, b.Events[0].ID, b.Events[1].ID)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return <-failed
}

func TestWhatWasAcknowledgedIsThereAfterAKill(t *testing.T) {
	path := newFile(t)
	acknowledged := map[driver.Position]uuid.UUID{}
	for round := range 4 {
		cmd, out := child(t, "append", path)
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			var p driver.Position
			var a, b string
			if _, err := fmt.Sscan(lines.Text(), &p, &a, &b); err != nil {
				break // the line was cut off by the kill
			}
			idA, errA := uuid.Parse(a)
			idB, errB := uuid.Parse(b)
			if errA != nil || errB != nil {
				break
			}
			acknowledged[p], acknowledged[p+1] = idA, idB
			if n == 300+200*round {
				if err := cmd.Process.Kill(); err != nil { // kill -9
					t.Fatal(err)
				}
			}
		}
		cmd.Wait() //nolint:errcheck // it was killed
		s := open(t, path, nil)
		all := records(t, s, driver.Query{})
		for p, id := range acknowledged {
			if int(p) > len(all) || all[p-1].ID != id {
				t.Fatalf("round %d: position %d was acknowledged and is not in the log of %d", round, p, len(all))
			}
		}
		equal(t, "records by tag", len(records(t, s, tagged("writer:64"))), len(all)/2)
		equal(t, "records of a stream", len(records(t, s, ofStream("shared"))), len(all)/2)
		equal(t, "faults", faults(t, s), []error(nil))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d records were acknowledged before the kills", len(acknowledged))
}

const competitions = 150

// compete raises the version of one stream, against others who do the same.
func compete(path string) error {
	s, err := sqlitestore.Open(path, nil)
	if err != nil {
		return err
	}
	own := "own-" + uuid.NewString()
	var wg sync.WaitGroup
	failed := make(chan error, 4)
	for range 4 {
		wg.Go(func() {
			for v := uint64(0); v < competitions; {
				_, err := s.Append(context.Background(), driver.Batch{
					Events:     []driver.Event{event("contended", "a:1"), event(own)},
					Conditions: []driver.Condition{driver.StreamAt("contended", v)},
				})
				var conflict *driver.ConflictError
				switch {
				case errors.As(err, &conflict):
					v = conflict.Version
				case err != nil:
					failed <- err
					return
				default:
					v++
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	return errors.Join(<-failed, s.Close())
}

func TestProcessesThatCompeteExcludeEachOther(t *testing.T) {
	path := newFile(t)
	s := open(t, path, nil)
	ctx := testContext(t)
	var children []*exec.Cmd
	for range 3 {
		cmd, _ := child(t, "compete", path)
		children = append(children, cmd)
	}
	// A reader in this process follows from the first position on.
	followed := make(chan driver.Position)
	go func() {
		defer close(followed)
		for last := driver.Position(0); last < 2*competitions; {
			if _, err := s.Wait(ctx, last); err != nil {
				t.Errorf("Wait: %v", err)
				return
			}
			for r, err := range s.Read(ctx, driver.Query{}, driver.ReadOptions{After: last}) {
				if err != nil {
					t.Errorf("Read: %v", err)
					return
				}
				if r.Position != last+1 {
					t.Errorf("position %d comes after %d", r.Position, last)
					return
				}
				last = r.Position
			}
		}
	}()
	for _, cmd := range children {
		if err := cmd.Wait(); err != nil {
			t.Errorf("a process: %v", err)
		}
	}
	<-followed
	all := records(t, s, ofStream("contended"))
	equal(t, "records", len(all), competitions)
	for i, r := range all {
		equal(t, "version", r.Version, uint64(i+1))
		equal(t, "conditions", fmt.Sprint(r.Conditions), fmt.Sprint([]driver.Condition{driver.StreamAt("contended", uint64(i))}))
	}
	owners := map[string]int{}
	for _, r := range records(t, s, driver.Query{Items: []driver.Item{{Category: "own"}}}) {
		owners[r.Stream]++
	}
	t.Logf("won by each process: %v", strings.TrimPrefix(fmt.Sprint(owners), "map"))
	equal(t, "faults", faults(t, s), []error(nil))
}

func readAll(r io.Reader) string {
	b, err := io.ReadAll(r)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
