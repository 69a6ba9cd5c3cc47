package relay_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/relay"
)

const (
	childDir  = "ANNALS_RELAY_CHILD"
	killSeeds = "ANNALS_RELAY_KILLS" // how many seeds, each of 8 kills
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, child(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// fileSink writes a line for each message, and refuses one of key item-3 for good.
type fileSink struct{ file *os.File }

func (s fileSink) Publish(_ context.Context, messages []relay.Message) error {
	for i := range messages {
		if m := &messages[i]; m.Key == "item-3" && m.Record.Position > 50 {
			return relay.Permanent(fmt.Errorf("no room for %s", m.Key))
		} else if _, err := fmt.Fprintf(s.file, "%s %s\n", m.Key, m.ID); err != nil {
			return err
		}
	}
	return nil
}

// child appends and publishes until it is killed.
func child(dir string) error {
	log, err := filestore.Open(filepath.Join(dir, "log"), nil)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(filepath.Join(dir, "out"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	r, err := relay.New(log, "out", fileSink{out}, &relay.Options{Batch: 16, Backoff: quick})
	if err != nil {
		return err
	}
	go func() {
		for n := 0; ; n++ {
			e := driver.Event{ID: uuid.New(), Stream: "item-" + strconv.Itoa(n%5), Type: "T", Data: []byte(`{}`)}
			if _, err := log.Append(context.Background(), driver.Batch{Events: []driver.Event{e}}); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			if n == 0 {
				fmt.Println("begun")
			}
		}
	}()
	return r.Run(context.Background())
}

// A process that appends and publishes is killed again and again. Then all of
// the log has been published, and each key in order, or waits in a dead letter.
func TestKilledAtAnyTimeNothingIsLostAndOrderIsKept(t *testing.T) {
	seeds := 2
	if n, err := strconv.Atoi(os.Getenv(killSeeds)); err == nil {
		seeds = n
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			dir, rnd := t.TempDir(), rand.New(rand.NewPCG(seed, 0))
			for range 8 {
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), childDir+"="+dir)
				cmd.Stderr = os.Stderr
				out, err := cmd.StdoutPipe()
				if err == nil {
					err = cmd.Start()
				}
				if err != nil {
					t.Fatal(err)
				}
				if _, err := out.Read(make([]byte, 1)); err != nil {
					t.Fatalf("it ended before it had begun: %v", err)
				}
				time.Sleep(time.Duration(rnd.IntN(250)) * time.Millisecond)
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err) // it ended by itself
				}
				_ = cmd.Wait()
			}
			examine(t, dir)
		})
	}
}

func examine(t *testing.T, dir string) {
	log, err := filestore.Open(filepath.Join(dir, "log"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	name := filepath.Join(dir, "out")
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	r := newRelay(t, log, fileSink{out}, relay.Options{})
	head := drain(t, r)
	aside := map[driver.Position]bool{}
	for letter, err := range r.Letters().All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range letter.Positions {
			aside[p] = true
		}
	}
	first, lines := published(t, name)
	var last = map[string]int{}
	for rec, err := range log.Read(t.Context(), driver.Query{}, driver.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		at, there := first[rec.Position]
		if there == aside[rec.Position] {
			t.Errorf("position %d of %s: published %t, set aside %t", rec.Position, rec.Stream, there, aside[rec.Position])
		}
		if there && at < last[rec.Stream] {
			t.Errorf("position %d of %s was published before an earlier one", rec.Position, rec.Stream)
		}
		if there {
			last[rec.Stream] = at
		}
	}
	t.Logf("%d events, %d published, %d times, %d set aside", head, len(first), lines, len(aside))
	if head == 0 || len(first) == 0 {
		t.Error("nothing was done")
	}
}

// published returns the line in which each position was published first.
func published(t *testing.T, name string) (first map[driver.Position]int, lines int) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	first = map[driver.Position]int{}
	for s := bufio.NewScanner(f); s.Scan(); {
		lines++
		_, id, _ := strings.Cut(s.Text(), " ")
		n, err := strconv.Atoi(id)
		if err != nil {
			t.Fatal(err)
		}
		if _, seen := first[driver.Position(n)]; !seen {
			first[driver.Position(n)] = lines
		}
	}
	return first, lines
}
