package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/merkle"
)

// Verify reads every record and yields each fault found: a record that does
// not hash to its leaf or is missing, a stored part of the hash tree that the
// leaves do not give, a name or ID that does not lead to its records, and what
// SQLite's own integrity check says. It runs beside appends, up to the head as
// it is at the beginning.
func (s *Store) Verify(ctx context.Context, progress func(done, total driver.Position)) iter.Seq[error] {
	return func(yield func(error) bool) {
		ctx, cancel := s.whileOpen(ctx)
		defer cancel()
		v := verification{s: s, ctx: ctx, counts: map[int64]uint64{}, sure: true}
		if progress == nil {
			progress = func(_, _ driver.Position) {}
		}
		for more := true; more; {
			var err error
			more, err = v.step()
			for _, f := range v.faults {
				if !yield(s.storeError("verify", f)) {
					return
				}
			}
			if err != nil {
				yield(s.storeError("verify", err))
				return
			}
			v.faults = v.faults[:0]
			progress(v.done, v.head)
		}
	}
}

// whileOpen returns a context that ends with ctx or when the store is closed.
func (s *Store) whileOpen(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-s.done:
			cancel(driver.ErrClosed)
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		cancel(nil)
		wg.Wait()
	}
}

// verification is one Verify under way. It goes step by step, each with a
// connection of its own, so that the caller looks at faults without one.
type verification struct {
	s      *Store
	ctx    context.Context
	faults []error // found by the step under way
	begun  bool

	head   driver.Position
	done   driver.Position
	tree   merkle.Range
	counts map[int64]uint64 // of the postings of each key so far
	total  uint64           // of all postings so far
	sure   bool             // every record so far was sound, so that counts and tree are right
}

// step runs the next step, and reports whether there are more.
func (v *verification) step() (more bool, err error) {
	if err := context.Cause(v.ctx); err != nil {
		return false, err
	}
	switch {
	case !v.begun:
		v.begun = true
		return true, v.s.use(v.ctx, v.begin)
	case v.done < v.head:
		return true, v.s.use(v.ctx, v.piece)
	}
	return false, v.s.use(v.ctx, v.end)
}

// begin fixes how far to verify, and compares the ends of log and keys.
func (v *verification) begin(c *conn) error {
	return c.within(func() (err error) {
		if v.head, _, err = c.headOf(); err != nil {
			return v.fault(corruption(1, err))
		}
		_, err = c.checkEnd()
		return v.fault(err)
	})
}

// fault notes err if it is corruption, and returns it if it is not.
func (v *verification) fault(err error) error {
	if !errors.As(err, new(*driver.CorruptError)) {
		return err
	}
	v.sure = false
	v.faults = append(v.faults, v.s.noteCorruption(err))
	return nil
}

const verifyPiece = 256

// piece verifies the records that follow.
func (v *verification) piece(c *conn) error {
	return c.within(func() error {
		for last := min(v.done+verifyPiece, v.head); v.done < last; v.done++ {
			r, err := c.at(v.done + 1)
			if err == nil && v.sure {
				err = v.record(c, &r)
			}
			if err := v.fault(err); err != nil {
				return err
			}
		}
		return nil
	})
}

// record verifies what leads to r, and the tree at it.
func (v *verification) record(c *conn, r *driver.Record) error {
	names := []keyName{{typeKind, r.Type}}
	if r.Stream != "" {
		names = append(names, keyName{streamKind, r.Stream}, keyName{categoryKind, driver.Category(r.Stream)})
	}
	for _, t := range r.Tags {
		names = append(names, keyName{tagKind, t})
	}
	for _, n := range names {
		if err := v.listed(c, r, n); err != nil {
			return err
		}
	}
	if p, err := c.positionOfID(r.ID); err != nil {
		return corruption(r.Position, err)
	} else if p != r.Position {
		return &driver.CorruptError{Position: r.Position, Place: "annals_ids", Reason: fmt.Sprintf("its ID leads to position %d", p)}
	}
	v.tree.Append(c.hasher.Leaf(r))
	if r.Position%treeStep != 0 {
		return nil
	}
	stored, err := c.storedRange(r.Position)
	if err != nil {
		return err
	}
	want, err := v.tree.MarshalBinary()
	if err != nil {
		return err
	}
	if got, err := stored.MarshalBinary(); err != nil || string(got) == string(want) {
		return err
	}
	return &driver.CorruptError{Position: r.Position, Place: fmt.Sprintf("annals_tree, position %d", r.Position), Reason: "the records up to it hash to another tree"}
}

