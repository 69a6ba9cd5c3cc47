package annals

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/cenkalti/backoff/v5"
)

// UpdateOption is an option of [DB.Update].
type UpdateOption func(*updateOptions)

type updateOptions struct {
	once    ID
	derived []string
	tags    []string
}

// Once makes a whole update harmless to repeat: if an update with the same key
// has appended events, its receipt is returned, with Repeated set, and the
// function does not run. An update that appends nothing leaves nothing to be
// known by.
func Once(key string) UpdateOption {
	return func(o *updateOptions) { o.once = NameID("once", key) }
}

// Derived gives the events of an update IDs that follow from names and their
// number in it ([NameID]), where they are not given another, so that whoever
// does the same again finds them in the log. An update whose IDs are known runs
// again, to see what the other one did; its function must then find that there
// is nothing left to do.
func Derived(names ...string) UpdateOption {
	return func(o *updateOptions) { o.derived = names }
}

// Tagged gives every event of an update these tags, "key:value" each, beside its own.
func Tagged(tags ...string) UpdateOption {
	return func(o *updateOptions) { o.tags = append(o.tags, tags...) }
}

// Update runs fn with a transaction and appends what it recorded as one batch,
// if nothing of what it read has been changed by others meanwhile. If
// something has, fn runs again, on state at least as new, with backoff, up to
// [Options].Attempts times; so fn should change nothing outside the
// transaction. When that is used up the error names the number of attempts and
// wraps the last *[ConflictError].
//
// An error of fn is returned as it is, and nothing is appended. A function
// that records nothing appends nothing; its receipt is zero.
//
// If the answer of the store is lost, the same batch is sent again until it is
// known what became of it; the function is not run again for that. If it stays
// unknown the error wraps [ErrOutcomeUnknown] and names the events' IDs.
func (db *DB) Update(ctx context.Context, fn func(tx *Tx) error, opts ...UpdateOption) (Receipt, error) {
	var o updateOptions
	for _, f := range opts {
		f(&o)
	}
	var last *ConflictError
	pause := db.backoff()
	for attempt := 1; attempt <= db.opts.Attempts; attempt++ {
		tx := &Tx{db: db, ctx: ctx, now: db.Now(), metadata: metadataOf(ctx), once: o.once, derived: o.derived, tags: o.tags}
		if last != nil {
			tx.atLeast = last.Head
			if err := tx.queue(gateKey(last.Condition)); err != nil {
				return Receipt{}, err
			}
		}
		receipt, err := db.attempt(tx, fn)
		switch {
		case errors.As(err, &last) && tx.stale != nil:
			if err := sleep(ctx, pause.NextBackOff()); err != nil {
				return Receipt{}, fmt.Errorf("update stopped after %d attempts: %w (%w)", attempt, err, last)
			}
		default:
			return receipt, err
		}
	}
	return Receipt{}, fmt.Errorf("update gave up after %d attempts: %w", db.opts.Attempts, last)
}

// attempt runs fn once. A conflict is returned with tx.stale set.
func (db *DB) attempt(tx *Tx, fn func(tx *Tx) error) (Receipt, error) {
	defer tx.end()
	if tx.once != (ID{}) {
		if r, found, err := tx.known(); found || err != nil {
			return r, err
		}
	}
	err := fn(tx)
	tx.close()
	switch {
	case tx.stale != nil:
		return Receipt{}, tx.stale
	case err != nil:
		return Receipt{}, err
	case tx.err != nil:
		return Receipt{}, tx.err
	case len(tx.pending) == 0:
		return Receipt{}, nil
	}
	b := driver.Batch{Conditions: tx.conditions, Events: make([]driver.Event, len(tx.pending))}
	for i, p := range tx.pending {
		b.Events[i] = p.event
	}
	receipt, err := db.append(tx.ctx, b)
	var conflict *ConflictError
	var known *driver.IDError
	switch {
	case err == nil:
		if !receipt.Repeated {
			for _, l := range tx.entities {
				l.appended(receipt.Last)
			}
		}
		db.keepSnapshots(tx)
		return receipt, nil
	case errors.As(err, &conflict):
		tx.stale = conflict
	case errors.As(err, &known) && tx.fixes(known.ID):
		tx.stale = &ConflictError{ // another that does the same was faster; the next attempt finds it
			Condition: driver.NoneAfter(Query{Items: []QueryItem{{IDs: []ID{known.ID}}}}, 0), Head: known.Position, Position: known.Position}
		return Receipt{}, tx.stale
	case errors.As(err, &known) && db.sameBatch(tx.ctx, b, known):
		return db.receiptOf(tx.ctx, known.Position)
	}
	return Receipt{}, err
}

// fixes reports whether id follows from what the update was told.
func (tx *Tx) fixes(id ID) bool {
	if tx.once != (ID{}) && id == tx.once {
		return true
	}
	for i := range tx.pending {
		if tx.derived != nil && id == tx.derivedID(i) {
			return true
		}
	}
	return false
}

