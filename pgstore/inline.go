package pgstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/driver"
)

type hook struct {
	call func(ctx context.Context, tx any, records []driver.Record) error
}

// Inline has f called inside the transaction of every append of this store,
// with a [pgx.Tx]; see [driver.Inliner].
//
// It costs: with a hook, batches are appended one by one, each in a savepoint,
// and the lock that makes the log's order is held while hooks work; so all
// writers of the log, in all processes, wait for them. Appends within a
// transaction of the caller ([Store.In]) are refused while there is a hook,
// since their positions are not known before COMMIT.
func (s *Store) Inline(f func(ctx context.Context, tx any, records []driver.Record) error) (remove func()) {
	h := &hook{f}
	s.hooksMu.Lock()
	defer s.hooksMu.Unlock()
	s.hooks = append(slices.Clip(s.hooks), h)
	return func() {
		s.hooksMu.Lock()
		defer s.hooksMu.Unlock()
		s.hooks = slices.DeleteFunc(slices.Clone(s.hooks), func(other *hook) bool { return other == h })
	}
}

// hooked reports whether there are hooks.
func (s *Store) hooked() bool {
	s.hooksMu.Lock()
	defer s.hooksMu.Unlock()
	return len(s.hooks) > 0
}

// commitInline appends the batches of a group one by one, each with its hooks,
// in one transaction, and answers their requests when that is durable.
func (s *Store) commitInline(g *group) {
	s.hooksMu.Lock()
	defer s.hooksMu.Unlock()
	results := make([]inlineResult, len(g.requests))
	err := pgx.BeginTxFunc(s.closing, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		for i, r := range g.requests {
			var err error
			if results[i], err = s.inlineOne(tx, r); err != nil {
				return err
			}
		}
		return nil
	})
	var head driver.Position
	for i, r := range g.requests {
		switch {
		case err != nil:
			r.answer(driver.Receipt{}, outcome(err))
			continue
		case results[i].known:
			r.known = true
		}
		head = max(head, results[i].receipt.Last)
		if head > 0 && i == len(g.requests)-1 {
			s.heads.grown(s, head)
		}
		r.answer(results[i].receipt, results[i].err)
	}
}

// inlineResult is what to answer one request when the transaction is durable.
type inlineResult struct {
	receipt driver.Receipt
	known   bool
	err     error
}

// inlineOne appends one batch in a savepoint. The error is one of the
// transaction; what is wrong with the batch is in the result.
func (s *Store) inlineOne(tx pgx.Tx, r *request) (inlineResult, error) {
	ctx := s.closing
	if _, err := tx.Exec(ctx, "SAVEPOINT annals_batch", pgx.QueryExecModeExec); err != nil {
		return inlineResult{}, err
	}
	g := newGroup()
	g.add(r)
	v := &verdict{}
	if err := v.scan(tx.QueryRow(ctx, s.sql.append, append([]any{s.mode, false, s.now()}, g.args()...)...)); err != nil {
		return inlineResult{}, err
	}
	v.words = s.durable(v.durability)
	if v.status[0] == statusKnown {
		return inlineResult{known: true}, nil
	}
	receipt, err := v.receipt(r, 0)
	if err != nil {
		return inlineResult{err: err}, nil
	}
	for _, h := range s.hooks {
		if err = h.call(ctx, hookTx{tx}, recordsOf(r, receipt)); err != nil {
			err = fmt.Errorf("append: an inline hook: %w", err)
			break
		}
	}
	if err == nil {
		if _, err = tx.Exec(ctx, "RELEASE SAVEPOINT annals_batch", pgx.QueryExecModeExec); err == nil {
			return inlineResult{receipt: receipt}, nil
		}
		if broken(err) {
			return inlineResult{}, err
		}
		err = fmt.Errorf("append: an inline hook left its transaction failed: %w", err)
	}
	if _, undo := tx.Exec(ctx, "ROLLBACK TO SAVEPOINT annals_batch", pgx.QueryExecModeExec); undo != nil {
		return inlineResult{}, undo
	}
	return inlineResult{err: err}, nil
}

// recordsOf returns the records that r has become.
func recordsOf(r *request, receipt driver.Receipt) []driver.Record {
	records := make([]driver.Record, len(r.batch.Events))
	for i, ev := range r.batch.Events {
		ev.Data, ev.Tags, ev.Metadata = slices.Clone(ev.Data), slices.Clone(ev.Tags), slices.Clone(ev.Metadata)
		if !ev.Occurred.IsZero() {
			ev.Occurred = nanoseconds(ev.Occurred.UnixNano())
		}
		records[i] = driver.Record{Event: ev, Position: receipt.First + driver.Position(i), Version: receipt.Versions[i], Time: receipt.Time, Batch: receipt.First}
	}
	for _, c := range r.batch.Conditions {
		records[0].Conditions = append(records[0].Conditions, cloneCondition(c))
	}
	return records
}

// hookTx is the append's transaction as a hook has it: not its to end.
type hookTx struct{ pgx.Tx }

var errNotTheirs = errors.New("the transaction belongs to the append: return an error to undo it")

// Commit refuses.
func (hookTx) Commit(context.Context) error { return errNotTheirs }

// Rollback refuses.
func (hookTx) Rollback(context.Context) error { return errNotTheirs }
