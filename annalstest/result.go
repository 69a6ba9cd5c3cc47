package annalstest

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
)

// Result is what came of a decision.
type Result struct {
	t    testing.TB
	opts Options
	*played
	checked bool
}

// Then requires that the decision recorded exactly these events, in this order:
// in streams by [In], or with tags. Without events it requires that the decision
// succeeded and recorded nothing.
func (r *Result) Then(events ...any) *Result {
	r.t.Helper()
	r.checked = true
	want := flat(events)
	if r.err != nil {
		r.t.Errorf("the decision failed: %v\nwant:\n%s", r.err, diff(texts(want), nil))
		return r
	}
	wanted := r.record(want)
	equal := len(want) == len(r.events)
	var wants, gots []string
	for i := range max(len(want), len(r.events)) {
		w, g := "", ""
		if i < len(want) {
			w = line(&wanted.records[i], wanted.events[i], want[i].asked())
		}
		if i < len(r.events) {
			g = line(&r.records[i], r.events[i], asked(want, i))
		}
		switch {
		case i >= len(want) || i >= len(r.events):
		case !matches(wanted, r.played, i, want[i].asked()):
			equal = false
			if w == g { // it differs in what %+v does not show
				w, g = fmt.Sprintf("%s = %#v", w, wanted.events[i]), fmt.Sprintf("%s = %#v", g, r.events[i])
			}
		default:
			g = w
		}
		if w != "" {
			wants = append(wants, w)
		}
		if g != "" {
			gots = append(gots, g)
		}
	}
	if !equal {
		r.t.Errorf("the decision recorded other events; - is wanted, + is what it recorded:\n%s", diff(wants, gots))
	}
	return r
}

// matches reports whether event i is the same in both, in what is asked too.
func matches(wanted, got *played, i int, asked driver.Event) bool {
	w, g := &wanted.records[i], &got.records[i]
	return w.Stream == g.Stream && slices.Equal(w.Tags, g.Tags) && reflect.DeepEqual(wanted.events[i], got.events[i]) &&
		(asked.Occurred.IsZero() || w.Occurred.Equal(g.Occurred)) && (asked.ID == annals.ID{} || w.ID == g.ID)
}

func asked(want []one, i int) driver.Event {
	if i < len(want) {
		return want[i].asked()
	}
	return driver.Event{}
}

// record records what is wanted in a log of its own, so that it can be
// compared as it comes back from one.
func (r *Result) record(want []one) *played {
	r.t.Helper()
	s := &Scenario{t: r.t, opts: r.opts, now: r.clock.Now()}
	for _, o := range want {
		s.steps = append(s.steps, step{one: o, at: s.now})
	}
	p := s.play(nil)
	p.records = p.given
	p.events = decode(r.t, p.db, p.records)
	return p
}

var address = regexp.MustCompile(`0x[0-9a-f]{8,}`)

// line returns an event with its stream, its tags, and what is asked of it.
func line(rec *annals.Record, event any, asked driver.Event) string {
	text := describe(rec.Stream, event)
	if address.MatchString(text) && rec.Encoding == "" { // which says nothing
		text = describe(rec.Stream, Stored{Type: fmt.Sprintf("%T", event), Data: string(rec.Data)})
	}
	if len(rec.Tags) > 0 {
		text += " tagged " + strings.Join(rec.Tags, ", ")
	}
	if !asked.Occurred.IsZero() {
		text += " occurred " + rec.Occurred.Format(time.RFC3339Nano)
	}
	if asked.ID != (annals.ID{}) {
		text += " with ID " + rec.ID.String()
	}
	return text
}

func texts(events []one) []string {
	var out []string
	for _, o := range events {
		out = append(out, o.String())
	}
	return out
}

// ThenError requires that the decision failed with target, in the sense of
// errors.Is.
func (r *Result) ThenError(target error) *Result {
	r.t.Helper()
	r.checked = true
	if !errors.Is(r.err, target) {
		r.t.Errorf("want the error %q, %s", target, r.outcome())
	}
	return r
}

// ThenErrorSays requires that the decision failed with an error that says each
// of words.
func (r *Result) ThenErrorSays(words ...string) *Result {
	r.t.Helper()
	r.checked = true
	for _, w := range words {
		if r.err == nil || !strings.Contains(r.err.Error(), w) {
			r.t.Errorf("want an error that says %q, %s", w, r.outcome())
		}
	}
	if r.err == nil && len(words) == 0 {
		r.t.Errorf("want an error, %s", r.outcome())
	}
	return r
}

func (r *Result) outcome() string {
	switch {
	case r.err != nil:
		return fmt.Sprintf("the decision failed with %q", r.err)
	case len(r.events) == 0:
		return "the decision recorded nothing"
	}
	return "the decision recorded:\n" + diff(nil, r.lines())
}

// View returns a view of the log after the decision.
func (r *Result) View() *annals.View {
	r.checked = true
	return r.db.View(r.opts.Context)
}

// State requires that an entity is in the state want after the decision. The
// embedded annals.Entity is not compared.
func State[S any](r *Result, m *annals.Model[S], id string, want S) *Result {
	r.t.Helper()
	got, err := m.Load(r.View(), id)
	return compareState(r, m.Stream(id), got, err, want)
}

// Fold requires that m folded over the events with the tags gives the state
// want after the decision.
func Fold[S any](r *Result, m *annals.Model[S], want S, tags ...string) *Result {
	r.t.Helper()
	got, err := m.Fold(r.View(), tags...)
	return compareState(r, fmt.Sprintf("%s over %q", m.Category(), tags), got, err, want)
}

func compareState[S any](r *Result, what string, got *S, err error, want S) *Result {
	r.t.Helper()
	if err != nil {
		r.t.Errorf("the state of %s: %v", what, err)
		return r
	}
	anonymous(got)
	anonymous(&want)
	if !reflect.DeepEqual(*got, want) {
		a, b := show("%+v", want), show("%+v", *got)
		if a == b {
			a, b = show("%#v", want), show("%#v", *got)
		}
		r.t.Errorf("the state of %s is another; - is wanted, + is what it is:\n%s", what, diff([]string{a}, []string{b}))
	}
	return r
}

// anonymous takes the identity from an entity.
func anonymous[S any](s *S) {
	v := reflect.ValueOf(s).Elem()
	if v.Kind() != reflect.Struct {
		return
	}
	for i := range v.NumField() {
		if v.Field(i).Type() == reflect.TypeFor[annals.Entity]() && v.Field(i).CanSet() {
			v.Field(i).SetZero()
		}
	}
}

// show formats a state without the embedded annals.Entity.
func show(format string, state any) string {
	text := fmt.Sprintf(format, state)
	for _, e := range []string{"Entity:{core:<nil>} ", "Entity:annals.Entity{core:(*annals.entityCore)(nil)}, "} {
		text = strings.Replace(text, e, "", 1)
	}
	return text
}
