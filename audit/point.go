package audit

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/annals-db/annals/driver"
)

// Point is a moment of the database's history: between two of its
// transactions. The zero Point is the latest that the trail has.
type Point struct {
	kind     byte // 0, or one of t x l p
	time     time.Time
	xid      uint32
	lsn      pglogrepl.LSN
	position driver.Position
}

// AsOf is the moment when every transaction that was committed at t or before
// had been, by the server's clock, and none after.
func AsOf(t time.Time) Point { return Point{kind: 't', time: t} }

// AfterTransaction is the moment after the transaction with an ID; the last
// such one, since IDs are used again after 4 thousand million.
func AfterTransaction(xid uint32) Point { return Point{kind: 'x', xid: xid} }

// AtLSN is the moment when every transaction whose commit record begins at lsn
// or before it had been committed.
func AtLSN(lsn pglogrepl.LSN) Point { return Point{kind: 'l', lsn: lsn} }

// AtPosition is the moment when the log was at a position: after the last
// transaction that it had whole.
func AtPosition(p driver.Position) Point { return Point{kind: 'p', position: p} }

// PointSyntax says how a point is typed, for help texts.
const PointSyntax = `A POINT is a TIME (of commits, by the server's clock), tx:XID (after that
transaction), lsn:LSN or @POSITION (of the log that holds the trail).`

// ParsePoint reads a point as [PointSyntax] has it; clock reads a time.
func ParsePoint(s string, clock func(string) (time.Time, error)) (Point, error) {
	if rest, ok := strings.CutPrefix(s, "tx:"); ok {
		xid, err := strconv.ParseUint(rest, 10, 32)
		if err != nil || xid == 0 {
			return Point{}, fmt.Errorf("%q is not a transaction: write tx: and its ID", s)
		}
		return AfterTransaction(uint32(xid)), nil
	}
	if rest, ok := strings.CutPrefix(s, "lsn:"); ok {
		lsn, err := pglogrepl.ParseLSN(rest)
		if err != nil {
			return Point{}, fmt.Errorf("%q is not an LSN: write lsn:0/16B3748", s)
		}
		return AtLSN(lsn), nil
	}
	if rest, ok := strings.CutPrefix(s, "@"); ok {
		p, err := strconv.ParseUint(rest, 10, 63)
		if err != nil || p == 0 {
			return Point{}, fmt.Errorf("%q is not a position: write @ and a number from 1", s)
		}
		return AtPosition(driver.Position(p)), nil
	}
	t, err := clock(s)
	return AsOf(t), err
}

// String says which point it is.
func (p Point) String() string {
	switch p.kind {
	case 't':
		return p.time.UTC().Format(time.RFC3339Nano)
	case 'x':
		return fmt.Sprintf("transaction %d", p.xid)
	case 'l':
		return "LSN " + p.lsn.String()
	case 'p':
		return fmt.Sprintf("position %d", p.position)
	}
	return "the latest"
}

// bound is a point in the log: the event of the capture that closes what is up to it.
type bound struct {
	position driver.Position
	mark     mark
}

var closing = []string{captureStarted, transactionCommitted, snapshotCompleted, rereadChunk, rereadCompleted, tablesChosen, partsAbandoned}

// resolve finds p in the log.
func (t *Trail) resolve(ctx context.Context, p Point) (b bound, err error) {
	switch p.kind {
	case 't':
		b, err = t.search(ctx, func(m *mark) (bool, error) { return m.AsOf.After(p.time), nil })
	case 'l':
		b, err = t.search(ctx, func(m *mark) (bool, error) {
			lsn, err := m.lsn()
			return lsn > p.lsn, err
		})
	case 'x':
		q := driver.Query{Items: []driver.Item{{Category: captureCategory, Types: []string{transactionCommitted}, Tags: []string{fmt.Sprintf("xid:%d", p.xid)}}}}
		b, err = t.last(ctx, q, 0)
	case 'p':
		info, e := t.log.Info(ctx)
		if e == nil && p.position > info.Head {
			e = &driver.PositionError{What: fmt.Sprintf("position %d", p.position), Head: info.Head}
		}
		if e != nil {
			return b, e
		}
		b, err = t.last(ctx, capture(closing...), p.position)
	default:
		b, err = t.last(ctx, capture(closing...), 0)
	}
	if err != nil {
		return b, err
	}
	if b.position == 0 && p.kind == 'x' {
		return b, notThere(fmt.Sprintf("the trail has no transaction %d", p.xid))
	}
	begin, err := t.snapshot(ctx)
	if err != nil {
		return b, err
	}
	switch {
	case begin.position == 0:
		return b, notThere("the first snapshot of the tables is not complete yet")
	case b.position < begin.position:
		return b, notThere(fmt.Sprintf("the trail begins at %s, after %s", begin.mark.Committed.Format(time.RFC3339Nano), p))
	}
	return b, nil
}

// last returns the last event of the capture that q selects, up to a position if that is not 0.
func (t *Trail) last(ctx context.Context, q driver.Query, upTo driver.Position) (b bound, err error) {
	for r, err := range t.log.Read(ctx, q, driver.ReadOptions{Backward: true, Limit: 1, UpTo: upTo}) {
		if err != nil {
			return b, err
		}
		m, err := readMark(&r)
		return bound{r.Position, m}, err
	}
	return b, nil
}

// snapshot returns the end of the first snapshot.
func (t *Trail) snapshot(ctx context.Context) (bound, error) {
	return t.last(ctx, capture(snapshotCompleted), 0)
}

// search returns the last closing event that is not beyond, by halves: those
// that are beyond come after those that are not.
func (t *Trail) search(ctx context.Context, beyond func(*mark) (bool, error)) (b bound, err error) {
	info, err := t.log.Info(ctx)
	if err != nil {
		return b, err
	}
	for high := info.Head; b.position < high; {
		middle := b.position + (high-b.position)/2
		var next bound
		for r, err := range t.log.Read(ctx, capture(closing...), driver.ReadOptions{After: middle, UpTo: info.Head, Limit: 1}) {
			if err != nil {
				return b, err
			}
			m, err := readMark(&r)
			if err != nil {
				return b, err
			}
			next = bound{r.Position, m}
		}
		over := next.position == 0
		if !over {
			if over, err = beyond(&next.mark); err != nil {
				return b, err
			}
		}
		if over {
			high = middle
		} else {
			b = next
		}
	}
	return b, nil
}
