package drivertest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/annals-db/annals/driver"
)

// patience is how long a test waits for what should come at once.
var patience = 10 * time.Second

// env is what one test works with: a new log of the store and helpers that
// fail the test where an error was not asked for.
type env struct {
	*testing.T
	ctx context.Context
	h   Harness
	log driver.Log
	ids *atomic.Uint64 // the number of the last event ID, over all logs of the test
}

// open opens a new log with the store's own clock.
func open(t *testing.T, h Harness) *env {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	e := &env{T: t, ctx: ctx, h: h, ids: new(atomic.Uint64)}
	return e.another(nil)
}

// another opens another new log.
func (e *env) another(clock func() time.Time) *env {
	e.Helper()
	other := *e
	other.log = other.closing(e.h.Open(e.T, clock))
	return &other
}

// withClock opens another log, on a clock that the test sets.
func (e *env) withClock() (*env, *clock) {
	e.Helper()
	c := &clock{}
	c.set(time.Date(2024, 2, 29, 12, 0, 0, 123456789, time.UTC))
	return e.another(c.now), c
}

// closing has log closed at the end of the test.
func (e *env) closing(log driver.Log) driver.Log {
	e.Cleanup(func() {
		if err := log.Close(); err != nil {
			e.Errorf("Close: %v", err)
		}
	})
	return log
}

// reopen closes the log and opens it again.
func (e *env) reopen() {
	e.Helper()
	e.log = e.closing(e.h.Reopen(e.T, e.log))
}

// clock is a clock that stands still until it is set.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) set(t time.Time)         { c.at.Store(t.UnixNano()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

// id returns an ID that the test has not used yet; half of them are in order of time.
func (e *env) id() driver.ID { return numbered(e.ids.Add(1)) }

func numbered(n uint64) (id driver.ID) {
	binary.BigEndian.PutUint64(id[8:], n*0x9e3779b97f4a7c15)
	id[6], id[8] = 0x40, 0x80|id[8]>>2
	binary.BigEndian.PutUint32(id[:], uint32(n)*0x85ebca6b)
	binary.BigEndian.PutUint32(id[9:], uint32(n))
	if n%2 == 0 {
		id[6] = 0x70
		binary.BigEndian.PutUint32(id[:], 0x01900000+uint32(n)) // most significant bits of the time
	}
	return id
}

// event returns a new event of a stream, or of none if it is "".
func (e *env) event(stream, typ string, tags ...string) driver.Event {
	id := e.id()
	return driver.Event{ID: id, Stream: stream, Type: typ, Tags: tags, Data: fmt.Appendf(nil, `{"id":%q}`, id)}
}

// events returns n new events of one stream.
func (e *env) events(stream string, n int) []driver.Event {
	events := make([]driver.Event, n)
	for i := range events {
		events[i] = e.event(stream, "Happened")
	}
	return events
}

// append appends events without a condition and returns the receipt.
func (e *env) append(events ...driver.Event) driver.Receipt {
	e.Helper()
	return e.appendBatch(driver.Batch{Events: events})
}

// appendIf appends events under conditions that must hold.
func (e *env) appendIf(conditions []driver.Condition, events ...driver.Event) driver.Receipt {
	e.Helper()
	return e.appendBatch(driver.Batch{Events: events, Conditions: conditions})
}

func (e *env) appendBatch(b driver.Batch) driver.Receipt {
	e.Helper()
	r, err := e.log.Append(e.ctx, b)
	if err != nil {
		e.Fatalf("Append: %v", err)
	}
	return r
}

// refuses appends b, which must be refused with an error of type E and leave
// no trace, and returns the error.
func refuses[E error](e *env, b driver.Batch) E {
	e.Helper()
	before := e.all()
	r, err := e.log.Append(e.ctx, b)
	var want E
	if !errors.As(err, &want) {
		e.Fatalf("Append returned %+v and error %v (%T), want a %T", r, err, err, want)
	}
	same(e.T, e.all(), before)
	return want
}

// conflict appends an event under conditions, which must be refused with a
// *driver.ConflictError, and checks what holds of each such error.
func (e *env) conflict(conditions ...driver.Condition) *driver.ConflictError {
	e.Helper()
	c := refuses[*driver.ConflictError](e, driver.Batch{Events: []driver.Event{e.event("loser", "Lost")}, Conditions: conditions})
	if c.Index < 0 || c.Index >= len(conditions) {
		e.Fatalf("the conflict names condition %d of %d", c.Index, len(conditions))
	}
	equal(e.T, "the condition named", c.Condition.String(), conditions[c.Index].String())
	if head := e.head(); c.Head > head || c.Head == 0 && head != 0 {
		e.Errorf("the conflict's head is %d, the log's is %d", c.Head, head)
	}
	return c
}

// info returns the log's info.
func (e *env) info() driver.Info {
	e.Helper()
	info, err := e.log.Info(e.ctx)
	if err != nil {
		e.Fatalf("Info: %v", err)
	}
	return info
}

func (e *env) head() driver.Position { e.Helper(); return e.info().Head }

// read returns what a read yields.
func (e *env) read(q driver.Query, o driver.ReadOptions) []driver.Record {
	e.Helper()
	records, err := collect(e.ctx, e.log, q, o)
	if err != nil {
		e.Fatalf("Read %s %+v: %v", q, o, err)
	}
	return records
}

// all returns the whole log.
func (e *env) all() []driver.Record { e.Helper(); return e.read(driver.Query{}, driver.ReadOptions{}) }

func collect(ctx context.Context, log driver.Log, q driver.Query, o driver.ReadOptions) ([]driver.Record, error) {
	var records []driver.Record
	for r, err := range log.Read(ctx, q, o) {
		if err != nil {
			return records, err
		}
		records = append(records, r)
	}
	return records, nil
}

// capability returns log as a T. Where log does not offer it, or only wraps a
// log that does not, the test is skipped.
func capability[T any](e *env) T {
	e.Helper()
	inner := e.log
	for {
		u, ok := inner.(interface{ Unwrap() driver.Log })
		if !ok {
			break
		}
		inner = u.Unwrap()
	}
	_, ok := inner.(T)
	c, ok2 := e.log.(T)
	if !ok || !ok2 {
		e.Skipf("%T is no %T", e.log, (*T)(nil))
	}
	return c
}

// seeds runs f with each seed that is to be tried: fallback of them unless
// ANNALS_SEEDS says how many or ANNALS_SEED says which.
func (e *env) seeds(fallback int, f func(e *env, r *rand.Rand)) {
	first, n := rand.Uint64()>>16, fallback
	if v, err := strconv.Atoi(os.Getenv("ANNALS_SEEDS")); err == nil {
		n = v
	}
	if v, err := strconv.ParseUint(os.Getenv("ANNALS_SEED"), 10, 64); err == nil {
		first, n = v, 1
	}
	for seed := first; seed < first+uint64(n); seed++ {
		e.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Logf("repeat with ANNALS_SEED=%d", seed)
			f(open(t, e.h), rand.New(rand.NewPCG(seed, 1)))
		})
	}
}
