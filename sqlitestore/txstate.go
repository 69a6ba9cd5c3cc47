package sqlitestore

import (
	"context"
	"fmt"
	"iter"

	"github.com/annals-db/annals/driver"
)

// State returns the state as the transaction sees it; what is saved is
// committed with it.
func (t *txLog) State() driver.State { return txState{t} }

type txState struct{ t *txLog }

func (st txState) Load(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	err = st.t.use(ctx, func(c *conn) error {
		value, revision, err = c.loadState(key)
		return err
	})
	if err == nil && revision == 0 {
		err = fmt.Errorf("load state %q: %w", key, driver.ErrNotFound)
	}
	return value, revision, st.t.s.found("look at", err)
}

func (st txState) Save(ctx context.Context, key string, value []byte, expect uint64) (revision uint64, err error) {
	if err := driver.ValidateState(key, value); err != nil {
		return 0, err
	}
	err = st.t.write(ctx, func() (refusal, failure error) {
		revision, refusal, failure = st.t.w.save(key, value, expect)
		return refusal, failure
	})
	return revision, err
}

func (st txState) Delete(ctx context.Context, key string, expect uint64) error {
	return st.t.write(ctx, func() (refusal, failure error) { return st.t.w.delete(key, expect) })
}

func (st txState) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return stateKeys(ctx, prefix, st.t.use, st.t.s.found)
}
