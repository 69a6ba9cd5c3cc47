package annals_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/drivertest"
	"github.com/annals-db/annals/memstore"
)

// TestTransfersOverABadConnection moves money between accounts by racing
// writers over a log that delays, fails and loses answers. What an update
// reported must be what is in the log: each success once, each failure not at
// all, and no sum ever wrong.
func TestTransfersOverABadConnection(t *testing.T) {
	first, count := uint64(1), uint64(5)
	if s, err := strconv.ParseUint(os.Getenv("ANNALS_SEED"), 10, 64); err == nil {
		first, count = s, 1
	}
	for seed := first; seed < first+count; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { transfers(t, seed) })
	}
}

func transfers(t *testing.T, seed uint64) {
	log := memstore.New(nil)
	defer log.Close()
	sure := annals.New(log, nil)
	const accounts, total = 5, 500
	for n := range accounts {
		create(t, sure, fmt.Sprint(n), "account", total/accounts)
	}
	var done, unknown atomic.Int64
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(w)))
			db := annals.New(drivertest.Flaky(log, &drivertest.FlakyOptions{Seed: seed*100 + uint64(w), Rate: 0.1}), nil)
			for range 40 {
				from, to, n := rnd.IntN(accounts), rnd.IntN(accounts), 1+rnd.IntN(20)
				if from == to {
					continue
				}
				_, err := db.Update(context.Background(), transfer(t, fmt.Sprint(from), fmt.Sprint(to), n))
				var conflict *annals.ConflictError
				switch {
				case err == nil:
					done.Add(1)
				case errors.Is(err, annals.ErrOutcomeUnknown):
					unknown.Add(1)
				case errors.Is(err, driver.ErrUnavailable), errors.Is(err, errTooLittle), errors.As(err, &conflict):
				default:
					t.Errorf("seed %d: %v", seed, err)
				}
			}
		})
	}
	wg.Wait()
	moves := int64(len(all(t, sure, annals.Match(annals.QueryItem{Types: []string{"QuantityDecreased"}}))))
	if moves < done.Load() || moves > done.Load()+unknown.Load() {
		t.Fatalf("seed %d: %d updates succeeded and %d are unknown, but %d are in the log", seed, done.Load(), unknown.Load(), moves)
	}
	sum := 0
	for n := range accounts {
		q := quantity(t, sure.View(t.Context()), fmt.Sprint(n))
		if q < 0 {
			t.Fatalf("seed %d: account %d is at %d", seed, n, q)
		}
		sum += q
	}
	equal(t, fmt.Sprintf("seed %d: sum", seed), sum, total)
	t.Logf("seed %d: %d moves, %d of unknown outcome", seed, moves, unknown.Load())
}

var errTooLittle = errors.New("too little")

func transfer(t *testing.T, from, to string, n int) func(*annals.Tx) error {
	return func(tx *annals.Tx) error {
		a, err := Items.Load(tx, from)
		if err != nil {
			return err
		}
		b, err := Items.Load(tx, to)
		if err != nil {
			return err
		}
		if a.Quantity < n {
			return errTooLittle
		}
		return errors.Join(a.Record(QuantityDecreased{n}), b.Increase(n))
	}
}
