package annals

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/annals-db/annals/driver"
)

// View is a consistent view of the log, for reading: everything read through it
// is as of one position. It may be used by several goroutines.
type View struct {
	db       *DB
	ctx      context.Context
	at       Position // asked for by At
	atSet    bool
	asOf     time.Time // asked for by AsOf
	occurred time.Time // asked for by AsOccurred

	once sync.Once
	pos  Position
	err  error
}

// View returns a view of the present: of the head at its first use. ctx is
// that of everything read through it.
func (db *DB) View(ctx context.Context) *View { return &View{db: db, ctx: ctx} }

// At returns a view of the log as it was when p was its head. Position 0 is
// the empty log; a position that does not exist is an error when read.
func (v *View) At(p Position) *View {
	return &View{db: v.db, ctx: v.ctx, at: p, atSet: true, occurred: v.occurred}
}

// AsOf returns a view of the log as it was at a time: everything that the log
// had taken until then, by its own clock.
func (v *View) AsOf(t time.Time) *View {
	return &View{db: v.db, ctx: v.ctx, asOf: t, occurred: v.occurred}
}

// AsOccurred returns a view of what v knows, but of the world rather than the
// log: only events that occurred at or before t, in the order they occurred
// (in that of the log where that is equal). So late bookings and corrections
// count when they took effect. Models are folded without snapshots, and an
// entity's version is the highest that was folded.
func (v *View) AsOccurred(t time.Time) *View {
	return &View{db: v.db, ctx: v.ctx, at: v.at, atSet: v.atSet, asOf: v.asOf, occurred: t}
}

// Position returns the position of the view.
func (v *View) Position() (Position, error) { return v.position() }

func (v *View) position() (Position, error) {
	v.once.Do(func() {
		switch {
		case !v.asOf.IsZero():
			v.pos, v.err = driver.PositionAt(v.ctx, v.db.log, v.asOf)
		default:
			var info driver.Info
			info, v.err = v.db.log.Info(v.ctx)
			v.pos = info.Head
			if v.atSet && v.err == nil {
				if v.pos = v.at; v.at > info.Head {
					v.err = &driver.PositionError{What: fmt.Sprintf("position %d", v.at), Head: info.Head}
				}
			}
		}
	})
	return v.pos, v.err
}

// Read yields the records of the view that match q, in the order of the log.
func (v *View) Read(q Query) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		pos, err := v.position()
		if err != nil {
			yield(Record{}, err)
			return
		}
		if pos == 0 {
			return
		}
		for r, err := range v.db.log.Read(v.ctx, q, ReadOptions{UpTo: pos}) {
			if err == nil && !v.occurred.IsZero() && r.Occurred.After(v.occurred) {
				continue
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func (v *View) reader() {}