// derivedID is the ID of the n-th event, from 0, of an update with Derived.
func (tx *Tx) derivedID(n int) ID {
	return NameID(append(slices.Clone(tx.derived), strconv.Itoa(n))...)
}

// append appends b, again and again while the outcome is unknown.
func (db *DB) append(ctx context.Context, b driver.Batch) (Receipt, error) {
	receipt, err := db.log.Append(ctx, b)
	if !errors.Is(err, ErrOutcomeUnknown) {
		return receipt, err
	}
	resolve, cancel := context.WithTimeout(context.WithoutCancel(ctx), db.opts.ResolveTimeout)
	defer cancel()
	pause := db.backoff()
	for {
		if sleep(resolve, pause.NextBackOff()) != nil {
			break
		}
		receipt, again := db.log.Append(resolve, b)
		if again == nil {
			return receipt, nil
		}
		if !errors.Is(again, ErrOutcomeUnknown) && !errors.Is(again, driver.ErrUnavailable) && resolve.Err() == nil {
			return Receipt{}, again
		}
	}
	ids := make([]ID, len(b.Events))
	for i := range b.Events {
		ids[i] = b.Events[i].ID
	}
	return Receipt{}, fmt.Errorf("events %v: %w", ids, err)
}

// known looks for the batch that an update with the same Once key appended.
func (tx *Tx) known() (Receipt, bool, error) {
	if err := tx.begin(); err != nil || tx.pin == 0 {
		return Receipt{}, false, err
	}
	q := Query{Items: []QueryItem{{IDs: []ID{tx.once}}}}
	for r, err := range tx.db.log.Read(tx.ctx, q, ReadOptions{UpTo: tx.pin, Limit: 1}) {
		if err != nil {
			return Receipt{}, false, err
		}
		receipt, err := tx.db.receiptOf(tx.ctx, r.Batch)
		return receipt, true, err
	}
	return Receipt{}, false, nil
}

// receiptOf returns the receipt of the batch that has p, made from the log.
func (db *DB) receiptOf(ctx context.Context, p Position) (Receipt, error) {
	info, err := db.log.Info(ctx)
	if err != nil {
		return Receipt{}, err
	}
	batch, err := db.batch(ctx, p)
	if err != nil {
		return Receipt{}, err
	}
	receipt := Receipt{First: batch[0].Position, Last: batch[len(batch)-1].Position, Time: batch[0].Time, Durability: info.Durability, Repeated: true}
	for i := range batch {
		receipt.Versions = append(receipt.Versions, batch[i].Version)
	}
	return receipt, nil
}

// batch returns the records of the batch that the record at p belongs to.
func (db *DB) batch(ctx context.Context, p Position) ([]Record, error) {
	var records []Record
	for r, err := range db.log.Read(ctx, Query{}, ReadOptions{After: p - 1, Limit: 1}) {
		if err != nil {
			return nil, err
		}
		p = r.Batch
	}
	for r, err := range db.log.Read(ctx, Query{}, ReadOptions{After: p - 1}) {
		if err != nil {
			return nil, err
		}
		if r.Batch != p {
			break
		}
		records = append(records, r)
	}
	if len(records) == 0 {
		return nil, &driver.PositionError{What: fmt.Sprintf("position %d", p)}
	}
	return records, nil
}

// sameBatch reports whether the log holds b already, where the payloads differ
// only because a layer is random, such as an encryption.
func (db *DB) sameBatch(ctx context.Context, b driver.Batch, known *driver.IDError) bool {
	records, err := db.batch(ctx, known.Position)
	if err != nil || len(records) != len(b.Events) {
		return false
	}
	for i := range records {
		a, e := &records[i].Event, &b.Events[i]
		if a.ID != e.ID {
			return false
		}
		x, errX := db.plain(a)
		y, errY := db.plain(e)
		plain := *e
		a.Data, plain.Data, plain.Encoding = x, y, a.Encoding
		if errX != nil || errY != nil || !driver.SameContent(a, &plain) {
			return false
		}
	}
	return true
}

// plain returns e's payload as it was below the first random layer.
func (db *DB) plain(e *driver.Event) ([]byte, error) {
	var et *eventType
	if s := types.named(e.Type); s != nil && s.upcast == nil {
		et, _ = types.of(s.typ)
	}
	p, env, err := db.pipeline(e, et)
	if err != nil {
		return nil, err
	}
	return p.Plain(e.Data, env)
}

func (db *DB) backoff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = time.Millisecond, 250*time.Millisecond
	return b
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// close ends recording: entities of the transaction refuse from now on.
func (tx *Tx) close() {
	tx.done = true
	for _, l := range tx.entities {
		c := l.core()
		c.closed = "the transaction it was loaded in has ended"
		c.tx = nil
	}
}

func (tx *Tx) end() {
	tx.close()
	tx.gate.leave()
}
