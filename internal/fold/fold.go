package fold

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/itchyny/gojq"

	"github.com/annals-db/annals/driver"
)

// Options of a fold.
type Options struct {
	// Limit is how long one event may take. Defaults to 5 s
	Limit time.Duration
}

// Fold is a compiled fold. It may be used by any number of goroutines at once.
type Fold struct {
	loop   *gojq.Query // nil for the merge
	fields fields      // of $event that the program looks at
	limit  time.Duration
	tests  bool // the loop gives [state, whether the predicate holds]
}

// Error says at which event a fold failed.
type Error struct {
	Position driver.Position
	Stream   string
	Version  uint64
	Type     string
	Err      error
}

func (e *Error) Error() string {
	where := ""
	if e.Stream != "" {
		where = fmt.Sprintf("version %d of %s, ", e.Version, e.Stream)
	}
	return fmt.Sprintf("the fold fails at the event at position %d (%s%s): %v", e.Position, where, e.Type, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// ErrLimit is wrapped when one event took longer than the fold's limit.
var ErrLimit = errors.New("it takes too long")

// Compile compiles a jq program. The error says what is wrong with it.
func Compile(program string, o *Options) (*Fold, error) {
	q, err := gojq.Parse(program)
	if err != nil {
		return nil, fmt.Errorf("the fold is not a jq program: %w", err)
	}
	used, err := inspect(q)
	if err != nil {
		return nil, err
	}
	f := &Fold{loop: loop(q), fields: used, limit: o.limit()}
	if _, err := f.compile(nil); err != nil {
		return nil, fmt.Errorf("the fold is not a jq program: %w", err)
	}
	return f, nil
}

// Merge returns the fold that takes each event's data as an RFC 7386 merge
// patch of the state.
func Merge() *Fold { return &Fold{fields: fields{"data": true}, limit: (*Options)(nil).limit()} }

func (o *Options) limit() time.Duration {
	if o == nil || o.Limit <= 0 {
		return 5 * time.Second
	}
	return o.Limit
}

// eventsName is the function that gives a loop its events.
const eventsName = "__events"

// loop returns foreach __events as $event ({}; program). One long run of the
// interpreter costs less than one run for each event.
func loop(program *gojq.Query) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeForeach, Foreach: &gojq.Foreach{
		Query:    &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: eventsName}}},
		Patterns: []*gojq.Pattern{{Name: "$event"}},
		Start:    &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity}},
		Update:   program,
	}}}
}

func (f *Fold) compile(events gojq.Iter) (*gojq.Code, error) {
	return gojq.Compile(f.loop,
		gojq.WithIterFunction(eventsName, 0, 0, func(any, []any) gojq.Iter { return events }),
		gojq.WithFunction(mergeName, 1, 1, func(state any, patch []any) any { return mergePatch(state, patch[0]) }))
}

// Over folds all of records, and returns the state and how many there were.
func (f *Fold) Over(ctx context.Context, records iter.Seq2[driver.Record, error]) (state any, n int, err error) {
	r := f.Start(ctx)
	defer r.Close()
	for rec, err := range records {
		if err != nil {
			return nil, n, err
		}
		if err := r.Apply(&rec); err != nil {
			return nil, n, err
		}
		n++
	}
	if err := r.Finish(); err != nil {
		return nil, n, err
	}
	return r.State(), n, nil
}

// Marshal returns a state as JSON, the keys of objects sorted.
func Marshal(state any) ([]byte, error) { return gojq.Marshal(state) }
