package group_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/group"
	"github.com/annals-db/annals/memstore"
)

func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func TestWorkersShareASubscription(t *testing.T) {
	bubble(t, "each event goes to one of them, in order within its stream", func(t *testing.T) {
		c := newCrew(t, group.Options{})
		busy := map[string]bool{}
		c.handler = func(worker int, r annals.Record) error {
			c.mu.Lock()
			if busy[r.Stream] {
				t.Errorf("two workers deal with %s at once", r.Stream)
			}
			busy[r.Stream] = true
			c.mu.Unlock()
			time.Sleep(time.Millisecond)
			c.mu.Lock()
			busy[r.Stream] = false
			c.mu.Unlock()
			return nil
		}
		for n := range 100 {
			put(t, c.log, fmt.Sprint("item-", n%17), "{}")
		}
		var dismiss []func()
		for w := range 3 {
			_, d := c.hire(w)
			dismiss = append(dismiss, d)
		}
		for n := range 200 {
			put(t, c.log, fmt.Sprint("item-", n%17), "{}")
			time.Sleep(50 * time.Millisecond)
		}
		c.until(300)
		c.inOrder(300)
		equal(t, "deliveries", len(c.seen), 300)
		byWorker := map[int]int{}
		for _, s := range c.seen[100:] {
			byWorker[s.worker]++
		}
		equal(t, "workers that had a share", len(byWorker), 3)
		s := c.status()
		equal(t, "members", len(s.Members), 3)
		for _, p := range s.Partitions {
			if p.Worker == "" {
				t.Errorf("partition %d belongs to nobody", p.Number)
			}
		}
		for _, d := range dismiss {
			d()
		}
		s = c.status()
		equal(t, "members in the end", len(s.Members), 0)
		for _, p := range s.Partitions {
			equal(t, "position", p.Position, 300)
			equal(t, "lag", p.Lag, 0)
			equal(t, "worker", p.Worker, "")
		}
	})
	bubble(t, "the partitions of one that is killed move within the lease time", func(t *testing.T) {
		c := newCrew(t, group.Options{Lease: time.Minute})
		kill, _ := c.hire(1)
		put(t, c.log, "item-1", "{}")
		c.until(1)
		_, dismiss := c.hire(2)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		kill()
		at := time.Now()
		for n := range 64 {
			put(t, c.log, fmt.Sprint("item-", n), "{}")
		}
		c.until(65)
		if d := time.Since(at); d > time.Minute {
			t.Errorf("it took %v", d)
		}
		c.inOrder(65)
		dismiss()
	})
	bubble(t, "one that is dismissed hands over at once, without repeating", func(t *testing.T) {
		c := newCrew(t, group.Options{})
		_, first := c.hire(1)
		for n := range 10 {
			put(t, c.log, fmt.Sprint("item-", n), "{}")
		}
		c.until(10)
		first()
		_, second := c.hire(2)
		for n := range 10 {
			put(t, c.log, fmt.Sprint("item-", n), "{}")
		}
		c.until(20)
		second()
		equal(t, "deliveries", len(c.seen), 20)
	})
	bubble(t, "by tag, by function, from the head", func(t *testing.T) {
		for name, o := range map[string]group.Options{
			"tag": {Tag: "course", FromHead: true},
			"key": {Key: func(r annals.Record) string { return string(r.Data) }, After: 1},
		} {
			c := newCrew(t, o)
			put(t, c.log, "item-1", "x", "course:x")
			_, dismiss := c.hire(1)
			time.Sleep(time.Minute)
			for n := range 30 {
				put(t, c.log, fmt.Sprint("item-", n%7), fmt.Sprint(n%3), fmt.Sprint("course:", n%3))
			}
			c.until(30)
			dismiss()
			byKey := map[string][]annals.Position{}
			for _, s := range c.seen {
				byKey[string(s.r.Data)] = append(byKey[string(s.r.Data)], s.r.Position)
			}
			equal(t, name, len(byKey), 3)
			for key, all := range byKey {
				if !slices.IsSorted(all) || len(all) != 10 {
					t.Errorf("by %s: %s came as %v", name, key, all)
				}
			}
		}
	})
}

