package collab

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/annals-db/annals/driver"
)

// Revision is a text as it was at a version.
type Revision struct {
	Version uint64
	Time    time.Time // when the version came to be
	Text    string
	Spans   []Span // who wrote each part, in order
}

// At returns the text as of a version, 0 for before the first edit. A version
// that does not exist is an error that wraps [driver.ErrNotFound].
func (d *Document) At(ctx context.Context, version uint64) (Revision, error) {
	d.mu.Lock()
	head := d.head
	if head.version == version {
		r := head.revision()
		d.mu.Unlock()
		return r, nil
	}
	d.mu.Unlock()
	if version > head.version {
		return Revision{}, d.noVersion(version, head.version)
	}
	s, err := d.replay(ctx, version)
	return s.revision(), err
}

func (s *state) revision() Revision {
	return Revision{s.version, s.time, s.text.String(), append([]Span(nil), s.spans...)}
}

// Group is what one author did in one go: edits of consecutive versions with
// pauses shorter than [Options.Pause].
type Group struct {
	Author      string
	First, Last uint64 // versions
	Begin, End  time.Time
	Inserted    int // code points
	Deleted     int
	Kind        Kind // of all of them; Typed where they differ
}

// History yields the groups of the text's edits up to the present, the first first.
func (d *Document) History(ctx context.Context) iter.Seq2[Group, error] {
	return func(yield func(Group, error) bool) {
		var g Group
		_, head := d.Text()
		if head == 0 {
			return
		}
		err := d.records(ctx, 0, 0, func(r *driver.Record) error {
			e, err := d.docs.edited(r)
			if err != nil {
				return err
			}
			if e.Version > head || g.joins(e, d.docs.opts.Pause) {
				return nil
			}
			if g.First > 0 && !yield(g, nil) {
				return errEnough
			}
			g = groupOf(e)
			return nil
		})
		switch {
		case err == nil:
			yield(g, nil)
		case err != errEnough:
			yield(Group{}, fmt.Errorf("history of text %q: %w", d.name, err))
		}
	}
}

func groupOf(e *edit) Group {
	_, inserted, deleted := e.Change.Counts()
	return Group{e.Author, e.Version, e.Version, e.Time, e.Time, inserted, deleted, e.Kind}
}

// joins takes e into the group if it belongs there.
func (g *Group) joins(e *edit, pause time.Duration) bool {
	if g.First == 0 || g.Author != e.Author || e.Kind == Restored || g.Kind == Restored || e.Time.Sub(g.End) >= pause {
		return false
	}
	next := groupOf(e)
	g.Last, g.End = next.Last, next.End
	g.Inserted += next.Inserted
	g.Deleted += next.Deleted
	if g.Kind != next.Kind {
		g.Kind = Typed
	}
	return true
}

// Restore makes the text that of an earlier version again, by a new change. What
// others write meanwhile stays. If nothing differs, nothing is appended.
func (d *Document) Restore(ctx context.Context, author string, version uint64) (Edit, error) {
	past, err := d.At(ctx, version)
	if err != nil {
		return Edit{}, err
	}
	now, head := d.Text()
	change := Diff(now.String(), past.Text)
	if len(change) == 0 {
		return Edit{Version: head}, nil
	}
	return d.Submit(ctx, Proposal{Author: author, Base: head, Change: change, Kind: Restored})
}
