package collab

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/annals-db/annals/driver"
)

// Document is one text, open for everybody who has opened it. Its state is made
// from its stream alone, so it is the same in every process.
type Document struct {
	docs         *Documents
	name, stream string
	release      func()
	stop         func()
	ended        <-chan struct{}
	submit       chan *submission
	wake         chan struct{}

	mu       sync.Mutex
	head     state
	tail     []*edit           // the last edits, up to the head's version
	accepted map[editor]uint64 // the last seq known of each
	changed  chan struct{}     // closed when anything below or above changes
	presence map[string]*present
	moves    uint64 // counts changes of presence
}

// editor is a window that somebody writes in.
type editor struct{ author, client string }

// comesFirst reports whether what e inserts comes before what other inserts at
// the same place. It does not matter who was faster, so what two write at once
// in one place does not mix.
func (e editor) comesFirst(other editor) bool {
	if e.client != other.client {
		return e.client < other.client
	}
	return e.author <= other.author
}

// state is a text at a version.
type state struct {
	version  uint64
	position driver.Position // of the record that made it
	id       driver.ID
	time     time.Time
	text     Text
	spans    spans
}

// apply does an edit to s.
func (s *state) apply(e *edit, pause time.Duration) error {
	if e.Version != s.version+1 {
		return fmt.Errorf("version %d follows version %d", e.Version, s.version)
	}
	e.before = s.text
	after, err := s.text.Apply(e.Change)
	if err != nil {
		return fmt.Errorf("version %d: %w", e.Version, err)
	}
	s.text = after
	s.spans.apply(e.Change, Span{Author: e.Author, Version: e.Version, Time: e.Time}, pause)
	s.version, s.position, s.id, s.time = e.Version, e.position, e.id, e.Time
	return nil
}

// Name returns the text's name.
func (d *Document) Name() string { return d.name }

// Close says that the caller needs the document no more.
func (d *Document) Close() { d.release() }

// Text returns the text and its version.
func (d *Document) Text() (Text, uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.head.text, d.head.version
}

// Follow yields the edits after a version, first those there are and then each
// as it is accepted, until ctx ends.
func (d *Document) Follow(ctx context.Context, after uint64) iter.Seq2[Edit, error] {
	return func(yield func(Edit, error) bool) {
		for {
			edits, changed, err := d.since(ctx, after)
			if err != nil {
				yield(Edit{}, err)
				return
			}
			for _, e := range edits {
				if !yield(e.Edit, nil) {
					return
				}
				after = e.Version
			}
			if len(edits) > 0 {
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
				yield(Edit{}, ctx.Err())
				return
			case <-d.ended:
				yield(Edit{}, ErrClosed)
				return
			}
		}
	}
}

// since returns edits after a version, and what is closed when there are more.
func (d *Document) since(ctx context.Context, after uint64) ([]*edit, <-chan struct{}, error) {
	d.mu.Lock()
	changed, head := d.changed, d.head.version
	edits, ok := d.after(after)
	d.mu.Unlock()
	if after > head {
		return nil, nil, d.noVersion(after, head)
	}
	var err error
	if !ok {
		edits, err = d.read(ctx, after, min(head, after+uint64(d.docs.opts.tail)))
	}
	return edits, changed, err
}

// reach reports whether a version exists. One that another process has made and
// that is not here yet it waits for: an editor may come from there.
func (d *Document) reach(ctx context.Context, version uint64) (bool, error) {
	last := uint64(0) // in the log, once it was looked at
	for {
		d.mu.Lock()
		head, changed := d.head.version, d.changed
		d.mu.Unlock()
		if version <= head {
			return true, nil
		}
		if last == 0 {
			var err error
			if last, err = d.last(ctx); err != nil || version > last {
				return false, err
			}
			d.nudge()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false, ctx.Err()
		case <-d.ended:
			return false, ErrClosed
		}
	}
}

