package pgstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/driver"
)

// waitsForCommit is the durability of what is appended within a transaction.
const waitsForCommit = "waits for COMMIT"

// TxLog is a log as seen from within a transaction of the caller. It fulfils
// [driver.Log], so annals.New makes a DB of it, to be used for this one
// transaction. It is made by [Store.In].
type TxLog struct {
	s    *Store
	tx   pgx.Tx
	mode pgx.QueryExecMode // for a connection that is the caller's, and may be a pooler's

	mu      sync.Mutex // a transaction is one connection
	judged  bool       // whether its isolation level was looked at
	durable string     // as the server said with the last append
	pending []driver.Batch
	given   []driver.Receipt // for each of pending
}

var _ driver.Log = (*TxLog)(nil)

// In returns the log for use within tx, a transaction of the caller's in the
// same database, at READ COMMITTED. What is appended is committed with
// whatever else tx does, or not at all:
//
//   - An append is judged at once, and refused if it conflicts already. It then
//     waits in the table inbox, so a transaction that goes on for long holds up
//     nobody.
//   - At COMMIT a deferred trigger judges it again, under the log's lock, and
//     gives it its position and time. A conflict makes the COMMIT fail:
//     [TxLog.Commit], or [CommitError] where tx is committed otherwise, says it
//     as a *[driver.ConflictError].
//   - Receipts before COMMIT have no position and no time, and their versions
//     are what they would be now. [TxLog.Receipts] and [Store.Receipt] give
//     those that count, afterwards.
//
// Reads see what is committed, and not what waits. So an append whose
// conditions cover events that wait in the same transaction is refused: record
// both in one update. Use one TxLog for a transaction, and begin a new one
// behind a savepoint that was rolled back. SET CONSTRAINTS … IMMEDIATE is of no
// use here: it holds the log's lock until the transaction ends. PREPARE
// TRANSACTION is refused by the server, as the append notifies.
func (s *Store) In(tx pgx.Tx) *TxLog { return &TxLog{s: s, tx: tx, mode: nameless(tx.Conn().Config())} }