// listed verifies that r is the next one in the postings of a name that it has.
func (v *verification) listed(c *conn, r *driver.Record, name keyName) error {
	p, ok, err := c.lookup(name.kind, name.name)
	if err != nil {
		return corruption(r.Position, err)
	}
	if !ok {
		return &driver.CorruptError{Position: r.Position, Place: "annals_keys", Reason: fmt.Sprintf("the %s %q is not found by its name", name.kind, name.name)}
	}
	v.counts[p.key]++
	v.total++
	e, err := c.posting(c.tail, p.key, int64(r.Position))
	if err != nil {
		return corruption(r.Position, err)
	}
	if n := v.counts[p.key]; e != (posting{r.Position, n}) || name.kind == streamKind && r.Version != n {
		return p.corrupt(r.Position, fmt.Sprintf("entry %d at position %d is found where entry %d should be", e.n, e.position, n))
	}
	return nil
}

// end verifies that there is no more in keys and postings than there should
// be, and runs SQLite's own check.
func (v *verification) end(c *conn) error {
	defer c.db.SetInterrupt(c.db.SetInterrupt(v.ctx))
	if v.sure {
		if err := v.fault(v.surplus(c)); err != nil {
			return err
		}
	}
	stmt, _, err := c.db.Prepare(`PRAGMA integrity_check`)
	if err != nil {
		return v.fault(corruption(1, err))
	}
	defer stmt.Close()
	err = each(stmt, func() bool {
		if text := stmt.ColumnText(0); text != "ok" {
			v.faults = append(v.faults, fmt.Errorf("integrity check: %s", text))
		}
		return true
	})
	if cause := context.Cause(v.ctx); cause != nil {
		return cause
	}
	return v.fault(corruption(1, err))
}

func (v *verification) surplus(c *conn) error {
	keys, _, err := c.db.Prepare(`SELECT key, kind, name, count, last FROM annals_keys WHERE last <= ?`)
	if err != nil {
		return err
	}
	defer keys.Close()
	var bad error
	err = each(keys, func() bool {
		p := postings{kind(keys.ColumnInt(1)), keys.ColumnText(2), keys.ColumnInt64(0), uint64(keys.ColumnInt64(3)), driver.Position(keys.ColumnInt64(4))}
		if got := v.counts[p.key]; got != p.count {
			bad = &driver.CorruptError{Position: max(p.last, 1), Place: fmt.Sprintf("annals_keys, key %d", p.key), Reason: fmt.Sprintf(
				"it counts %d records of %s %q, the log has %d", p.count, p.kind, p.name, got)}
		}
		return bad == nil
	}, v.head)
	if err != nil || bad != nil {
		return errors.Join(bad, err)
	}
	all, _, err := c.db.Prepare(`SELECT count(*) FROM annals_postings WHERE position <= ?`)
	if err != nil {
		return err
	}
	defer all.Close()
	var total uint64
	err = each(all, func() bool { total = uint64(all.ColumnInt64(0)); return true }, v.head)
	if err == nil && total != v.total {
		err = &driver.CorruptError{Position: 1, Place: "annals_postings", Reason: fmt.Sprintf("there are %d entries where %d should be", total, v.total)}
	}
	return err
}