func TestAnEventThatFails(t *testing.T) {
	poison := func(c *crew, attempts map[annals.Position][]time.Duration, healed *bool) {
		began := time.Now()
		c.handler = func(_ int, r annals.Record) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			attempts[r.Position] = append(attempts[r.Position], time.Since(began))
			if string(r.Data) == "poison" && !*healed {
				return errors.New("it is poison")
			}
			return nil
		}
	}
	bubble(t, "is tried again with a growing pause, then parked, and later ones of its key wait", func(t *testing.T) {
		c, attempts, healed := newCrew(t, group.Options{Attempts: 4, Partitions: 2}), map[annals.Position][]time.Duration{}, false
		poison(c, attempts, &healed)
		put(t, c.log, "item-a", "poison") // 1
		put(t, c.log, "item-a", "after")  // 2
		put(t, c.log, "item-b", "other")  // 3
		put(t, c.log, "item-a", "after")  // 4
		_, dismiss := c.hire(1)
		c.until(1)
		time.Sleep(time.Minute)
		synctest.Wait()
		equal(t, "attempts", len(attempts[1]), 4)
		for i := 2; i < 4; i++ {
			if attempts[1][i]-attempts[1][i-1] <= attempts[1][i-1]-attempts[1][i-2] {
				t.Errorf("the pauses do not grow: %v", attempts[1])
			}
		}
		s := c.status()
		equal(t, "parked", fmt.Sprint(len(s.Parked), s.Parked[0].Position, s.Parked[1].Position, s.Parked[2].Position), "3 1 2 4")
		equal(t, "error", s.Parked[0].Error, "it is poison")
		equal(t, "those behind wait", s.Parked[1].Waiting && s.Parked[2].Waiting && !s.Parked[0].Waiting, true)
		for _, p := range s.Partitions {
			equal(t, "the partition went on", p.Position, 4)
		}

		must(t, group.Replay(t.Context(), c.log, "crew", 1)) // still poison
		time.Sleep(time.Minute)
		synctest.Wait()
		equal(t, "attempts", len(attempts[1]), 8)
		equal(t, "attempts told", c.status().Parked[0].Attempts, 8)
		equal(t, "attempts of what waits", len(attempts[2]), 0)

		c.mu.Lock()
		healed = true
		c.mu.Unlock()
		must(t, group.Replay(t.Context(), c.log, "crew"))
		c.until(4)
		put(t, c.log, "item-a", "later") // 5
		c.until(5)
		dismiss()
		equal(t, "order", fmt.Sprint(c.positions()), "[3 1 2 4 5]")
		equal(t, "parked", len(c.status().Parked), 0)
	})
	bubble(t, "or later ones go on, and it may be dropped", func(t *testing.T) {
		c, attempts, healed := newCrew(t, group.Options{Attempts: 2, PassParked: true}), map[annals.Position][]time.Duration{}, false
		poison(c, attempts, &healed)
		put(t, c.log, "item-a", "poison")
		put(t, c.log, "item-a", "after")
		_, dismiss := c.hire(1)
		c.until(1)
		equal(t, "parked", len(c.status().Parked), 1)
		must(t, group.Drop(t.Context(), c.log, "crew", 1))
		if err := group.Drop(t.Context(), c.log, "crew", 1); !errors.Is(err, annals.ErrNotFound) {
			t.Errorf("dropping what is not parked: %v", err)
		}
		equal(t, "parked", len(c.status().Parked), 0)
		dismiss()
		equal(t, "order", fmt.Sprint(c.positions()), "[2]")
	})
	bubble(t, "dropping what others wait behind lets them go on", func(t *testing.T) {
		c, attempts, healed := newCrew(t, group.Options{Attempts: 1}), map[annals.Position][]time.Duration{}, false
		poison(c, attempts, &healed)
		put(t, c.log, "item-a", "poison")
		put(t, c.log, "item-a", "after")
		_, dismiss := c.hire(1)
		time.Sleep(time.Minute)
		synctest.Wait()
		equal(t, "parked", len(c.status().Parked), 2)
		must(t, group.Drop(t.Context(), c.log, "crew", 1))
		c.until(1)
		dismiss()
		equal(t, "order", fmt.Sprint(c.positions()), "[2]")
	})
	bubble(t, "is left, in the pause before it is tried again, to a worker that joins", func(t *testing.T) {
		c := newCrew(t, group.Options{Partitions: 2, Attempts: 100, Backoff: func(int) time.Duration { return time.Hour }})
		c.handler = func(worker int, _ annals.Record) error {
			if worker == 1 {
				return errors.New("not here")
			}
			return nil
		}
		for n := range 20 { // in both partitions
			put(t, c.log, fmt.Sprint("item-", n), "{}")
		}
		_, first := c.hire(1)
		time.Sleep(time.Minute)
		_, second := c.hire(2)
		time.Sleep(time.Minute)
		synctest.Wait()
		equal(t, "members", len(c.status().Members), 2)
		first()
		c.until(20)
		second()
		equal(t, "deliveries", len(c.seen), 20)
	})
	bubble(t, "a full shelf stops the partition until there is room", func(t *testing.T) {
		c, attempts, healed := newCrew(t, group.Options{Attempts: 1, MaxParked: 3}), map[annals.Position][]time.Duration{}, false
		poison(c, attempts, &healed)
		for range 5 {
			put(t, c.log, "item-a", "poison")
		}
		_, dismiss := c.hire(1)
		time.Sleep(time.Minute)
		synctest.Wait()
		equal(t, "parked", len(c.status().Parked), 3)
		c.mu.Lock()
		healed = true
		c.mu.Unlock()
		must(t, group.Replay(t.Context(), c.log, "crew"))
		c.until(5)
		dismiss()
		equal(t, "order", fmt.Sprint(c.positions()), "[1 2 3 4 5]")
	})
}

