package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/wire"
)

// append judges b and adds it to the transaction under way. A refusal concerns
// b alone and leaves no trace; a failure is the transaction's end.
func (w *writer) append(ctx context.Context, tx *sql.Tx, b driver.Batch) (_ driver.Receipt, refusal, failure error) {
	known, err := w.known(b.Events)
	if err != nil || known.Repeated {
		return split(known, err)
	}
	for i := range b.Conditions {
		if err := w.check(i, &b.Conditions[i]); err != nil {
			return split(driver.Receipt{}, err)
		}
	}
	at, err := w.timeOf(b.Time)
	if err != nil {
		return split(driver.Receipt{}, err)
	}
	hooks, unlock := w.s.hooks.running()
	defer unlock()
	if len(hooks) == 0 {
		receipt, _, err := w.add(b, at, false)
		return receipt, nil, err
	}
	return w.addWith(ctx, tx, hooks, b, at)
}

// split tells what refuses a batch from what ends the transaction.
func split(r driver.Receipt, err error) (_ driver.Receipt, refusal, failure error) {
	var (
		conflict *driver.ConflictError
		id       *driver.IDError
		position *driver.PositionError
		invalid  *driver.InvalidError
	)
	if errors.As(err, &conflict) || errors.As(err, &id) || errors.As(err, &position) || errors.As(err, &invalid) {
		return driver.Receipt{}, err, nil
	}
	return r, nil, err
}

// add writes the batch, which may be appended. It returns its records if they are asked for.
func (w *writer) add(b driver.Batch, at int64, keep bool) (driver.Receipt, []driver.Record, error) {
	first := w.head + 1
	receipt := driver.Receipt{
		First: first, Last: w.head + driver.Position(len(b.Events)),
		Time: instant(at), Versions: make([]uint64, len(b.Events)), Durability: durability,
	}
	var records []driver.Record
	for i := range b.Events {
		r := driver.Record{Event: b.Events[i], Position: w.head + 1, Time: receipt.Time, Batch: first}
		if !r.Occurred.IsZero() {
			r.Occurred = instant(r.Occurred.UnixNano())
		}
		if i == 0 {
			r.Conditions = plain(b.Conditions)
		}
		if err := w.addRecord(&r); err != nil {
			return driver.Receipt{}, nil, err
		}
		receipt.Versions[i] = r.Version
		if keep {
			records = append(records, r)
		}
	}
	w.at = at
	return receipt, records, nil
}

// addRecord gives r its version and writes it, its postings and its part of the tree.
func (w *writer) addRecord(r *driver.Record) error {
	var stream, category *key
	var err error
	if r.Stream != "" {
		if stream, err = w.intern(streamKind, r.Stream); err != nil {
			return err
		}
		if category, err = w.intern(categoryKind, driver.Category(r.Stream)); err != nil {
			return err
		}
		r.Version = stream.count + 1
	}
	typ, err := w.intern(typeKind, r.Type)
	if err != nil {
		return err
	}
	tags := make([]*key, len(r.Tags))
	var list []byte
	for i, t := range r.Tags {
		if tags[i], err = w.intern(tagKind, t); err != nil {
			return err
		}
		list = appendKey(list, tags[i].key)
	}
	if list != nil {
		list = append(list, ']')
	}
	leaf := w.c.hasher.Leaf(r)
	if err := w.insertRecord(r, leaf[:], stream, typ, list); err != nil {
		return err
	}
	for _, k := range append(tags, stream, category, typ) {
		if k != nil {
			if err := w.postTo(k, r.Position); err != nil {
				return err
			}
		}
	}
	w.head = r.Position
	return w.grow(leaf)
}

func (w *writer) insertRecord(r *driver.Record, leaf []byte, stream, typ *key, tags []byte) error {
	s := w.insert
	null := func(i int, text []byte) error {
		if len(text) == 0 {
			return s.BindNull(i + 1)
		}
		return s.BindRawText(i+1, text)
	}
	err := errors.Join(
		s.BindInt64(colPosition+1, int64(r.Position)),
		s.BindBlob(colLeaf+1, leaf),
		s.BindBlob(colID+1, r.ID[:]),
		s.BindInt64(colBatch+1, int64(r.Batch)),
		s.BindNull(colStream+1),
		s.BindInt64(colVersion+1, int64(r.Version)),
		s.BindInt64(colType+1, typ.key),
		s.BindInt64(colTime+1, r.Time.UnixNano()),
		s.BindNull(colOccurred+1),
		null(colEncoding, []byte(r.Encoding)),
		null(colTags, tags),
		s.BindNull(colMetadata+1),
		s.BindNull(colConditions+1),
	)
	if err == nil && stream != nil {
		err = s.BindInt64(colStream+1, stream.key)
	}
	if err == nil && !r.Occurred.IsZero() {
		err = s.BindInt64(colOccurred+1, r.Occurred.UnixNano())
	}
	if err == nil && len(r.Metadata) > 0 {
		err = s.BindRawText(colMetadata+1, wire.AppendMetadata(nil, r.Metadata))
	}
	if err == nil && len(r.Conditions) > 0 {
		err = s.BindRawText(colConditions+1, wire.AppendConditions(nil, r.Conditions))
	}
	if err == nil && len(r.Data) == 0 {
		err = s.BindZeroBlob(colData+1, 0)
	} else if err == nil {
		err = s.BindBlob(colData+1, r.Data)
	}
	if err != nil {
		return err
	}
	return s.Exec()
}

// plain returns conditions with no field set but those of their kind, which is
// what is kept of them.
func plain(all []driver.Condition) []driver.Condition {
	if len(all) == 0 {
		return nil
	}
	out := make([]driver.Condition, len(all))
	for i, c := range all {
		switch c.Kind {
		case driver.NoneAfterKind:
			out[i] = driver.NoneAfter(c.Query, c.After)
		case driver.StreamAtKind:
			out[i] = driver.StreamAt(c.Stream, c.Version)
		default:
			out[i] = driver.Condition{Kind: c.Kind, Stream: c.Stream}
		}
	}
	return out
}

// timeOf returns the log's time of the next batch: as given, else by the
// clock, but never before the head's.
func (w *writer) timeOf(given time.Time) (int64, error) {
	if w.head == 0 {
		if !given.IsZero() {
			return given.UnixNano(), nil
		}
		return w.s.opts.Clock().UnixNano(), nil
	}
	if given.IsZero() {
		return max(w.s.opts.Clock().UnixNano(), w.at), nil
	}
	if at := given.UnixNano(); at >= w.at {
		return at, nil
	}
	return 0, &driver.InvalidError{Index: -1, Field: "time", Reason: given.UTC().Format(time.RFC3339Nano) +
		" is before the log's head, " + instant(w.at).Format(time.RFC3339Nano)}
}
