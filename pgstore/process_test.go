package pgstore_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/pgstore"
)

const (
	rounds    = 60
	processes = 4
)

// Several processes race for each round: by a stream, by a tag, by a tag and a
// type, by a category, by an ID's absence; of all their writers one wins each.
func TestOfRacingProcessesExactlyOneWinsEachRound(t *testing.T) {
	url := newURL(t)
	s := openStore(t, url, nil)
	var wg sync.WaitGroup
	for p := range processes {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run", "^TestRacingProcess$")
			cmd.Env = append(os.Environ(), "PGSTORE_RACER="+url, fmt.Sprint("PGSTORE_RACER_NUMBER=", p))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("process %d: %v\n%s", p, err, out)
			}
		})
	}
	wg.Wait()
	records := readAll(t, s)
	checkHistory(t, records)
	for n := range rounds {
		for k := range kinds {
			if got := len(read(t, s, tagged(fmt.Sprintf("round:%d/%d", n, k)))); got != 1 {
				t.Errorf("round %d of kind %d has %d winners", n, k, got)
			}
		}
	}
	if want := rounds * kinds; len(records) != want {
		t.Errorf("%d events, want %d", len(records), want)
	}
}

const kinds = 5

// contest returns the append by which a writer tries to win a round.
func contest(n, k int) driver.Batch {
	own := fmt.Sprintf("round:%d/%d", n, k)
	e := event("", "Won", own)
	item := driver.Item{Tags: []string{own}}
	c := driver.NoneAfter(driver.Query{Items: []driver.Item{item}}, 0)
	switch k {
	case 0:
		e.Stream = fmt.Sprintf("round-%d", n)
		c = driver.StreamAbsent(e.Stream)
	case 2:
		e.Type = fmt.Sprintf("Won%d", n)
		c.Query.Items[0] = driver.Item{Types: []string{e.Type, "Other"}}
	case 3:
		e.Stream = fmt.Sprintf("cat%d-%d", n, os.Getpid())
		c.Query.Items[0] = driver.Item{Category: fmt.Sprintf("cat%d", n)}
	case 4:
		e.Tags = append(e.Tags, "all:1")
		c.Query.Items = append(c.Query.Items, driver.Item{Tags: []string{"all:1", own}, Types: []string{"Won"}})
	}
	return driver.Batch{Events: []driver.Event{e}, Conditions: []driver.Condition{c}}
}

// TestRacingProcess is what such a process runs.
func TestRacingProcess(t *testing.T) {
	url := os.Getenv("PGSTORE_RACER")
	if url == "" {
		return
	}
	a, b := openStore(t, url, &pgstore.Options{MaxConns: 2}), openStore(t, url, &pgstore.Options{MaxConns: 2})
	for n := range rounds {
		var wg sync.WaitGroup
		for k := range kinds {
			for _, s := range []*pgstore.Store{a, b, a} {
				wg.Go(func() {
					if _, err := s.Append(context.Background(), contest(n, k)); err != nil && !isConflict(err) {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
	}
}

// Writers whose conditions do not overlap never abort each other.
func TestUnrelatedWritersNeverAbortEachOther(t *testing.T) {
	url := newURL(t)
	var wg sync.WaitGroup
	for p := range 3 {
		s := openStore(t, url, &pgstore.Options{MaxConns: 2})
		for w := range 4 {
			wg.Go(func() {
				name := fmt.Sprintf("%d-%d", p, w)
				last := driver.Position(0)
				for v := range uint64(30) {
					r, err := s.Append(context.Background(), driver.Batch{Events: []driver.Event{event("item-"+name, "Moved", "owner:"+name)},
						Conditions: []driver.Condition{driver.StreamAt("item-"+name, v), driver.NoneAfter(tagged("owner:"+name), last)}})
					if err != nil {
						t.Errorf("writer %s: %v", name, err)
						return
					}
					last = r.Last
				}
			})
		}
	}
	wg.Wait()
}
