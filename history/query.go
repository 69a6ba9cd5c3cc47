package history

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/fold"
)

// Where selects records of a log. What is not set selects all.
type Where struct {
	Query    annals.Query      // by type, tags, stream, category, ID: what the store finds by its indexes
	Metadata map[string]string // records that have all of these values
	Test     string            // a jq program whose input is the record: .data.quantity > 10 and .metadata.actor == "ann"
}

// Query yields the records of log that w selects, as o bounds the reading; the
// limit counts what is selected. A test that fails at a record ends it with an
// error that names the record.
func Query(ctx context.Context, log driver.Log, w Where, o annals.ReadOptions) iter.Seq2[annals.Record, error] {
	return func(yield func(annals.Record, error) bool) {
		test, done, err := w.test(ctx)
		if err != nil {
			yield(annals.Record{}, err)
			return
		}
		defer done()
		limit, left := o.Limit, o.Limit
		if w.Test != "" || len(w.Metadata) > 0 {
			o.Limit = 0
		}
		for r, err := range log.Read(ctx, w.Query, o) {
			if err != nil {
				yield(r, err)
				return
			}
			if !w.hasMetadata(&r) {
				continue
			}
			selected, err := test(&r)
			if err != nil {
				yield(annals.Record{}, err)
				return
			}
			if !selected {
				continue
			}
			if left--; !yield(r, nil) || limit > 0 && left == 0 {
				return
			}
		}
	}
}

// Check returns what is wrong with w's test, nil if nothing is.
func (w Where) Check() error {
	_, err := w.compile()
	return err
}

// compile returns a fold that tests and keeps no state, nil if there is nothing to test.
func (w Where) compile() (*fold.Fold, error) {
	if w.Test == "" {
		return nil, nil
	}
	if _, err := fold.Compile(w.Test, nil); err != nil { // on its own, before it stands within another
		return nil, fmt.Errorf("the test: %w", err)
	}
	f, err := fold.Compile(".", nil)
	if err != nil {
		return nil, err
	}
	return f.Testing("$event | (" + w.Test + "\n)")
}

func (w Where) test(ctx context.Context) (test func(*annals.Record) (bool, error), done func(), err error) {
	f, err := w.compile()
	if err != nil {
		return nil, nil, err
	}
	if f == nil {
		return func(*annals.Record) (bool, error) { return true, nil }, func() {}, nil
	}
	run := f.Start(ctx)
	return func(r *annals.Record) (bool, error) {
		err := run.Apply(r)
		var failed *fold.Error
		if errors.As(err, &failed) {
			err = fmt.Errorf("the test fails at the event at position %d (%s): %w", failed.Position, failed.Type, failed.Err)
		}
		return run.Holds(), err
	}, run.Close, nil
}

func (w Where) hasMetadata(r *annals.Record) bool {
	for key, value := range w.Metadata {
		if r.Metadata.Value(key) != value {
			return false
		}
	}
	return true
}
