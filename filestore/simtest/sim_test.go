package simtest

import (
	"flag"
	"fmt"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-db/annals/internal/mutant"
)

var (
	seedsFlag = flag.Int("seeds", 500, "how many seeds TestSim plays")
	fromFlag  = flag.Uint64("from", 1, "the first seed TestSim plays")
	themeFlag = flag.String("theme", "", "the one kind of disaster TestSim plays, of Themes; all by the seed if empty")
	traceFlag = flag.Bool("steps", false, "print every step of a seed that fails")
)

// play plays one seed in a bubble. A run that hangs or panics is a failure too.
func play(t *testing.T, seed uint64, store Store, o *Options) (result *Result) {
	defer func() {
		if p := recover(); p != nil {
			result = &Result{Err: fmt.Errorf("seed %d: %v", seed, p)}
		}
	}()
	watch := time.AfterFunc(2*time.Minute, func() {
		buf := make([]byte, 1<<20)
		panic(fmt.Sprintf("seed %d hangs\n%s", seed, buf[:runtime.Stack(buf, true)]))
	})
	defer watch.Stop()
	synctest.Test(t, func(*testing.T) { result = Run(seed, store, o) })
	return result
}

// campaign is many seeds, played on every core.
type campaign struct {
	next     atomic.Uint64
	end      uint64
	mu       sync.Mutex
	stats    Stats
	themes   map[string]int
	first    uint64 // the first seed that failed
	firstErr *Result
}

func (c *campaign) note(t *testing.T, seed uint64, r *Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Add(r.Stats)
	c.themes[r.Theme]++
	if r.Err != nil && (c.firstErr == nil || seed < c.first) {
		c.first, c.firstErr = seed, r
	}
}

func simulate(t *testing.T, store Store, from uint64, seeds int, o Options) *campaign {
	c := &campaign{end: from + uint64(seeds), themes: map[string]int{}}
	c.next.Store(from)
	began := time.Now()
	var last atomic.Int64
	t.Run("seeds", func(t *testing.T) {
		for n := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				for {
					seed := c.next.Add(1) - 1
					c.mu.Lock()
					failed := c.firstErr != nil
					c.mu.Unlock()
					if seed >= c.end || failed {
						return
					}
					c.note(t, seed, play(t, seed, store, &o))
					if s := int64(time.Since(began).Seconds()) / 10; s > last.Load() {
						last.Store(s)
						done := seed - from + 1
						fmt.Printf("%d of %d seeds, %.0f a second\n", done, seeds, float64(done)/time.Since(began).Seconds())
					}
				}
			})
		}
	})
	return c
}

func (c *campaign) report(t *testing.T, name string) {
	t.Logf("%s: %+v, themes %v", name, c.stats, c.themes)
	if c.firstErr == nil {
		return
	}
	trace := c.firstErr.Trace
	if len(trace) > 4000 {
		trace = trace[len(trace)-4000:]
	}
	t.Errorf("seed %d (%s) fails: %v\nagain: go test ./filestore/simtest -run %s -from %d -seeds 1 -steps\n%s",
		c.first, c.firstErr.Theme, c.firstErr.Err, name, c.first, strings.Join(trace, "\n"))
}

// The simulation passes a store that is right.
func TestReference(t *testing.T) {
	for _, theme := range []string{"power", "sync", "write", "full"} {
		c := simulate(t, Store{Open: openReference}, *fromFlag, min(*seedsFlag, 30), Options{Theme: theme, Trace: *traceFlag})
		c.report(t, "TestReference")
	}
}

// mutants are the faults that the engine can be given.
var mutants = map[string]*bool{
	"AckBeforeSync":        &mutant.AckBeforeSync,
	"NoDirSync":            &mutant.NoDirSync,
	"KeepDebris":           &mutant.KeepDebris,
	"VisibleBeforeDurable": &mutant.VisibleBeforeDurable,
	"IDsAfterConditions":   &mutant.IDsAfterConditions,
	"MarkBeforeData":       &mutant.MarkBeforeData,
}

// The simulation finds each fault that the reference can have.
func TestReferenceMutants(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(mutants)) {
		if name != "MarkBeforeData" && name != "KeepDebris" { // it has no mark, and wipes so much that debris is a matter of a thousand seeds
			t.Run(name, func(t *testing.T) { findMutant(t, name, Store{Open: openReference}) })
		}
	}
}

// findMutant gives the engine a fault and plays seeds until one fails.
func findMutant(t *testing.T, name string, store Store) {
	*mutants[name] = true
	defer func() { *mutants[name] = false }()
	c := simulate(t, store, 1, 2000, Options{Theme: "power"})
	if c.firstErr == nil {
		t.Error("not found by 2,000 seeds")
		return
	}
	t.Logf("found by seed %d: %v", c.first, c.firstErr.Err)
}

// A seed plays the same again, so that what it found can be looked into.
func TestSeedPlaysTheSame(t *testing.T) {
	chosen := regexp.MustCompile(`[0-9a-f]{8}\.torn`) // the store names these at random
	same := 0
	const seeds = 40
	for seed := range uint64(seeds) {
		var runs [2][]string
		for n := range runs {
			for _, line := range play(t, seed+1, fileStore, &Options{Trace: true}).Trace {
				runs[n] = append(runs[n], chosen.ReplaceAllString(line, "torn"))
			}
			slices.Sort(runs[n]) // what happens at once is told in any order
		}
		if slices.Equal(runs[0], runs[1]) {
			same++
		}
	}
	t.Logf("%d of %d seeds played the same", same, seeds)
	if same < seeds/2 { // the store draws some numbers at random, and its goroutines may overtake each other
		t.Error("too few seeds play the same again")
	}
}
