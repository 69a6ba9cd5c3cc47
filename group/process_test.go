package group_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/group"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/pgstore"
	"github.com/annals-db/annals/sqlitestore"
)

// childVariable has the test binary be a worker instead, on the log it names.
const childVariable = "ANNALS_TEST_GROUP"

func TestMain(m *testing.M) {
	if place := os.Getenv(childVariable); place != "" {
		fmt.Fprintln(os.Stderr, work(place))
		os.Exit(1)
	}
	code := m.Run()
	pgserver.StopShared()
	os.Exit(code)
}

func openAt(place string) (driver.Log, error) {
	if strings.HasPrefix(place, "postgres") {
		return pgstore.Open(context.Background(), place, nil)
	}
	return sqlitestore.Open(place, nil)
}

const processLease = 3 * time.Second

// work is a worker that prints what it has dealt with, before it acknowledges it.
func work(place string) error {
	log, err := openAt(place)
	if err != nil {
		return err
	}
	g := group.New(annals.New(log, nil), "crew", annals.Query{}, &group.Options{Lease: processLease, CommitEvery: 5})
	return g.Run(context.Background(), func(ctx context.Context, r annals.Record) error {
		fmt.Printf("%d\n", r.Position)
		return nil
	})
}

// workers are processes that print positions.
type workers struct {
	t     *testing.T
	place string
	lines chan annals.Position
}

// hire starts a worker and returns what kills it.
func (w *workers) hire() (kill func()) {
	w.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+w.place)
	out, err := cmd.StdoutPipe()
	must(w.t, err)
	cmd.Stderr = os.Stderr
	must(w.t, cmd.Start())
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(out); s.Scan(); {
			if p, err := strconv.ParseUint(s.Text(), 10, 64); err == nil {
				w.lines <- annals.Position(p)
			}
		}
	}()
	kill = func() {
		_ = cmd.Process.Kill()
		<-read
		_ = cmd.Wait()
	}
	w.t.Cleanup(kill)
	return kill
}

// Workers in processes of their own, on a store that several may write, are
// killed -9; others take their partitions within the lease time, and every
// event is dealt with.
func TestWorkersInSeveralProcesses(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { severalProcesses(t, t.TempDir()+"/log.db") })
	t.Run("postgres", func(t *testing.T) { severalProcesses(t, pgserver.Shared(t).NewDatabase(t)) })
}

func severalProcesses(t *testing.T, place string) {
	log, err := openAt(place)
	must(t, err)
	defer log.Close()
	w := &workers{t: t, place: place, lines: make(chan annals.Position, 10_000)}
	rnd := rand.New(rand.NewPCG(1, 0))
	total := 0
	dealt := map[annals.Position]bool{}
	repeated := 0
	until := func(n int) {
		t.Helper()
		deadline := time.After(time.Minute)
		for len(dealt) < n {
			select {
			case p := <-w.lines:
				if dealt[p] {
					repeated++
				}
				dealt[p] = true
			case <-deadline:
				t.Fatalf("only %d of %d events were dealt with", len(dealt), n)
			}
		}
	}
	grow := func(n int) {
		for range n {
			put(t, log, fmt.Sprint("item-", rnd.IntN(20)), "{}")
			total++
		}
	}
	first := w.hire()
	grow(40)
	until(total)
	second := w.hire()
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) { // until they share
		s, err := group.Inspect(t.Context(), log, "crew")
		must(t, err)
		byToken := 0
		for _, p := range s.Partitions {
			if p.Token > 1 && p.Worker != "" {
				byToken++
			}
		}
		if len(s.Members) == 2 && byToken >= len(s.Partitions)/2 {
			break
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("the second worker has not been given its share: %+v", s.Partitions)
		}
	}
	grow(40)
	first()
	killed := time.Now()
	grow(40)
	until(total)
	t.Logf("after a kill all was dealt with within %v; the lease is %v", time.Since(killed).Round(10*time.Millisecond), processLease)
	second()
	grow(10)
	w.hire()
	until(total)
	t.Logf("%d events, %d deliveries repeated", total, repeated)
}
