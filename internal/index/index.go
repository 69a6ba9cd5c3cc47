// Package index finds records in a segment of a file store.
//
// [Mem] indexes the active segment while it grows. [Mem.Seal] writes the
// immutable index file of a segment that is full, [OpenSealed] opens it.
//
// Mem is exact: what it answers is so. [Sealed] is small instead: it keys by
// hashes and answers with candidates, among which is every record asked for
// and now and then another; the caller reads each and compares. Neither ever
// misses a record, and a damaged index file is a *[DamageError], never a
// wrong answer.
package index

import (
	"fmt"

	"github.com/annals-db/annals/driver"
)

// Entry is what the index needs to know of a record.
type Entry struct {
	Position driver.Position // the one after the entry before
	Offset   int64           // of its frame in the segment; never less than that of the entry before
	Stream   string          // "" for none
	Version  uint64          // within the stream
	Type     string
	Tags     []string
	ID       driver.ID
	Time     int64 // Unix nanoseconds; never less than that of the entry before
}

// Hit is where a record is, or may be.
type Hit struct {
	Position driver.Position
	Offset   int64 // of its frame in the segment
}

// DamageError says where an index file is not what was written.
type DamageError struct {
	Offset int64 // in the index file
	Reason string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("index file damaged at byte %d: %s", e.Offset, e.Reason)
}

func notIn(p, first driver.Position, n uint32) error {
	return &driver.PositionError{What: fmt.Sprintf("position %d in the segment from %d", p, first), Head: first + driver.Position(n) - 1}
}
