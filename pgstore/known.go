package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/driver"
)

// repeated returns the first receipt of events, some ID of which is known, or
// an *[driver.IDError]. What is in the log does not change, so no lock is needed.
func (s *Store) repeated(ctx context.Context, events []driver.Event) (driver.Receipt, error) {
	return s.repeatedBy(ctx, s.query, events)
}

func (s *Store) repeatedBy(ctx context.Context, run runner, events []driver.Event) (driver.Receipt, error) {
	ids := make([][16]byte, len(events))
	for i := range events {
		ids[i] = events[i].ID
	}
	records, err := s.records(ctx, run, s.sql.ids, []any{ids})
	if err != nil {
		return driver.Receipt{}, unread(err)
	}
	known := make(map[driver.ID]*driver.Record, len(records))
	for i := range records {
		known[records[i].ID] = &records[i]
	}
	for i := range events {
		if r := known[events[i].ID]; r != nil && !driver.SameContent(&r.Event, &events[i]) {
			return driver.Receipt{}, &driver.IDError{ID: r.ID, Position: r.Position, Reason: "it holds other content"}
		}
	}
	if len(known) == len(events) {
		first := known[events[0].ID].Position
		batch, err := s.records(ctx, run, s.sql.batch, []any{int64(first), len(events) + 1})
		if err != nil {
			return driver.Receipt{}, unread(err)
		}
		if same(batch, events) {
			return s.receiptOf(batch), nil
		}
	}
	for i := range events {
		if r := known[events[i].ID]; r != nil {
			reason := "only a part of the batch is known"
			if len(known) == len(events) {
				reason = "it was appended in another batch or order"
			}
			return driver.Receipt{}, &driver.IDError{ID: r.ID, Position: r.Position, Reason: reason}
		}
	}
	return driver.Receipt{}, wrap("append", driver.ErrOutcomeUnknown) // known a moment ago: the log was restored
}

// unread says that a batch may be in the log where that could not be read.
func unread(err error) error {
	if _, ok := errors.AsType[*driver.CorruptError](err); ok {
		return err
	}
	return fmt.Errorf("append: %w: %w", driver.ErrOutcomeUnknown, err)
}

// same reports whether records are those of events, in order.
func same(records []driver.Record, events []driver.Event) bool {
	if len(records) != len(events) {
		return false
	}
	for i := range records {
		if records[i].ID != events[i].ID {
			return false
		}
	}
	return true
}

// receiptOf returns the receipt of a batch in the log.
func (s *Store) receiptOf(batch []driver.Record) driver.Receipt {
	r := driver.Receipt{First: batch[0].Position, Last: batch[len(batch)-1].Position, Time: batch[0].Time, Durability: *s.durability.Load(), Repeated: true}
	for i := range batch {
		r.Versions = append(r.Versions, batch[i].Version)
	}
	return r
}

// Receipt returns the receipt of the batch that has the event with an ID, with
// Repeated set; an error that wraps [driver.ErrNotFound] if the log has none.
// So the place of what was appended within a transaction is known after its
// commit, and whether a transaction whose COMMIT was not answered took place.
// Such a COMMIT may be under way still: where the log has no such event,
// Receipt waits for those that hold or await the log's lock and looks again. A
// COMMIT that has not got so far it cannot see; when its session has ended, the
// answer is final.
// Who holds the lock must not ask, such as an inline hook.
func (s *Store) Receipt(ctx context.Context, id driver.ID) (driver.Receipt, error) {
	find := func() ([]driver.Record, error) { return s.records(ctx, s.query, s.sql.ids, []any{[][16]byte{id}}) }
	records, err := find()
	if err == nil && len(records) == 0 {
		err = s.query(ctx, "receipt", s.sql.settle, nil, func(pgx.Rows) error { return nil })
		if err == nil {
			records, err = find()
		}
	}
	if err != nil {
		return driver.Receipt{}, err
	}
	if len(records) == 0 {
		return driver.Receipt{}, wrap("receipt of event "+id.String(), driver.ErrNotFound)
	}
	batch, err := s.records(ctx, s.query, s.sql.batch, []any{int64(records[0].Batch), s.opts.Limits.BatchEvents})
	if err != nil {
		return driver.Receipt{}, err
	}
	return s.receiptOf(batch), nil
}

// runner runs a reading statement, on the store's pool or in a transaction.
type runner func(ctx context.Context, what, sql string, args []any, row func(pgx.Rows) error) error

// records returns the records that a statement selects.
func (s *Store) records(ctx context.Context, run runner, sql string, args []any) (records []driver.Record, err error) {
	rr := rowReader{place: s.opts.Schema + ".events"}
	err = run(ctx, "read", sql, args, func(rows pgx.Rows) error {
		var r row
		if err := r.scan(rows); err != nil {
			return err
		}
		rec, err := rr.record(&r)
		records = append(records, rec)
		return err
	})
	return records, err
}
