package annalstest

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
)

// Noise says which events that have nothing to do with the decision are mixed
// in with what is given.
type Noise int

const (
	// SameTypes are events of types of their own, and the events given once
	// more, in other streams and with other tags.
	SameTypes Noise = iota
	// OtherTypes are only events of types of their own. It is for decisions
	// that depend on every event of a type.
	OtherTypes
	// NoNoise is none.
	NoNoise
)

// unrelated is an event of a type of its own.
type unrelated struct{ N int }

var _ = annals.Declare[unrelated]("annalstest-noise")

// noise appends up to three events to p's log, none if rng is nil.
func (s *Scenario) noise(p *played, rng *rand.Rand) {
	s.t.Helper()
	if rng == nil {
		return
	}
	for range 1 + rng.IntN(3) {
		n := rng.IntN(1000)
		o := one{event: unrelated{n}, options: []annals.RecordOption{annals.WithTags(fmt.Sprintf("noise:%d", n))}}
		if rng.IntN(2) == 0 {
			o = one{stream: fmt.Sprintf("noise-%d", n), event: unrelated{n}}
		}
		if s.opts.Noise == SameTypes && len(s.steps) > 0 && rng.IntN(3) > 0 {
			o = elsewhere(s.steps[rng.IntN(len(s.steps))].one, n)
		}
		if _, err := o.append(s.opts.Context, p.db); err != nil {
			s.t.Fatalf("noise %s: %v", o, err)
		}
	}
}

// elsewhere returns the event of o in another stream and with other tags.
func elsewhere(o one, n int) one {
	if o.stream != "" {
		o.stream = fmt.Sprintf("%s.noise%d", o.stream, n)
	}
	o.options = append(slices.Clone(o.options), func(e *driver.Event) {
		e.ID = annals.NewID()
		for i := range e.Tags {
			e.Tags[i] = fmt.Sprintf("%s.noise%d", e.Tags[i], n)
		}
	})
	return o
}

// checkNoise fails if the decision is another, or is disturbed, among noise.
func (s *Scenario) checkNoise(plain *played, decision func(tx *annals.Tx) error) {
	s.t.Helper()
	rng := rand.New(rand.NewPCG(s.opts.Seed, 0))
	noisy := s.play(rng)
	noisy.decide(s, decision, func() { s.noise(noisy, rng) })
	hint := fmt.Sprintf("noise of seed %d; a decision that is to depend on every event of a type takes Options.Noise OtherTypes", s.opts.Seed)
	if noisy.runs > plain.runs {
		s.t.Errorf("the decision conflicts with events of other streams and tags: it depends on %s\n(%s)", noisy.boundary(), hint)
		return
	}
	if same(plain, noisy, reflect.DeepEqual) {
		return
	}
	again := s.play(nil)
	again.decide(s, decision, nil)
	if !same(plain, again, reflect.DeepEqual) && same(plain, noisy, sameType) {
		return // it differs by itself: new IDs and the like
	}
	s.t.Errorf("the decision is another one among events of other streams and tags; - is without them, + is with them:\n%s(%s)",
		diff(plain.lines(), noisy.lines()), hint)
}

func sameType(a, b any) bool { return reflect.TypeOf(a) == reflect.TypeOf(b) }

// same reports whether two runs of a decision ended alike.
func same(a, b *played, equal func(a, b any) bool) bool {
	if len(a.events) != len(b.events) || errorText(a.err) != errorText(b.err) {
		return false
	}
	for i := range a.events {
		x, y := &a.records[i].Event, &b.records[i].Event
		if x.Stream != y.Stream || !slices.Equal(x.Tags, y.Tags) || !equal(a.events[i], b.events[i]) {
			return false
		}
	}
	return true
}

var positions = regexp.MustCompile(`position \d+`)

// errorText returns what err says, without positions, which noise moves.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return positions.ReplaceAllString(err.Error(), "position …")
}

// lines returns what came of the decision, a line each.
func (p *played) lines() []string {
	var out []string
	for i, e := range p.events {
		out = append(out, describe(p.records[i].Stream, e))
	}
	if p.err != nil {
		out = append(out, "error: "+errorText(p.err))
	}
	return out
}
