package pgstore

import (
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/merkle"
)

// rowReader makes records of rows, each checked against its leaf. It is for
// one goroutine.
type rowReader struct {
	place  string // "annals.events"
	hasher merkle.Hasher
}

// row is a row of the table events.
type row struct {
	position, version, time, batch int64
	occurred                       *int64
	id                             pgtype.UUID
	stream                         *string
	typ, encoding                  string
	tags                           []string
	metadata, conditions           []byte
	data, leaf                     []byte
}

// scan reads the current row; more are the places of the columns before it.
func (r *row) scan(rows pgx.Rows, more ...any) error {
	return rows.Scan(append(more, &r.position, &r.version, &r.time, &r.occurred, &r.batch, &r.id, &r.stream, &r.typ, &r.encoding, &r.tags,
		&r.metadata, &r.conditions, &r.data, &r.leaf)...)
}

// record returns the record of r, or a *[driver.CorruptError].
func (rr *rowReader) record(r *row) (driver.Record, error) {
	rec, err := r.record()
	if err != nil {
		return rec, rr.corrupt(r.position, err.Error())
	}
	if leaf := rr.hasher.Leaf(&rec); string(leaf[:]) != string(r.leaf) {
		return rec, rr.corrupt(r.position, "the row is not what its leaf was made of")
	}
	return rec, nil
}

func (rr *rowReader) corrupt(position int64, reason string) error {
	return &driver.CorruptError{Position: driver.Position(position), Place: "table " + rr.place, Reason: reason}
}

func (r *row) record() (driver.Record, error) {
	rec := driver.Record{
		Event:    driver.Event{ID: r.id.Bytes, Type: r.typ, Data: r.data, Encoding: r.encoding, Tags: r.tags},
		Position: driver.Position(r.position), Version: uint64(r.version), Time: nanoseconds(r.time), Batch: driver.Position(r.batch),
	}
	if r.stream != nil {
		rec.Stream = *r.stream
	}
	if r.occurred != nil {
		rec.Occurred = nanoseconds(*r.occurred)
	}
	if len(r.metadata) > 0 {
		var m map[string]string
		if err := json.Unmarshal(r.metadata, &m); err != nil {
			return rec, fmt.Errorf("metadata: %w", err)
		}
		rec.Metadata = driver.NewMetadata(m)
	}
	var err error
	rec.Conditions, err = decodeConditions(r.conditions)
	return rec, err
}
