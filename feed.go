package annals

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// feed reads what is new in the log once for all subscriptions of a handle that
// have caught up. It runs while there are any. What it has read lately lies in
// a window of bounded size, which they look through at their own pace; one that
// falls behind the window reads the log itself again.
type feed struct {
	db     *DB
	now    atomic.Pointer[window]
	cancel context.CancelFunc
	done   chan struct{}

	mu        sync.Mutex
	listeners map[*Query]struct{}
	target    Position // what lies up to it has been read, or is being, for those who listened before
}

// window is what was read lately. It is never changed, only replaced.
type window struct {
	chunks []*chunk // in order, with no gap
	after  Position // what lies after it is here
	head   Position // up to this one
	bytes  int
	err    error         // the feed has ended
	more   chan struct{} // closed when there is a newer window
}

// chunk is what lies after one position up to another; of that, what any of the
// listeners wanted.
type chunk struct {
	after, upTo Position
	records     []Record
	bytes       int
}

const (
	windowBytes   = 4 << 20
	chunkRecords  = 1024
	chunkBytes    = windowBytes / 4      // and what the last record is larger
	fewListeners  = 64                   // are woken at once
	perListener   = 2 * time.Microsecond // of pause between windows, where there are more
	unionOfItems  = 16                   // a query of more items is not cheaper than reading everything
	recordsOwnUse = 256                  // bytes of a record beside its texts
)

// join makes q, which stays the listener's, one of the queries of the feed, and
// returns the position after which it will find what matches there.
func (db *DB) join(ctx context.Context, q *Query) (*feed, Position, error) {
	db.feeding.Lock()
	defer db.feeding.Unlock()
	f := db.feed
	if f == nil {
		info, err := db.log.Info(ctx)
		if err != nil {
			return nil, 0, err
		}
		f = &feed{db: db, done: make(chan struct{}), listeners: map[*Query]struct{}{}, target: info.Head}
		f.now.Store(&window{after: info.Head, head: info.Head, more: make(chan struct{})})
		var run context.Context
		run, f.cancel = context.WithCancel(context.Background())
		db.feed = f
		go f.run(run, info.Head)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listeners[q] = struct{}{}
	return f, f.target, nil
}

// leave takes q out again. The last one to leave ends the feed.
func (f *feed) leave(q *Query) {
	f.db.feeding.Lock()
	f.mu.Lock()
	delete(f.listeners, q)
	last := len(f.listeners) == 0
	f.mu.Unlock()
	if last && f.db.feed == f {
		f.db.feed = nil
	}
	f.db.feeding.Unlock()
	if last {
		f.cancel()
		<-f.done
	}
}

// run reads what comes until it is ended or an error ends it, of which each
// listener then learns for itself.
func (f *feed) run(ctx context.Context, after Position) {
	defer close(f.done)
	for {
		head, err := f.db.log.Wait(ctx, after)
		for err == nil && after < head {
			var c *chunk
			var n int
			if c, n, err = f.read(ctx, after, head); err == nil {
				f.publish(c, nil)
				if after = c.upTo; n > fewListeners {
					err = sleep(ctx, time.Duration(n)*perListener)
				}
			}
		}
		if err != nil {
			f.publish(nil, err)
			return
		}
	}
}

// read reads what lies after a position, of it what any of the n listeners wants.
func (f *feed) read(ctx context.Context, after, head Position) (c *chunk, n int, err error) {
	c = &chunk{after: after, upTo: min(head, after+chunkRecords)}
	f.mu.Lock()
	f.target = c.upTo
	n = len(f.listeners)
	q := f.union()
	f.mu.Unlock()
	for r, err := range f.db.log.Read(ctx, q, ReadOptions{After: after, UpTo: c.upTo}) {
		if err != nil {
			return nil, n, err
		}
		c.records = append(c.records, r)
		if c.bytes += r.Size() + recordsOwnUse; c.bytes > chunkBytes {
			c.upTo = r.Position // the rest is read next; who has listened since the target was set has it from the log
			break
		}
	}
	return c, n, nil
}

// union returns a query for what any listener wants. The caller holds mu.
func (f *feed) union() (u Query) {
	for q := range f.listeners {
		if q.All() || len(u.Items)+len(q.Items) > unionOfItems {
			return Query{}
		}
		u.Items = append(u.Items, q.Items...)
	}
	return u
}

// publish makes a window with c, or with err if there is one, the current one.
func (f *feed) publish(c *chunk, err error) {
	old := f.now.Load()
	w := &window{chunks: old.chunks, after: old.after, head: old.head, bytes: old.bytes, err: err, more: make(chan struct{})}
	if c != nil {
		w.head, w.bytes = c.upTo, w.bytes+c.bytes
		drop := 0
		for ; w.bytes > windowBytes && drop < len(w.chunks); drop++ {
			w.bytes -= w.chunks[drop].bytes
			w.after = w.chunks[drop].upTo
		}
		w.chunks = append(slices.Clip(slices.Clone(w.chunks[drop:])), c)
	}
	f.now.Store(w)
	close(old.more)
}

// live yields from the feed what matches after a position, until ctx ends, the
// loop is left (then more is false) or the window has gone past it. alone is
// true where the feed has failed.
func (db *DB) live(ctx context.Context, q *Query, progress bool, after Position, yield func(Notification, error) bool) (reached Position, alone, more bool, err error) {
	f, from, err := db.join(ctx, q)
	if err != nil {
		return after, false, true, err
	}
	defer f.leave(q)
	if from > after { // what came in between
		if more, err = db.deliver(ctx, *q, progress, after, from, yield); !more || err != nil {
			return after, false, more, err
		}
		after = from
	}
	for {
		w := f.now.Load()
		switch {
		case w.err != nil || w.after > after:
			return after, w.err != nil, true, nil
		case w.head <= after:
			select {
			case <-w.more:
			case <-ctx.Done():
				return after, false, true, ctx.Err()
			}
			continue
		}
		if more, err = w.deliver(ctx, q, progress, after, yield); !more || err != nil {
			return after, false, more, err
		}
		after = w.head
	}
}

// deliver yields what matches after a position.
func (w *window) deliver(ctx context.Context, q *Query, progress bool, after Position, yield func(Notification, error) bool) (bool, error) {
	all := q.All()
	last := after
	first, _ := slices.BinarySearchFunc(w.chunks, after, func(c *chunk, p Position) int {
		if c.upTo <= p {
			return -1
		}
		return 1
	})
	for _, c := range w.chunks[first:] {
		if err := ctx.Err(); err != nil {
			return true, err
		}
		for i := range c.records {
			r := &c.records[i]
			if r.Position <= after || !all && !q.Matches(&r.Event) {
				continue
			}
			last = r.Position
			if !yield(Notification{Record: *r, Scanned: last, CaughtUp: last == w.head}, nil) {
				return false, nil
			}
		}
	}
	if progress && last < w.head {
		return yield(Notification{Scanned: w.head, CaughtUp: true}, nil), nil
	}
	return true, nil
}