// Update runs fn with a new transaction on the store's pool and the log within
// it ([Store.In]), and commits both, or neither if fn fails. A conflict is a
// *[driver.ConflictError], of the append or of the commit; fn is not run again.
func (s *Store) Update(ctx context.Context, fn func(tx pgx.Tx, log *TxLog) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	tx, err := s.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return wrap("begin a transaction", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // it has ended, or its error is known
	log := s.In(tx)
	if err := fn(tx, log); err != nil {
		return err
	}
	return log.Commit(ctx)
}

// Append has b appended when the transaction commits.
func (t *TxLog) Append(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, err := t.s.request(ctx, b)
	if err != nil {
		return driver.Receipt{}, err
	}
	if t.s.hooked() {
		return driver.Receipt{}, errors.New("append in a transaction: the store has inline hooks, which need positions that are not known before COMMIT")
	}
	if err := t.isolation(ctx); err != nil {
		return driver.Receipt{}, err
	}
	if receipt, err := t.waiting(&b); receipt != nil || err != nil {
		return value(receipt), err
	}
	g := newGroup()
	g.add(r)
	v := &verdict{words: waitsForCommit}
	if err := v.scan(t.tx.QueryRow(ctx, t.s.sql.append, append([]any{t.mode, true, t.s.now()}, g.args()...)...)); err != nil {
		return driver.Receipt{}, wrap("append in a transaction", err)
	}
	if v.status[0] == statusKnown {
		return t.s.repeatedBy(ctx, t.query, b.Events)
	}
	receipt, err := v.receipt(r, 0)
	if err != nil {
		return driver.Receipt{}, err
	}
	if _, err := t.tx.Exec(ctx, t.s.sql.inbox, append([]any{t.mode, t.s.now()}, g.args()...)...); err != nil {
		return driver.Receipt{}, placed("append in a transaction", err)
	}
	t.durable = durabilityOf(v.durability)
	t.raise(&receipt, &b)
	t.pending, t.given = append(t.pending, keep(b)), append(t.given, receipt)
	receipt.Versions = slices.Clone(receipt.Versions)
	return receipt, nil
}

// isolation refuses a transaction that cannot judge, before anything is asked
// of the server that would abort it.
func (t *TxLog) isolation(ctx context.Context) error {
	if t.judged {
		return nil
	}
	var level string
	if err := t.tx.QueryRow(ctx, "SELECT current_setting('transaction_isolation')", pgx.QueryExecModeExec).Scan(&level); err != nil {
		return wrap("append in a transaction", err)
	}
	if level != "read committed" && level != "read uncommitted" {
		return fmt.Errorf("append in a transaction: its isolation level is %q, at which an append cannot be judged: begin it at READ COMMITTED", level)
	}
	t.judged = true
	return nil
}

// waiting returns the receipt of b if it waits in the transaction already, and
// the error of one that has to do with what waits.
func (t *TxLog) waiting(b *driver.Batch) (*driver.Receipt, error) {
	for i := range t.pending {
		p := &t.pending[i]
		for n := range b.Events {
			at := slices.IndexFunc(p.Events, func(e driver.Event) bool { return e.ID == b.Events[n].ID })
			if at < 0 {
				continue
			}
			if slices.EqualFunc(p.Events, b.Events, func(x, y driver.Event) bool { return x.ID == y.ID && driver.SameContent(&x, &y) }) {
				r := t.given[i]
				r.Versions, r.Repeated = slices.Clone(r.Versions), true
				return &r, nil
			}
			return nil, &driver.IDError{ID: b.Events[n].ID, Reason: "another event with it waits in this transaction"}
		}
		for _, c := range b.Conditions {
			for n := range p.Events {
				e := &p.Events[n]
				if c.Kind == driver.NoneAfterKind && c.Query.Matches(e) || c.Kind != driver.NoneAfterKind && c.Stream == e.Stream {
					return nil, fmt.Errorf("append in a transaction: the condition %q covers an event of type %q that waits in the same transaction "+
						"and cannot be read before its COMMIT: record both in one update", c.String(), e.Type)
				}
			}
		}
	}
	return nil, nil
}

func value(r *driver.Receipt) driver.Receipt {
	if r == nil {
		return driver.Receipt{}
	}
	return *r
}

// raise takes the position and time out of a receipt that was judged without
// being placed, and counts what waits in its versions.
func (t *TxLog) raise(r *driver.Receipt, b *driver.Batch) {
	*r = driver.Receipt{Versions: r.Versions, Durability: r.Durability}
	for i := range t.pending {
		for n := range t.pending[i].Events {
			for k := range b.Events {
				if s := b.Events[k].Stream; s != "" && s == t.pending[i].Events[n].Stream {
					r.Versions[k]++
				}
			}
		}
	}
}

// keep copies what of b the caller may reuse.
func keep(b driver.Batch) driver.Batch {
	events := slices.Clone(b.Events)
	for i := range events {
		events[i].Data, events[i].Tags = slices.Clone(events[i].Data), slices.Clone(events[i].Tags)
	}
	return driver.Batch{Events: events}
}

// query runs a reading statement in the transaction.
func (t *TxLog) query(ctx context.Context, what, sql string, args []any, row func(pgx.Rows) error) error {
	if err := t.s.usable(ctx); err != nil {
		return err
	}
	rows, err := t.tx.Query(ctx, sql, append([]any{t.mode}, args...)...)
	if err != nil {
		return wrap(what, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return wrap(what, err)
		}
	}
	return wrap(what, rows.Err())
}

// Read yields the records that match q, of what is committed when ranging
// begins. The caller may use the transaction between two records.
func (t *TxLog) Read(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
	return func(yield func(driver.Record, error) bool) {
		r := t.s.reading(q, o)
		r.key, r.heads = nil, nil
		r.run = func(ctx context.Context, what, sql string, args []any, row func(pgx.Rows) error) error {
			t.mu.Lock()
			defer t.mu.Unlock()
			return t.query(ctx, what, sql, args, row)
		}
		r.yield(ctx)(yield)
	}
}

// Wait returns the head as soon as it is greater than after.
func (t *TxLog) Wait(ctx context.Context, after driver.Position) (driver.Position, error) {
	return t.s.Wait(ctx, after)
}

// Info says what log this is and where it stands, as far as it is committed.
func (t *TxLog) Info(ctx context.Context) (driver.Info, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.s.infoBy(ctx, t.query)
}

// Close does nothing: the transaction is the caller's to end.
func (t *TxLog) Close() error { return nil }

// Commit commits the transaction. If an append of it conflicts with what others
// have appended since, nothing of it is committed and the error is a
// *[driver.ConflictError]; if the answer is lost the error wraps
// [driver.ErrOutcomeUnknown], and [Store.Receipt] tells later.
func (t *TxLog) Commit(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.tx.Commit(ctx); err != nil {
		err = CommitError(err)
		if known, ok := errors.AsType[*driver.IDError](err); ok {
			t.find(ctx, known)
		}
		return err
	}
	if t.s.heads.awaited() {
		_ = t.s.look(ctx) // the server tells as well
	}
	return nil
}

// find completes known, where the server has named the first event of a batch,
// by the one that the log has and where that is.
func (t *TxLog) find(ctx context.Context, known *driver.IDError) {
	var ids [][16]byte
	for i := range t.pending {
		for n := range t.pending[i].Events {
			ids = append(ids, t.pending[i].Events[n].ID)
		}
	}
	records, err := t.s.records(ctx, t.s.query, t.s.sql.ids, []any{ids})
	if err == nil && len(records) > 0 {
		known.ID, known.Position = records[0].ID, records[0].Position
	}
}

// Receipts returns the receipts of what the transaction has appended, in that
// order, once it has committed. It asks by the store, not the transaction.
func (t *TxLog) Receipts(ctx context.Context) ([]driver.Receipt, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var receipts []driver.Receipt
	for i := range t.pending {
		r, err := t.s.Receipt(ctx, t.pending[i].Events[0].ID)
		if err != nil {
			return nil, err
		}
		r.Repeated, r.Durability = false, t.durable
		receipts = append(receipts, r)
	}
	return receipts, nil
}
