package drivertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/annals-db/annals/driver"
)

var raceTests = []test{
	{"racing writers leave a history that their conditions explain", func(e *env) {
		e.seeds(2, func(e *env, r *rand.Rand) { raceHistory(e, r, []driver.Log{e.log}) })
	}},
	{"racing writers on two handles leave a history that their conditions explain", func(e *env) {
		e.seeds(1, func(e *env, r *rand.Rand) {
			other := e.second()
			if why := other.info().ReadOnly; why != "" {
				e.Skipf("the other handle is read-only: %s", why)
			}
			raceHistory(e, r, []driver.Log{e.log, other.log})
		})
	}},
	{"a decision by tags is never made twice", func(e *env) {
		// Each writer enrols students while there are seats, by a fold and one append.
		const seats = 30
		race(e, 12, func(w int) error {
			for i := 0; ; {
				taken, head, err := 0, driver.Position(0), error(nil)
				for r, err := range e.log.Read(e.ctx, tagged("course:c1"), driver.ReadOptions{}) {
					if err != nil {
						return err
					}
					taken, head = taken+1, r.Position
				}
				if taken >= seats {
					return nil
				}
				_, err = e.log.Append(e.ctx, driver.Batch{
					Events:     []driver.Event{e.event("", "Enrolled", "course:c1", fmt.Sprintf("student:%d-%d", w, i))},
					Conditions: []driver.Condition{driver.NoneAfter(tagged("course:c1"), head)},
				})
				var conflict *driver.ConflictError
				if err == nil {
					i++
				} else if !errors.As(err, &conflict) {
					return err
				}
			}
		})
		equal(e.T, "seats taken", len(e.read(tagged("course:c1"), driver.ReadOptions{})), seats)
	}},
	{"money moved between streams is neither made nor lost", func(e *env) {
		const accounts, each = 4, 50
		for a := range accounts {
			e.append(driver.Event{ID: e.id(), Stream: fmt.Sprintf("account-%d", a), Type: "Deposited", Data: []byte{each}})
		}
		e.seeds(1, func(_ *env, r *rand.Rand) {
			rs := rngs(r, 8)
			race(e, 8, func(w int) error { return transfers(e, rs[w], accounts, 15) })
		})
		balances, total := map[string]int{}, 0
		for _, r := range e.all() {
			amount := int(r.Data[0])
			if r.Type == "Withdrawn" {
				amount = -amount
			}
			balances[r.Stream] += amount
			total += amount
			if balances[r.Stream] < 0 {
				e.Fatalf("at position %d %s has %d", r.Position, r.Stream, balances[r.Stream])
			}
		}
		equal(e.T, "money", total, accounts*each)
	}},
}

func rngs(r *rand.Rand, n int) []*rand.Rand {
	out := make([]*rand.Rand, n)
	for i := range out {
		out[i] = rand.New(rand.NewPCG(r.Uint64(), uint64(i)))
	}
	return out
}

// transfers moves a random amount from one account to another n times, each by
// one append on both streams' versions.
func transfers(e *env, r *rand.Rand, accounts, n int) error {
	for done := 0; done < n; {
		from, to := r.IntN(accounts), r.IntN(accounts)
		if from == to {
			continue
		}
		a, b := fmt.Sprintf("account-%d", from), fmt.Sprintf("account-%d", to)
		has, va, err := balanceOf(e, a)
		if err != nil {
			return err
		}
		_, vb, err := balanceOf(e, b)
		if err != nil {
			return err
		}
		if has <= 0 {
			done++
			continue
		}
		amount := byte(has) // what a second decision on the same balance would overdraw
		if r.IntN(3) == 0 {
			amount = byte(1 + r.IntN(min(has, 200)))
		}
		_, err = e.log.Append(e.ctx, driver.Batch{
			Events: []driver.Event{
				{ID: e.id(), Stream: a, Type: "Withdrawn", Data: []byte{amount}},
				{ID: e.id(), Stream: b, Type: "Deposited", Data: []byte{amount}},
			},
			Conditions: []driver.Condition{driver.StreamAt(a, va), driver.StreamAt(b, vb)},
		})
		var conflict *driver.ConflictError
		if err == nil {
			done++
		} else if !errors.As(err, &conflict) {
			return err
		}
	}
	return nil
}

