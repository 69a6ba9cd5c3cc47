package annalstest

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/memstore"
)

// Options are the options of [New].
type Options struct {
	// DB are the options of the handle that the decision runs on. Its Clock
	// is not used: the scenario has its own. Defaults to those of annals.New.
	DB annals.Options
	// Context is that of the decision; it may carry metadata. Defaults to t.Context().
	Context context.Context
	// Noise says which events are mixed in. Defaults to SameTypes.
	Noise Noise
	// Seed chooses the noise. Defaults to 1.
	Seed uint64
}

// Scenario is what is given. Make it with [New], and use it for one decision.
type Scenario struct {
	t     testing.TB
	opts  Options
	now   time.Time
	steps []step
	ended bool
}

// step is an event given.
type step struct {
	one
	at     time.Time
	beside bool // the decision need not read it
}

// New returns a scenario in which nothing is given yet and the time is [Start].
// What a scenario finds wrong fails t.
func New(t testing.TB, opts *Options) *Scenario {
	s := &Scenario{t: t, now: Start}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Context == nil {
		s.opts.Context = t.Context()
	}
	if s.opts.Seed == 0 {
		s.opts.Seed = 1
	}
	return s
}

// Given says that events are in the log, at the scenario's time: in streams by
// [In], or with tags.
func (s *Scenario) Given(events ...any) *Scenario { return s.add(events, false) }

// Beside is Given for events that the decision need not read.
func (s *Scenario) Beside(events ...any) *Scenario { return s.add(events, true) }

func (s *Scenario) add(events []any, beside bool) *Scenario {
	for _, o := range flat(events) {
		s.steps = append(s.steps, step{o, s.now, beside})
	}
	return s
}

// At sets the time at which what follows is given or decided. It is the time
// of the log and that at which events occur, unless they say otherwise. A log's
// time does not run backwards.
func (s *Scenario) At(now time.Time) *Scenario {
	s.now = now
	return s
}

// Later puts the time forward by d.
func (s *Scenario) Later(d time.Duration) *Scenario { return s.At(s.now.Add(d)) }

// When takes the decision and returns what came of it, on which one of the
// Then methods, [State] or [Fold] is to be called.
func (s *Scenario) When(decision func(tx *annals.Tx) error) *Result {
	s.t.Helper()
	if s.ended {
		s.t.Fatal("a scenario is for one decision; make another with New")
	}
	s.ended = true
	plain := s.play(nil)
	plain.decide(s, decision, nil)
	s.checkBoundary(plain)
	if s.opts.Noise != NoNoise {
		s.checkNoise(plain, decision)
	}
	r := &Result{t: s.t, opts: s.opts, played: plain}
	s.t.Cleanup(func() {
		if !r.checked && !s.t.Failed() {
			s.t.Error("nothing is checked of a decision: call one of the Then methods, State or Fold")
		}
	})
	return r
}

// played is a log with what was given, and what came of the decision.
type played struct {
	clock *Clock
	spy   *spy
	db    *annals.DB
	given []annals.Record // that the decision must read

	runs    int
	err     error
	records []annals.Record // recorded by the decision
	events  []any           // of records, decoded
}

// play makes a log with what was given, and noise if rng is not nil.
func (s *Scenario) play(rng *rand.Rand) *played {
	s.t.Helper()
	p := &played{clock: NewClock(s.now)}
	p.spy = &spy{Log: memstore.New(&memstore.Options{Clock: p.clock.Now})}
	opts := s.opts.DB
	opts.Clock = p.clock.Now
	p.db = annals.New(p.spy, &opts)
	for _, st := range s.steps {
		p.clock.Set(st.at)
		s.noise(p, rng)
		position, err := st.append(s.opts.Context, p.db)
		if err != nil {
			s.t.Fatalf("given %s: %v", st, err)
		}
		if !st.beside {
			p.given = append(p.given, read(s.t, p.db, position, position)...)
		}
	}
	p.clock.Set(s.now)
	s.noise(p, rng)
	return p
}

// decide runs the decision; meanwhile, if not nil, runs once before it commits.
func (p *played) decide(s *Scenario, decision func(tx *annals.Tx) error, meanwhile func()) {
	s.t.Helper()
	p.spy.forget()
	receipt, err := p.db.Update(s.opts.Context, func(tx *annals.Tx) error {
		p.runs++
		err := decision(tx)
		if p.runs == 1 && meanwhile != nil {
			meanwhile()
		}
		return err
	})
	p.spy.stop()
	p.err = err
	if receipt.First == 0 {
		return
	}
	p.records = read(s.t, p.db, receipt.First, receipt.Last)
	p.events = decode(s.t, p.db, p.records)
}

func read(t testing.TB, db *annals.DB, first, last annals.Position) []annals.Record {
	t.Helper()
	records, err := db.Select(context.Background(), first, int(last-first)+1)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// decode returns the event of each record.
func decode(t testing.TB, db *annals.DB, records []annals.Record) []any {
	t.Helper()
	out := make([]any, len(records))
	for i, r := range records {
		events, err := db.Decode(r)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = events[0] // what was just appended is of no old form
	}
	return out
}