func TestWhatIsRefused(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	never := func(context.Context, annals.Record) error { return nil }
	run := func(log driver.Log, name string, q annals.Query, o group.Options) error {
		return group.New(annals.New(log, nil), name, q, &o).Run(ctx, never)
	}
	fails := func(name string, err error, want string) {
		t.Run(name, func(t *testing.T) {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want it to say %q", err, want)
			}
		})
	}
	live := func() context.Context {
		c, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		t.Cleanup(cancel)
		return c
	}
	log := memstore.New(nil)
	put(t, log, "item-a", "{}")
	if err := group.New(annals.New(log, nil), "g", annals.Query{}, nil).Run(live(), never); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	ctx = t.Context()
	fails("another number of partitions", run(log, "g", annals.Query{}, group.Options{Partitions: 3}), `group "g": it has 8 partitions, not 3`)
	fails("another division", run(log, "g", annals.Query{}, group.Options{Tag: "x"}), "divided by stream, not by tag x")
	fails("another query", run(log, "g", annals.Match(annals.QueryItem{Category: "item"}), group.Options{}), "its events are everything, not (category item)")
	fails("a name with a slash", run(log, "g/h", annals.Query{}, group.Options{}), "slash")
	fails("beyond the head", run(log, "h", annals.Query{}, group.Options{After: 9}), "position 9 does not exist")
	_, err := group.Inspect(ctx, log, "none")
	fails("one that never ran", err, "not found")

	dir := t.TempDir()
	writer, err := filestore.Open(dir, nil)
	must(t, err)
	defer writer.Close()
	reader, err := filestore.Open(dir, &filestore.Options{ReadOnly: true})
	must(t, err)
	defer reader.Close()
	fails("another process on a file store", run(reader, "g", annals.Query{}, group.Options{}), "workers in several processes need a server")
}

// A state that is further than the log, or of another history, is noticed.
func TestALogThatWasRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, group.Options{Partitions: 1})
		for range 3 {
			put(t, c.log, "item-a", "{}")
		}
		_, dismiss := c.hire(1)
		c.until(3)
		dismiss()
		for name, n := range map[string]int{"the log ends at 2: the log was restored from an older backup": 2, "went another way": 5} {
			other := memstore.New(nil)
			for range n {
				put(t, other, "item-a", "{}")
			}
			log := restored{other, c.log}
			err := group.New(annals.New(log, nil), "crew", annals.Query{}, &group.Options{Partitions: 1}).
				Run(t.Context(), func(context.Context, annals.Record) error { return nil })
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v, want it to say %q", err, name)
			}
		}
	})
}

