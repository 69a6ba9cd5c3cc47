package sqlitestore

import (
	"context"
	"fmt"
	"iter"

	"github.com/annals-db/annals/driver"
)

// Read yields the records that match q, as o says, of the log as it is when
// ranging begins. Each is checked against its leaf. The file is read piece by
// piece, and no transaction is open while the caller looks at a record.
func (s *Store) Read(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
	if s.cut != nil && o.UpTo == 0 {
		return s.readCut(ctx, q, o)
	}
	return read(ctx, q, o, s.use, s.found)
}

// readCut reads a log whose end is damaged: as what lay there was promised too,
// the reading must not seem to end well.
func (s *Store) readCut(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
	return func(yield func(driver.Record, error) bool) {
		if o.Backward {
			yield(driver.Record{}, s.cut)
			return
		}
		n := 0
		for r, err := range read(ctx, q, o, s.use, s.found) {
			if !yield(r, err) || err != nil {
				return
			}
			n++
		}
		if o.Limit == 0 || n < o.Limit {
			yield(driver.Record{}, s.cut)
		}
	}
}

// found settles an error of reading: corruption is noted.
func (s *Store) found(doing string, err error) error {
	return s.storeError(doing, s.noteCorruption(err))
}

// reader is one Read under way.
type reader struct {
	q     driver.Query
	o     driver.ReadOptions
	from  driver.Position // as in selection, for a scan
	sel   *selection      // nil for a scan of everything
	size  int             // of the next piece
	piece []driver.Record
	left  int  // records to yield, -1 for any number
	done  bool // nothing is left to read
}

const (
	firstPiece     = 16
	maxPieceEvents = 256
	maxPieceBytes  = 1 << 20
)

// read yields what q selects. use gives it a connection for as long as a piece
// takes; failed says what an error of the file is to the caller.
func read(ctx context.Context, q driver.Query, o driver.ReadOptions,
	use func(context.Context, func(*conn) error) error, failed func(string, error) error,
) iter.Seq2[driver.Record, error] {
	return func(yield func(driver.Record, error) bool) {
		r := reader{q: q, o: o, size: firstPiece, left: -1}
		if o.Limit > 0 {
			r.left = o.Limit
		}
		for begun := false; !r.done; begun = true {
			if err := ctx.Err(); err != nil {
				yield(driver.Record{}, err)
				return
			}
			r.piece = nil
			err := use(ctx, func(c *conn) error {
				return c.within(func() error {
					if !begun {
						if err := r.begin(c); err != nil {
							return err
						}
					}
					return r.fill(c)
				})
			})
			for i := range r.piece {
				if !yield(r.piece[i], nil) {
					return
				}
				if e := ctx.Err(); e != nil {
					yield(driver.Record{}, e)
					return
				}
			}
			if err != nil {
				yield(driver.Record{}, failed("read", err))
				return
			}
		}
	}
}

// begin fixes the bounds at the head as it is now.
func (r *reader) begin(c *conn) error {
	head, _, err := c.headOf()
	if err != nil {
		return err
	}
	for _, p := range [...]driver.Position{r.o.After, r.o.UpTo} {
		if p > head {
			return &driver.PositionError{What: fmt.Sprintf("position %d", p), Head: head}
		}
	}
	if r.o.UpTo == 0 {
		r.o.UpTo = head
	}
	r.from = r.o.After
	if r.o.Backward {
		r.from = r.o.UpTo + 1
	}
	if r.q.All() {
		return nil
	}
	r.sel, err = c.choose(r.q, r.o, c.checked)
	return err
}

// fill reads the next piece.
func (r *reader) fill(c *conn) error {
	r.piece = make([]driver.Record, 0, min(r.size, 64))
	if r.o.After >= r.o.UpTo {
		r.done = true
		return nil
	}
	size := r.size
	if r.left >= 0 {
		size = min(size, r.left)
	}
	r.size = min(4*r.size, maxPieceEvents)
	var err error
	if r.sel == nil {
		err = r.scan(c, size)
	} else {
		err = r.pick(c, size)
	}
	if r.left >= 0 {
		r.left -= len(r.piece)
		r.done = r.done || r.left == 0
	}
	return err
}

// pick reads up to size records that the selection finds.
func (r *reader) pick(c *conn, size int) error {
	for bytes := 0; len(r.piece) < size && bytes < maxPieceBytes; {
		p, ok, err := r.sel.next(c)
		if err != nil || !ok {
			r.done = true
			return corruption(max(r.sel.from, 1), err)
		}
		rec, err := c.at(p)
		if err != nil {
			return err
		}
		if !r.q.Matches(&rec.Event) {
			return &driver.CorruptError{Position: p, Place: "annals_postings", Reason: "it is listed under a name that it does not have"}
		}
		r.piece = append(r.piece, rec)
		bytes += rec.Size()
	}
	return nil
}

// scan reads up to size records, each of which must follow the one before.
func (r *reader) scan(c *conn, size int) error {
	stmt, lo, hi, want, step := c.scan, r.from, r.o.UpTo, r.from+1, driver.Position(1)
	if r.o.Backward {
		stmt, lo, hi, want, step = c.scanBack, r.o.After, r.from-1, r.from-1, ^driver.Position(0)
	}
	bytes := 0
	var bad error
	err := each(stmt, func() bool {
		if p := driver.Position(stmt.ColumnInt64(colPosition)); p != want {
			bad = corruption(want, &damage{fmt.Sprintf("it is missing: position %d comes next", p)})
			return false
		}
		var rec driver.Record
		if rec, bad = c.decode(stmt); bad != nil {
			return false
		}
		r.piece = append(r.piece, rec)
		r.from, want = rec.Position, want+step
		bytes += rec.Size()
		return len(r.piece) < size && bytes < maxPieceBytes
	}, lo, hi)
	switch {
	case bad != nil:
		return bad
	case err != nil:
		return corruption(want, err)
	}
	end := r.o.UpTo
	if r.o.Backward {
		end = r.o.After + 1
	}
	r.done = r.from == end
	if !r.done && len(r.piece) < size && bytes < maxPieceBytes {
		return corruption(want, &damage{"it is missing"})
	}
	return nil
}
