package projection_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/projection"
)

// kills is how often processes are killed: ANNALS_KILLS, or else few times.
func kills(t *testing.T, few int) int {
	told := os.Getenv("ANNALS_KILLS")
	if told == "" {
		return few
	}
	n, err := strconv.Atoi(told)
	must(t, err)
	return n
}

// A process that appends and projects is killed at random points. Each time the
// read model equals a fold of the log up to its checkpoint, and once it has
// caught up a fold of the whole log. ANNALS_KILLS=200 go test ./projection -run Kill -v
func TestKill(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		killed(t, kills(t, 10), "", func(*testing.T) string { return "" })
	})
	t.Run("documents", func(t *testing.T) {
		killed(t, max(kills(t, 12)/4, 1), "documents", func(*testing.T) string { return "" })
	})
	t.Run("inline", func(t *testing.T) {
		killed(t, max(kills(t, 12)/4, 1), "inline", func(*testing.T) string { return "" })
	})
	t.Run("postgres", func(t *testing.T) {
		killed(t, max(kills(t, 12)/4, 1), "", func(t *testing.T) string { return pgserver.Shared(t).NewDatabase(t) })
	})
}

func killed(t *testing.T, times int, kind string, postgres func(*testing.T) string) {
	const perLog = 10 // kills before a new log is begun
	seed := uint64(20260101)
	if told := os.Getenv("ANNALS_SEED"); told != "" {
		var err error
		seed, err = strconv.ParseUint(told, 10, 64)
		must(t, err)
	}
	t.Logf("seed %d, %d kills", seed, times)
	rnd := rand.New(rand.NewPCG(seed, 1))
	var s childSpec
	var events, behind, total annals.Position
	for n := range times {
		if n%perLog == 0 {
			total += events
			s = childSpec{Dir: t.TempDir(), Postgres: postgres(t), Kind: kind, Partitions: 1 + n/perLog%2*2}
			if kind == "inline" {
				s.Partitions = 1
			}
		}
		s.Seed = rnd.Uint64()
		killOne(t, s, time.Duration(rnd.IntN(150_000))*time.Microsecond)
		var lag annals.Position
		events, lag = inspect(t, s)
		behind += lag
	}
	t.Logf("%d kills: %d events, the read models were %d behind in all when their process was killed, and equal to a fold each time", times, total+events, behind)
}

// killOne runs a child and kills it after a while.
func killOne(t *testing.T, s childSpec, after time.Duration) {
	told, err := json.Marshal(s)
	must(t, err)
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childVariable+"="+string(told))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	ready := bufio.NewScanner(out)
	if !ready.Scan() {
		t.Fatalf("the child has ended: %v", cmd.Wait())
	}
	time.Sleep(after)
	must(t, cmd.Process.Kill())
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() == 1 {
		t.Fatalf("the child was to be killed and ended with %v", err)
	}
}

// inspect compares the read model with folds.
func inspect(t *testing.T, s childSpec) (head, behind annals.Position) {
	o, err := s.open()
	must(t, err)
	defer o.close()
	info, err := o.db.Log().Info(t.Context())
	must(t, err)
	model := func() map[string]string {
		if s.Kind == "documents" {
			return allLevels(t, o.docs)
		}
		return rows(t, o.read, allStock)
	}
	if at, registered := checkpointed(t, o); registered && s.Partitions == 1 {
		behind = info.Head - at
		equal(t, fmt.Sprintf("seed %d: the read model at the checkpoint, position %d", s.Seed, at), model(), foldedTo(t, o.db, at))
		if s.Kind == "inline" {
			equal(t, fmt.Sprintf("seed %d: events that are not in the inline read model", s.Seed), behind, annals.Position(0))
		}
	}
	r, err := s.start(t.Context(), o, stock("v1", 1, nil), 500)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	must(t, r.Wait(patient(t), info.Head))
	cancel()
	<-done
	equal(t, fmt.Sprintf("seed %d: the read model", s.Seed), model(), foldedTo(t, o.db, info.Head))
	return info.Head, behind
}

func checkpointed(t *testing.T, o opened) (annals.Position, bool) {
	k := projection.Keeper(o.sql)
	if o.docs != nil {
		k = o.docs
	}
	all, err := projection.NewControl(o.db.Log(), k).List(t.Context())
	must(t, err)
	if len(all) == 0 {
		return 0, false
	}
	return all[0].Position, true
}
