package drivertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
)

var modelTests = []test{
	{"random calls are answered as by memstore", func(e *env) {
		e.seeds(3, func(e *env, r *rand.Rand) {
			e, c := e.withClock()
			m := &model{env: e, r: r, clock: c, oracle: memstore.New(&memstore.Options{Clock: c.now, Limits: e.info().Limits})}
			for range 150 {
				m.step()
				if e.Failed() {
					e.Fatalf("after %d appends", len(m.tried))
				}
			}
			m.compare(driver.Query{}, driver.ReadOptions{})
		})
	}},
	{"random calls and reopenings are answered as by memstore", func(e *env) {
		e.seeds(2, func(e *env, r *rand.Rand) {
			e, c := e.withClock()
			e.reopen()
			m := &model{env: e, r: r, clock: c, oracle: memstore.New(&memstore.Options{Clock: c.now, Limits: e.info().Limits})}
			for i := range 150 {
				if i%15 == 14 {
					e.reopen()
				}
				m.step()
				if e.Failed() {
					e.Fatalf("after %d appends", len(m.tried))
				}
			}
			m.compare(driver.Query{}, driver.ReadOptions{})
		})
	}},
}

// model makes the same random calls to a log and to the oracle.
type model struct {
	*env
	r      *rand.Rand
	clock  *clock
	oracle *memstore.Store
	tried  []driver.Batch
}

func (m *model) step() {
	m.Helper()
	m.clock.advance(time.Duration(m.r.IntN(2000)-500) * time.Microsecond)
	switch m.r.IntN(5) {
	case 0:
		m.compare(randomQuery(m.r), m.options())
	case 1:
		m.locate()
	default:
		m.tried = append(m.tried, m.batch())
		m.append(m.tried[len(m.tried)-1])
	}
}

// append appends b to both and compares the answers.
func (m *model) append(b driver.Batch) {
	m.Helper()
	got, gotErr := m.log.Append(m.ctx, b)
	want, wantErr := m.oracle.Append(m.ctx, b)
	want.Durability = got.Durability
	if d := receiptDifference(got, want); d != "" || got.Repeated != want.Repeated {
		m.Errorf("Append of %+v: %s (repeated %v, want %v)", b, d, got.Repeated, want.Repeated)
	}
	if g, w := answer(gotErr), answer(wantErr); g != w {
		m.Errorf("Append of %+v returned\n%s, want\n%s", b, g, w)
	}
	info, oracle := m.info(), m.oracle
	want2, _ := oracle.Info(m.ctx)
	equal(m.T, "head", info.Head, want2.Head)
	equal(m.T, "time of the log", instant(info.Time), instant(want2.Time))
}

// answer is what of an error every store must answer alike: where several
// IDs or matching positions could be named, or the wording is free, it is left out.
func answer(err error) string {
	var conflict *driver.ConflictError
	var id *driver.IDError
	var invalid *driver.InvalidError
	var limit *driver.LimitError
	var position *driver.PositionError
	switch {
	case errors.As(err, &conflict):
		return fmt.Sprintf("conflict %d %s, head %d, version %d", conflict.Index, conditionText([]driver.Condition{conflict.Condition}), conflict.Head, conflict.Version)
	case errors.As(err, &id):
		return "IDs known otherwise"
	case errors.As(err, &invalid):
		return fmt.Sprintf("invalid %s of %d", invalid.Field, invalid.Index)
	case errors.As(err, &limit):
		return fmt.Sprintf("limit %+v", *limit)
	case errors.As(err, &position):
		return fmt.Sprintf("no such position, head %d", position.Head)
	}
	return fmt.Sprint(err)
}

// compare reads from both.
func (m *model) compare(q driver.Query, o driver.ReadOptions) {
	m.Helper()
	got, gotErr := collect(m.ctx, m.log, q, o)
	want, wantErr := collect(context.Background(), m.oracle, q, o)
	if g, w := answer(gotErr), answer(wantErr); g != w {
		m.Errorf("Read %s %+v ended with\n%s, want\n%s", q, o, g, w)
	}
	same(m.T, got, want)
}

func (m *model) locate() {
	m.Helper()
	l, ok := m.log.(driver.Locator)
	if !ok {
		return
	}
	at := m.clock.now().Add(-time.Duration(m.r.IntN(20_000)) * time.Microsecond)
	got, err := l.PositionAt(m.ctx, at)
	want, _ := m.oracle.PositionAt(m.ctx, at)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) || err == nil && got != want {
		m.Errorf("PositionAt(%v) returned %d and %v, want %d", at, got, err, want)
	}
}

// position is a random place, mostly in the log and sometimes just beyond.
func (m *model) position() driver.Position { return driver.Position(m.r.IntN(int(m.head()) + 2)) }

func (m *model) options() (o driver.ReadOptions) {
	if m.r.IntN(2) == 0 {
		o.After = m.position()
	}
	if m.r.IntN(2) == 0 {
		o.UpTo = m.position()
	}
	o.Backward, o.Limit = m.r.IntN(2) == 0, m.r.IntN(6)
	return o
}

// batch is a new batch, or one tried before, whole or changed.
func (m *model) batch() driver.Batch {
	var b driver.Batch
	for range 1 + m.r.IntN(4) {
		b.Events = append(b.Events, zooEvent(m.id(), m.r))
	}
	for range m.r.IntN(3) {
		b.Conditions = append(b.Conditions, m.condition())
	}
	if m.r.IntN(6) == 0 && len(b.Conditions) == 0 {
		b.Time = m.clock.now().Add(time.Duration(m.r.IntN(1000)) * time.Nanosecond)
	}
	if len(m.tried) == 0 || m.r.IntN(3) > 0 {
		return b
	}
	old := pick(m.r, m.tried)
	switch m.r.IntN(5) {
	case 0, 1:
		return old
	case 2:
		b.Events = append(b.Events, old.Events...)
	case 3:
		b.Events = old.Events[:1+m.r.IntN(len(old.Events))]
	case 4:
		b.Events[0].ID = old.Events[0].ID
	}
	return b
}

func (m *model) condition() driver.Condition {
	stream := zooStreams[m.r.IntN(len(zooStreams)-1)]
	switch m.r.IntN(4) {
	case 0:
		return driver.StreamAbsent(stream)
	case 1:
		return driver.StreamPresent(stream)
	case 2:
		return driver.StreamAt(stream, uint64(m.r.IntN(6)))
	}
	return driver.NoneAfter(randomQuery(m.r), m.position())
}
