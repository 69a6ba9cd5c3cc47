package sqlitestore

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/annals-db/annals/driver"
)

// State returns the small state beside the log, nil if the store is open read-only.
func (s *Store) State() driver.State {
	if s.opts.ReadOnly {
		return nil
	}
	return state{s}
}

// ReadState returns the state to look at.
func (s *Store) ReadState() driver.State { return state{s} }

// state is the table annals_state. What changes it shares the transactions of
// appends. Revisions count over all keys, so a key that was deleted and made
// again never has an old one.
type state struct{ s *Store }

func (st state) Load(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	err = st.s.use(ctx, func(c *conn) error {
		value, revision, err = c.loadState(key)
		return err
	})
	if err == nil && revision == 0 {
		err = fmt.Errorf("load state %q: %w", key, driver.ErrNotFound)
	}
	return value, revision, st.s.found("look at", err)
}

// loadState returns the value under key, revision 0 if there is none.
func (c *conn) loadState(key string) (value []byte, revision uint64, err error) {
	err = each(c.state, func() bool {
		revision = uint64(c.state.ColumnInt64(0))
		value = bytes.Clone(c.state.ColumnRawBlob(1))
		return false
	}, key)
	return value, revision, err
}

func (st state) Save(ctx context.Context, key string, value []byte, expect uint64) (uint64, error) {
	if err := driver.ValidateState(key, value); err != nil {
		return 0, err
	}
	if st.s.opts.ReadOnly {
		return 0, st.s.refusal()
	}
	var revision uint64                // the writer's, until it has answered
	value = append([]byte{}, value...) // the caller may end its waiting, and use it again
	err := st.s.share(ctx, func(w *writer) (refusal, failure error) {
		revision, refusal, failure = w.save(key, value, expect)
		return refusal, failure
	})
	if err != nil {
		return 0, err
	}
	return revision, nil
}

func (w *writer) save(key string, value []byte, expect uint64) (revision uint64, refusal, failure error) {
	if refusal, failure = w.expect("save", key, expect); refusal != nil || failure != nil {
		return 0, refusal, failure
	}
	if revision, failure = w.revise(); failure != nil {
		return 0, nil, failure
	}
	if value == nil {
		value = []byte{}
	}
	return revision, nil, exec(w.saveState, key, revision, value)
}

// revise returns the next revision.
func (w *writer) revise() (revision uint64, err error) {
	err = each(w.nextRevision, func() bool {
		revision = uint64(w.nextRevision.ColumnInt64(0))
		return true
	})
	return revision, err
}

func (st state) Delete(ctx context.Context, key string, expect uint64) error {
	if st.s.opts.ReadOnly {
		return st.s.refusal()
	}
	return st.s.share(ctx, func(w *writer) (refusal, failure error) { return w.delete(key, expect) })
}

func (w *writer) delete(key string, expect uint64) (refusal, failure error) {
	if refusal, failure = w.expect("delete", key, expect); refusal != nil || failure != nil {
		return refusal, failure
	}
	return nil, exec(w.deleteState, key)
}

// expect refuses unless key is at the revision expected, 0 for absent.
func (w *writer) expect(verb, key string, revision uint64) (refusal, failure error) {
	_, at, err := w.c.loadState(key)
	if err != nil || revision == driver.AnyRevision || revision == at {
		return nil, err
	}
	return fmt.Errorf("%s state %q: it is at revision %d, not %d: %w", verb, key, at, revision, driver.ErrRevision), nil
}

func (st state) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return stateKeys(ctx, prefix, st.s.use, st.s.found)
}

// stateKeys yields the keys that begin with prefix, read piece by piece.
func stateKeys(ctx context.Context, prefix string, use func(context.Context, func(*conn) error) error, failed func(string, error) error) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for from, more := prefix, true; more; {
			var names []string
			err := use(ctx, func(c *conn) error {
				return each(c.stateNames, func() bool {
					names = append(names, c.stateNames.ColumnText(0))
					return true
				}, from)
			})
			if err != nil {
				yield("", failed("look at", err))
				return
			}
			for _, n := range names {
				if err := ctx.Err(); err != nil {
					yield("", err)
					return
				}
				if !strings.HasPrefix(n, prefix) || !yield(n, nil) {
					return
				}
			}
			if more = len(names) > 0; more {
				from = names[len(names)-1] + "\x00"
			}
		}
	}
}