func balanceOf(e *env, account string) (balance int, version uint64, err error) {
	for r, err := range e.log.Read(e.ctx, ofStream(account), driver.ReadOptions{}) {
		if err != nil {
			return 0, 0, err
		}
		version = r.Version
		if r.Type == "Deposited" {
			balance += int(r.Data[0])
		} else {
			balance -= int(r.Data[0])
		}
	}
	return balance, version, nil
}

// raceHistory lets writers append by random decisions and judges the history.
func raceHistory(e *env, r *rand.Rand, handles []driver.Log) {
	const writers, each = 10, 40
	h := &history{}
	rs := rngs(r, writers)
	race(e, writers, func(n int) error {
		w := &writer{env: e, r: rs[n], log: handles[n%len(handles)], history: h}
		for range each {
			if err := w.act(e.ctx); err != nil {
				return err
			}
		}
		return nil
	})
	log := e.all()
	for _, fault := range h.faults(log) {
		e.Error(fault)
	}
	taken, refused, repeated := h.counts()
	e.Logf("%d appends taken, %d refused, %d repeated, %d records", taken, refused, repeated, len(log))
	if taken == 0 || refused == 0 || repeated == 0 {
		e.Error("the history shows nothing: there must be some of each")
	}
}

// writer makes random appends and remembers what it was told.
type writer struct {
	*env
	r       *rand.Rand
	log     driver.Log
	history *history
	mine    []*operation // that succeeded
}

// act reads what a random decision needs, decides, appends and remembers.
func (w *writer) act(ctx context.Context) error {
	if len(w.mine) > 0 && w.r.IntN(12) == 0 {
		return w.try(ctx, pick(w.r, w.mine).batch)
	}
	var b driver.Batch
	for range 1 + w.r.IntN(3) {
		b.Events = append(b.Events, zooEvent(w.id(), w.r))
	}
	for range w.r.IntN(3) {
		c, err := w.condition(ctx)
		if err != nil {
			return err
		}
		b.Conditions = append(b.Conditions, c)
	}
	return w.try(ctx, b)
}

// condition returns a condition that held when the writer looked, mostly.
func (w *writer) condition(ctx context.Context) (driver.Condition, error) {
	stream := zooStreams[w.r.IntN(len(zooStreams)-1)]
	switch w.r.IntN(8) {
	case 0:
		return driver.StreamAbsent(stream), nil
	case 1:
		return driver.StreamPresent(stream), nil
	case 2, 3, 4:
		version := uint64(0)
		for r, err := range w.log.Read(ctx, ofStream(stream), driver.ReadOptions{Backward: true, Limit: 1}) {
			if err != nil {
				return driver.Condition{}, err
			}
			version = r.Version
		}
		return driver.StreamAt(stream, version), nil
	}
	q := items(driver.Item{Types: some(w.r, zooTypes, 2), Tags: []string{pick(w.r, zooTags)}})
	if w.r.IntN(4) == 0 {
		q = randomQuery(w.r)
	}
	info, err := w.log.Info(ctx)
	if err != nil {
		return driver.Condition{}, err
	}
	after := info.Head
	if w.r.IntN(3) == 0 {
		after = 0
		for r, err := range w.log.Read(ctx, q, driver.ReadOptions{Backward: true, Limit: 1}) {
			if err != nil {
				return driver.Condition{}, err
			}
			after = r.Position
		}
	}
	return driver.NoneAfter(q, after), nil
}

// try appends b and remembers when, what came of it, and how far the log could
// be read when the answer was there.
func (w *writer) try(ctx context.Context, b driver.Batch) error {
	if w.r.IntN(3) == 0 {
		time.Sleep(time.Duration(w.r.IntN(100)) * time.Microsecond) // let the decision grow old
	}
	op := &operation{batch: b, called: w.history.clock.Add(1)}
	op.receipt, op.err = w.log.Append(ctx, b)
	op.answered = w.history.clock.Add(1)
	info, err := w.log.Info(ctx)
	if err != nil {
		return err
	}
	op.readable = info.Head
	w.history.add(op)
	if op.err == nil && !op.receipt.Repeated {
		w.mine = append(w.mine, op)
	}
	return nil
}
