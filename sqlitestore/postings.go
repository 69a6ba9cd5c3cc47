package sqlitestore

import (
	"fmt"
	"math"

	sqlite3 "github.com/ncruces/go-sqlite3"

	"github.com/annals-db/annals/driver"
)

const maxPosition = driver.Position(math.MaxInt64)

// postings is what is known of a key: the records that have it are numbered
// 1 to count, and the last of them is at position last.
type postings struct {
	kind  kind
	name  string
	key   int64
	count uint64
	last  driver.Position
}

// posting is one entry of a list; the zero posting stands before the first.
type posting struct {
	position driver.Position
	n        uint64
}

func (p *postings) corrupt(at driver.Position, reason string) error {
	return &driver.CorruptError{
		Position: at,
		Place:    fmt.Sprintf("annals_postings, key %d (%s %q)", p.key, p.kind, p.name),
		Reason:   reason,
	}
}

// posting returns the one entry that stmt selects, zero if there is none.
func (c *conn) posting(stmt *sqlite3.Stmt, key, position int64) (e posting, err error) {
	err = each(stmt, func() bool {
		e = posting{driver.Position(stmt.ColumnInt64(0)), uint64(stmt.ColumnInt64(1))}
		return false
	}, key, position)
	return e, err
}

// list walks over the postings of a key, piece by piece. Every entry follows
// from the one before by its number, so that one that is missing is found and
// not passed over.
type list struct {
	postings
	backward bool
	begun    bool
	ended    bool
	previous posting // the entry passed last
	piece    []posting
	size     int // of the next piece
}

// peek returns the next entry beyond from (before it if backward), ok false if
// there is none.
func (l *list) peek(c *conn, from driver.Position) (posting, bool, error) {
	for {
		for i, e := range l.piece {
			if l.beyond(e.position, from) {
				l.piece = l.piece[i:]
				return e, true, nil
			}
			l.previous = e
		}
		l.piece = l.piece[:0]
		if l.ended {
			return posting{}, false, nil
		}
		if err := l.fill(c, from); err != nil {
			return posting{}, false, err
		}
	}
}

func (l *list) beyond(p, from driver.Position) bool {
	if l.backward {
		return p < from
	}
	return p > from
}

const maxPiece = 256

// fill reads the next piece, which begins beyond from. A jump over many
// entries begins again there.
func (l *list) fill(c *conn, from driver.Position) error {
	if !l.begun || l.beyond(from, l.previous.position) {
		if err := l.start(c, from); err != nil {
			return err
		}
	}
	l.size = min(max(16, 4*l.size), maxPiece)
	stmt := c.forth
	if l.backward {
		stmt = c.back
	}
	previous := l.previous
	var broken error
	err := each(stmt, func() bool {
		e := posting{driver.Position(stmt.ColumnInt64(0)), uint64(stmt.ColumnInt64(1))}
		if want := l.following(previous); e.n != want {
			broken = l.corrupt(e.position, fmt.Sprintf("entry %d comes where entry %d should", e.n, want))
			return false
		}
		previous = e
		l.piece = append(l.piece, e)
		return true
	}, l.key, from, l.size)
	if err == nil {
		err = broken
	}
	if err == nil && len(l.piece) < l.size {
		l.ended = true
		err = l.whole(previous)
	}
	return err
}

func (l *list) following(e posting) uint64 {
	if l.backward {
		return e.n - 1
	}
	return e.n + 1
}

// start finds the entry before those beyond from.
func (l *list) start(c *conn, from driver.Position) (err error) {
	l.begun = true
	if !l.backward {
		l.previous, err = c.posting(c.tail, l.key, int64(from))
		return err
	}
	l.previous, err = c.posting(c.next, l.key, int64(from)-1)
	if err == nil && l.previous == (posting{}) {
		l.previous = posting{l.last + 1, l.count + 1}
	}
	return err
}

// whole returns an error unless e, passed last, is the end of the list. The
// list may have grown since its key was read.
func (l *list) whole(e posting) error {
	switch {
	case l.backward && e.n != 1:
		return l.corrupt(1, fmt.Sprintf("entry %d is the first one", e.n))
	case !l.backward && e.n < l.count:
		return l.corrupt(e.position+1, fmt.Sprintf("it ends with entry %d of %d", e.n, l.count))
	}
	return nil
}
