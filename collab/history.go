package collab

import (
	"context"
	"time"
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
