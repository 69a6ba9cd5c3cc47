package lease_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/lease"
	"github.com/annals-db/annals/memstore"
)

// world is a state with clocks that the test sets.
type world struct {
	t       *testing.T
	state   driver.State
	elapsed time.Duration
	wall    time.Time
}

func newWorld(t *testing.T) *world {
	log := memstore.New(nil)
	t.Cleanup(func() { log.Close() })
	return &world{t: t, state: log.State(), wall: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func (w *world) keeper(name string, o lease.Options) *lease.Keeper {
	o.Elapsed = func() time.Duration { return w.elapsed }
	o.Now = func() time.Time { return w.wall }
	return lease.New(w.state, name, &o)
}

func (w *world) acquires(k *lease.Keeper) *lease.Lease {
	w.t.Helper()
	l, err := k.Acquire(w.t.Context(), "key")
	if err != nil {
		w.t.Fatalf("Acquire: %v", err)
	}
	return l
}

func (w *world) refused(k *lease.Keeper, holder string) {
	w.t.Helper()
	var held *lease.HeldError
	if _, err := k.Acquire(w.t.Context(), "key"); !errors.As(err, &held) || held.Holder != holder {
		w.t.Fatalf("Acquire of what %s holds: %v", holder, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestALeaseIsHeldUntilItsTimeToLiveHasPassedUnrenewed(t *testing.T) {
	w := newWorld(t)
	a, b := w.keeper("a", lease.Options{TTL: 10 * time.Second}), w.keeper("b", lease.Options{TTL: time.Second})
	held := w.acquires(a)
	w.refused(b, "a")
	w.elapsed += 9 * time.Second
	must(t, held.Renew(t.Context()))
	w.elapsed += 9 * time.Second
	w.refused(b, "a") // sees the renewal now
	w.elapsed += 9 * time.Second
	w.refused(b, "a")
	if held.Valid() {
		t.Error("the holder thinks it holds what was not renewed for 18 s")
	}
	w.elapsed += time.Second
	second := w.acquires(b)
	if second.Token() <= held.Token() {
		t.Errorf("token %d follows token %d", second.Token(), held.Token())
	}
	for name, err := range map[string]error{"renew": held.Renew(t.Context()), "save": held.Save(t.Context(), json.RawMessage(`1`))} {
		if !errors.Is(err, lease.ErrLost) {
			t.Errorf("%s of a lease that was taken: %v", name, err)
		}
	}
	must(t, held.Release(t.Context()))
	if w.refused(a, "b"); !second.Valid() {
		t.Error("what the former holder did has undone the lease")
	}
}

func TestWallClocksThatJumpDecideNothing(t *testing.T) {
	w := newWorld(t)
	a, b := w.keeper("a", lease.Options{}), w.keeper("b", lease.Options{})
	held := w.acquires(a)
	for _, jump := range []time.Duration{24 * time.Hour, -48 * time.Hour, 1000 * time.Hour} {
		w.wall = w.wall.Add(jump)
		w.refused(b, "a")
		must(t, held.Renew(t.Context()))
	}
}

func TestAReleasedLeaseIsTakenAtOnceWithWhatLiesBesideIt(t *testing.T) {
	w := newWorld(t)
	a, b := w.keeper("a", lease.Options{}), w.keeper("b", lease.Options{})
	first := w.acquires(a)
	must(t, first.Save(t.Context(), json.RawMessage(`{"done":7}`)))
	must(t, first.Release(t.Context()))
	second := w.acquires(b)
	if string(second.Value()) != `{"done":7}` || second.Token() != first.Token()+1 {
		t.Errorf("the next holder has %s and token %d after %d", second.Value(), second.Token(), first.Token())
	}
	if err := first.Save(t.Context(), json.RawMessage(`0`)); !errors.Is(err, lease.ErrLost) {
		t.Errorf("save after the release: %v", err)
	}
}

func TestWhereTheStateIsOfOneProcessAHolderInAnotherIsDead(t *testing.T) {
	w := newWorld(t)
	killed := w.keeper("killed", lease.Options{Alone: true, Process: "one"})
	beside := w.keeper("beside", lease.Options{Alone: true, Process: "one"})
	next := w.keeper("next", lease.Options{Alone: true, Process: "two"})
	w.acquires(killed)
	w.refused(beside, "killed")
	w.acquires(next)
}

func TestALeaseThatIsNone(t *testing.T) {
	w := newWorld(t)
	_, err := w.state.Save(t.Context(), "key", []byte("no JSON"), driver.AnyRevision)
	must(t, err)
	if _, err := w.keeper("a", lease.Options{}).Acquire(t.Context(), "key"); err == nil {
		t.Error("bytes that are no lease were taken for one")
	}
}

// lossy is a state that fails, before or after it has done what it was told.
type lossy struct {
	driver.State
	rnd *rand.Rand
}

func (s lossy) Save(ctx context.Context, key string, value []byte, expect uint64) (uint64, error) {
	if s.rnd.IntN(10) == 0 {
		return 0, driver.ErrUnavailable
	}
	revision, err := s.State.Save(ctx, key, value, expect)
	if err == nil && s.rnd.IntN(10) == 0 {
		return 0, driver.ErrOutcomeUnknown
	}
	return revision, err
}

func seeds(n uint64) (first, last uint64) {
	if s, err := strconv.ParseUint(os.Getenv("ANNALS_SEED"), 10, 64); err == nil {
		return s, s
	}
	if m, err := strconv.ParseUint(os.Getenv("ANNALS_SEEDS"), 10, 64); err == nil {
		n = m
	}
	return 1, n
}

// TestManyKeepersBySeed has keepers take, renew, save under, forget and give
// back one lease over a state that loses answers, while wall clocks jump. No
// two may think they hold it, tokens rise, and what one saved is what the next
// finds.
func TestManyKeepersBySeed(t *testing.T) {
	first, last := seeds(100)
	taken := 0
	for seed := first; seed <= last; seed++ {
		taken += manyKeepers(t, seed)
	}
	if taken < int(last-first+1)*10 {
		t.Errorf("the lease was taken only %d times", taken)
	}
}

func manyKeepers(t *testing.T, seed uint64) (taken int) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t)
	w.state = lossy{w.state, rnd}
	type worker struct {
		k *lease.Keeper
		l *lease.Lease
	}
	workers := make([]*worker, 4)
	for i := range workers {
		ttl := time.Duration(1+rnd.IntN(10)) * time.Second
		workers[i] = &worker{k: w.keeper(fmt.Sprint(i), lease.Options{TTL: ttl})}
	}
	token, beside := uint64(0), map[string]bool{"": true}
	for step := range 500 {
		w.elapsed += time.Duration(rnd.IntN(3000)) * time.Millisecond
		w.wall = w.wall.Add(time.Duration(rnd.Int64N(int64(2*time.Hour))) - time.Hour)
		k := workers[rnd.IntN(len(workers))]
		fail := func(format string, args ...any) {
			t.Fatalf("seed %d step %d: %s", seed, step, fmt.Sprintf(format, args...))
		}
		switch do := rnd.IntN(10); {
		case k.l == nil:
			l, err := k.k.Acquire(t.Context(), "key")
			if err != nil {
				continue
			}
			if l.Token() <= token {
				fail("token %d follows %d", l.Token(), token)
			}
			if !beside[string(l.Value())] {
				fail("the lease comes with %q, saved was one of %v", l.Value(), beside)
			}
			taken++
			token, k.l = l.Token(), l
			beside = map[string]bool{string(l.Value()): true}
		case do == 0:
			k.l = nil // killed
		case do == 1:
			if k.l.Release(t.Context()) == nil {
				k.l = nil
			}
		case do < 6:
			value := fmt.Sprintf("%d", step)
			err := k.l.Save(t.Context(), json.RawMessage(value))
			switch {
			case err == nil && k.l.Token() != token:
				fail("a save with token %d was taken while %d holds", k.l.Token(), token)
			case err == nil:
				beside = map[string]bool{value: true}
			case k.l.Token() == token:
				beside[value] = true // it may have been saved
			}
			if errors.Is(err, lease.ErrLost) {
				k.l = nil
			}
		default:
			if errors.Is(k.l.Renew(t.Context()), lease.ErrLost) {
				k.l = nil
			}
		}
		valid := 0
		for _, k := range workers {
			if k.l != nil && k.l.Valid() {
				valid++
			}
		}
		if valid > 1 {
			fail("%d hold the lease at once", valid)
		}
	}
	return taken
}

// Many goroutines want one lease at once: exactly one gets it.
func TestOneOfManyGetsIt(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := 0
	for i := range 16 {
		k := w.keeper(fmt.Sprint(i), lease.Options{})
		wg.Go(func() {
			if l, err := k.Acquire(t.Context(), "key"); err == nil && l.Valid() {
				mu.Lock()
				got++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if got != 1 {
		t.Errorf("%d hold the lease", got)
	}
}

func Example() {
	ctx := context.Background()
	log := memstore.New(nil)
	keeper := lease.New(log.State(), "worker 1", nil)
	l, err := keeper.Acquire(ctx, "billing/partition/3")
	fmt.Println(l.Token(), err)
	err = l.Save(ctx, json.RawMessage(`{"position":42}`)) // fails once another holds it
	fmt.Println(string(l.Value()), err)
	fmt.Println(l.Release(ctx))
	// Output:
	// 1 <nil>
	// {"position":42} <nil>
	// <nil>
}