// last returns the last version in the log.
func (d *Document) last(ctx context.Context) (uint64, error) {
	q := driver.Query{Items: []driver.Item{{Streams: []string{d.stream}}}}
	for r, err := range d.docs.source.Read(ctx, q, driver.ReadOptions{Backward: true, Limit: 1}) {
		return r.Version, err
	}
	return 0, nil
}

// after returns the edits after a version, if the tail reaches back so far.
func (d *Document) after(version uint64) ([]*edit, bool) {
	missing := d.head.version - min(version, d.head.version)
	if missing > uint64(len(d.tail)) {
		return nil, false
	}
	return d.tail[len(d.tail)-int(missing):], true
}

func (d *Document) noVersion(version, head uint64) error {
	return fmt.Errorf("text %q: %w", d.name, &driver.PositionError{What: fmt.Sprintf("version %d (the last is %d)", version, head)})
}

// read returns the edits after a version up to another, from the log.
func (d *Document) read(ctx context.Context, after, upTo uint64) ([]*edit, error) {
	var edits []*edit
	s, err := d.replay(ctx, after)
	if err != nil {
		return nil, err
	}
	err = d.replayFrom(ctx, &s, upTo, func(e *edit) { edits = append(edits, e) })
	return edits, err
}

// replay returns the state at a version, from the log and the snapshots.
func (d *Document) replay(ctx context.Context, version uint64) (state, error) {
	s := d.snapshot(ctx, version)
	err := d.replayFrom(ctx, &s, version, nil)
	return s, err
}

var errEnough = errors.New("enough")

// replayFrom takes s forward to a version, which exists, and tells visit each edit.
func (d *Document) replayFrom(ctx context.Context, s *state, version uint64, visit func(*edit)) error {
	if s.version >= version {
		return nil
	}
	err := d.records(ctx, s.position, 0, func(r *driver.Record) error {
		e, err := d.docs.edited(r)
		if err != nil {
			return err
		}
		if err := s.apply(e, d.docs.opts.Pause); err != nil {
			return fmt.Errorf("text %q: %w", d.name, err)
		}
		if visit != nil {
			visit(e)
		}
		d.keepSnapshot(ctx, s)
		if s.version == version {
			return errEnough
		}
		return nil
	})
	if err == nil {
		return d.noVersion(version, s.version)
	}
	if !errors.Is(err, errEnough) {
		return err
	}
	return nil
}

// records hands over the records of the stream after a position.
func (d *Document) records(ctx context.Context, after driver.Position, limit int, to func(*driver.Record) error) error {
	q := driver.Query{Items: []driver.Item{{Streams: []string{d.stream}}}}
	for r, err := range d.docs.source.Read(ctx, q, driver.ReadOptions{After: after, Limit: limit}) {
		if err != nil {
			return fmt.Errorf("read text %q: %w", d.name, err)
		}
		if err := to(&r); err != nil {
			return err
		}
	}
	return nil
}

// load makes the state at the head, and the tail before it.
func (d *Document) load(ctx context.Context) error {
	last, err := d.last(ctx)
	if err != nil {
		return err
	}
	d.head = d.snapshot(ctx, last-min(last, uint64(d.docs.opts.tail)/2))
	return d.replayFrom(ctx, &d.head, last, d.remember)
}

// remember takes an edit that has been applied into the tail.
func (d *Document) remember(e *edit) {
	if n := d.docs.opts.tail; len(d.tail) >= 2*n {
		d.tail = append([]*edit(nil), d.tail[n:]...)
	}
	d.tail = append(d.tail, e)
	if e.Client != "" {
		if len(d.accepted) >= 10_000 {
			clear(d.accepted)
		}
		d.accepted[editor{e.Author, e.Client}] = e.Seq
	}
	for client, p := range d.presence {
		p.follow(e.Edit, client)
	}
}

// tell wakes everybody who follows. The caller holds the lock.
func (d *Document) tell() {
	close(d.changed)
	d.changed = make(chan struct{})
}