// restored is a log with the identity and the state of another.
type restored struct {
	driver.Log
	before *memstore.Store
}

func (r restored) State() driver.State { return r.before.State() }
func (r restored) Info(ctx context.Context) (driver.Info, error) {
	i, err := r.Log.Info(ctx)
	b, _ := r.before.Info(ctx)
	i.LogID = b.LogID
	return i, err
}

// TestKillsBySeed kills, dismisses and hires workers at random while events
// come and handlers fail now and then. Every event must have been dealt with,
// and in order within its stream.
func TestKillsBySeed(t *testing.T) {
	first, last := uint64(1), uint64(20)
	if s, err := strconv.ParseUint(os.Getenv("ANNALS_SEED"), 10, 64); err == nil {
		first, last = s, s
	} else if n, err := strconv.ParseUint(os.Getenv("ANNALS_SEEDS"), 10, 64); err == nil {
		last = n
	}
	repeated := 0
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { repeated += kills(t, seed) })
		})
	}
	t.Logf("%d deliveries were repeated after kills", repeated)
}

func kills(t *testing.T, seed uint64) (repeated int) {
	rnd, failing := rand.New(rand.NewPCG(seed, 0)), rand.New(rand.NewPCG(seed, 1))
	c := newCrew(t, group.Options{Lease: 5 * time.Second, CommitEvery: 1 + rnd.IntN(20), Partitions: 1 + rnd.IntN(9), Attempts: 1000})
	c.handler = func(_ int, r annals.Record) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if failing.IntN(10) == 0 {
			return errors.New("not now")
		}
		return nil
	}
	type hand struct{ kill, dismiss func() }
	var hands []hand
	hire := func() {
		k, d := c.hire(len(hands))
		hands = append(hands, hand{k, d})
	}
	total := 0
	hire()
	for range 30 {
		for range rnd.IntN(20) {
			put(t, c.log, fmt.Sprint("item-", rnd.IntN(12)), "{}")
			total++
		}
		time.Sleep(time.Duration(rnd.IntN(3000)) * time.Millisecond)
		i := rnd.IntN(max(len(hands), 1))
		switch do := rnd.IntN(6); {
		case do < 2 && len(hands) < 4:
			hire()
		case do == 2 && len(hands) > 0:
			hands[i].kill()
			hands = slices.Delete(hands, i, i+1)
		case do == 3 && len(hands) > 0:
			hands[i].dismiss()
			hands = slices.Delete(hands, i, i+1)
		}
	}
	hire()
	c.until(total)
	c.inOrder(total)
	for _, h := range hands {
		h.dismiss()
	}
	c.wg.Wait()
	return len(c.seen) - total
}

// silent is a log whose state gives no answer while it is cut off.
type silent struct {
	driver.Log
	cut *atomic.Bool
}

func (s silent) State() driver.State { return silentState{s.Log.(driver.Stater).State(), s.cut} }

type silentState struct {
	driver.State
	cut *atomic.Bool
}

func (s silentState) Save(ctx context.Context, key string, value []byte, expect uint64) (uint64, error) {
	if s.cut.Load() {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return s.State.Save(ctx, key, value, expect)
}

func TestAHandlerLearnsThatItsPartitionIsLostWhereNothingAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := silent{memstore.New(nil), new(atomic.Bool)}
		put(t, log, "item-1", "{}")
		ctx, cancel := context.WithCancel(t.Context())
		told, ended := make(chan struct{}), make(chan error)
		g := group.New(annals.New(log, nil), "crew", annals.Query{}, nil)
		go func() {
			ended <- g.Run(ctx, func(ctx context.Context, _ annals.Record) error {
				log.cut.Store(true)
				<-ctx.Done()
				close(told)
				return ctx.Err()
			})
		}()
		select {
		case <-told:
		case <-time.After(time.Hour): // of the bubble's time
			t.Error("another may have the partition, and the handler goes on")
		}
		log.cut.Store(false)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
	})
}
