package filestore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/index"
	"github.com/annals-db/annals/internal/quorum"
)

// writer is the one goroutine that orders appends. It takes the whole queue at
// once, judges and places each request, and makes them durable together.
type writer struct {
	s     *Store
	epoch uint32

	mu     sync.Mutex
	queue  []*request
	bytes  int // of the bodies in the queue
	closed bool
	room   *sync.Cond    // bytes has fallen, or closed
	wake   chan struct{} // holds one if the queue may have something
	ended  chan struct{} // closed when the goroutine has ended

	// What follows is the goroutine's own.
	seg     *segment // that is written to
	off     int64    // the end of its groups
	group   uint64   // number of the last group
	head    driver.Position
	time    int64 // of the record at head
	window  *window
	newest  driver.ID        // the greatest time-ordered ID, cur's included
	touched []*head          // the streams in the group under way that are known
	added   map[string]*head // the others
	cur     *recent          // the group under way, nil if it has no record
	header  groupHeader      // of cur
	base    int64            // base time of the segment it will be in
	next    *segment         // begun for cur, nil if it goes to seg
	entries []index.Entry
	placed  []*request // in cur
	held    []*request // to be answered when cur is durable
	shown   bool       // cur has been published
	owed    *mark      // the mark of the last group, if it could not be written
	behind  bool       // it has been said that the clock is behind
	wrong   error      // why cur, which was decided elsewhere, does not continue the log

	unsettled bool          // the last group is ordered by a cluster and not synced yet
	reached   mark          // of it
	answered  int           // requests in it
	ordering  time.Duration // how long the cluster took to order it
	waker     *waker
	ahead     *preparer
	sealer    *sealer
	toIndex   chan []index.Entry // to the indexer
	indexed   chan struct{}      // from it: they are in the index
	early     bool               // cur's entries are with the indexer
}

const (
	queueBytes = 64 << 20 // in the queue, before Append waits
	groupBytes = 8 << 20  // in a group, before it is committed
	groupRoom  = segmentHeaderSize + maxGroupHeader
	farBehind  = 10 * time.Second
)

// enqueue hands r to the writer. It waits while the queue is full.
func (w *writer) enqueue(ctx context.Context, r *request) error {
	w.mu.Lock()
	for w.bytes > queueBytes && !w.closed {
		if err := ctx.Err(); err != nil {
			w.mu.Unlock()
			return err
		}
		stop := context.AfterFunc(ctx, w.stir)
		w.room.Wait()
		stop()
	}
	if w.closed {
		w.mu.Unlock()
		return driver.ErrClosed
	}
	w.queue = append(w.queue, r)
	w.bytes += len(r.body)
	first := len(w.queue) == 1
	w.mu.Unlock()
	if first {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// stir makes those who wait for room look again.
func (w *writer) stir() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.room.Broadcast()
}

// run serves the queue until close.
func (w *writer) run() {
	defer close(w.ended)
	defer close(w.toIndex)
	defer w.waker.close()
	var queue []*request
	for {
		w.await()
		for {
			w.gather()
			w.mu.Lock()
			queue, w.queue = w.queue, queue[:0]
			w.bytes = 0
			closed := w.closed
			w.room.Broadcast()
			w.mu.Unlock()
			if len(queue) == 0 {
				if closed {
					_ = w.settle() // a failure is in why the store cannot be written
					return
				}
				break
			}
			for _, r := range queue {
				w.take(r)
			}
			w.commit()
			clear(queue)
		}
	}
}

// close lets the writer serve what is queued, and waits for it.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.room.Broadcast()
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	<-w.ended
}

// take judges r and places it in the group under way.
func (w *writer) take(r *request) {
	if !r.state.CompareAndSwap(requestQueued, requestTaken) {
		return // its caller has gone
	}
	if r.err = w.s.refusal(); r.err != nil {
		r.answer()
		return
	}
	if w.cur != nil && w.apart(r) {
		w.commit()
	}
	if r.decided != nil {
		w.takeDecided(r)
		return
	}
	if !w.leads() {
		r.err = quorum.ErrNotLeading
		r.answer()
		return
	}
	fits := !r.whole && w.judge(r)
	if !fits && r.ordered {
		if fits = w.judgeWhole(r); !fits {
			return
		}
	}
	if !fits {
		// Another look by the caller will say what is wrong, once what stands
		// against it can be read.
		r.retry = true
		w.hold(r)
		return
	}
	at, err := w.timeOf(r)
	if err != nil {
		r.err = err
		w.hold(r)
		return
	}
	if err := w.place(r, at); err != nil {
		r.err = err
		r.answer()
	}
}

// apart reports whether r must not be in the group under way.
func (w *writer) apart(r *request) bool {
	limit := min(groupBytes, w.s.opts.SegmentBytes)
	if o := w.s.opts.Order; o != nil {
		if len(w.placed) > 0 && (w.placed[0].decided == nil) != (r.decided == nil) {
			return true
		}
		if o.GroupBytes > 0 {
			limit = min(limit, int64(o.GroupBytes))
		}
	}
	return int64(len(w.cur.buf)+len(r.body)) > limit
}

// leads reports whether appends are judged here.
func (w *writer) leads() bool { return w.s.opts.Order == nil || w.s.opts.Order.Leading.Load() }

// hold keeps the answer to r until the group under way is durable.
func (w *writer) hold(r *request) {
	if w.cur == nil {
		r.answer()
		return
	}
	w.held = append(w.held, r)
}

// judge reports whether nothing after r.checked stands against r, and puts in
// the versions that its streams are at now.
func (w *writer) judge(r *request) bool {
	if r.checked < w.window.start {
		return false
	}
	for i := range r.events {
		if id, ok := ordered(r.batch.Events[i].ID); ok && greater(id, w.newest) {
			continue
		}
		if w.window.id(r.events[i].id) > r.checked {
			return false
		}
	}
	for i := range r.streams {
		if !w.find(&r.streams[i], r.checked) {
			return false
		}
	}
	for i := range r.conds {
		c := &r.batch.Conditions[i]
		if stream := r.conds[i].stream; stream >= 0 {
			if !holds(c, r.streams[stream].version) {
				return false
			}
			continue
		}
		if c.After > w.head || w.window.match(c.Query, r.conds[i].masks, max(c.After, r.checked)) != 0 {
			return false
		}
	}
	return true
}

// find puts in the version that a stream is at now. It returns false if the
// stream may have changed after checked and nothing more is known of it.
func (w *writer) find(ref *streamRef, checked driver.Position) bool {
	ref.head = w.s.heads.current(ref.head, ref.name)
	if ref.head == nil && len(w.added) > 0 {
		ref.head = w.added[ref.name]
	}
	switch {
	case ref.head == nil:
		return checked >= w.s.heads.forgotten // the version is as the caller found it
	case ref.head.group == w.group+1:
		ref.version = ref.head.pending
	default:
		ref.version = ref.head.version
	}
	return true
}

// nextVersion returns the version of the next record of a stream.
func (w *writer) nextVersion(ref *streamRef) uint64 {
	h := ref.head
	if h == nil {
		if h = w.added[ref.name]; h == nil {
			h = &head{name: ref.name, group: w.group + 1, pending: ref.version}
			w.added[ref.name] = h
		}
		ref.head = h
	}
	if h.group != w.group+1 {
		h.group, h.pending = w.group+1, h.version
		w.touched = append(w.touched, h)
	}
	h.pending++
	return h.pending
}

// judgeWhole commits the group under way and then judges r by everything. If
// it may not be placed, it is answered.
func (w *writer) judgeWhole(r *request) bool {
	w.commit()
	if r.err = w.s.refusal(); r.err != nil {
		r.answer()
		return false
	}
	settled, err := w.s.check(context.Background(), r, false)
	if settled || err != nil {
		r.err = err
		r.answer()
		return false
	}
	return true
}

// timeOf returns the log's time of r: as given, else by the clock, but never
// before that of the record before.
func (w *writer) timeOf(r *request) (int64, error) {
	if !r.batch.Time.IsZero() {
		if w.head > 0 && r.time < w.time {
			return 0, &driver.InvalidError{Index: -1, Field: "time", Reason: fmt.Sprintf("%s is before the log's head, %s",
				r.batch.Time.UTC().Format(time.RFC3339Nano), unixNano(w.time).Format(time.RFC3339Nano))}
		}
		return r.time, nil
	}
	now := w.s.opts.Clock().UnixNano()
	if w.head == 0 || now >= w.time {
		w.behind = false
		return now, nil
	}
	if late := time.Duration(w.time - now); late >= farBehind && !w.behind {
		w.behind = true
		w.s.opts.Logger.Warn("the clock is behind the log's last record, whose time is used instead",
			"behind", late, "clock", unixNano(now), "log", unixNano(w.time))
	}
	return w.time, nil
}

// place gives r's events their positions, versions and time, and puts their
// frames into the group under way.
func (w *writer) place(r *request, at int64) error {
	if w.cur == nil {
		if err := w.begin(at); err != nil {
			return err
		}
	}
	first := w.head + 1
	stamp := w.header.stamp()
	start := 0
	for i := range r.events {
		e := &r.events[i]
		w.head++
		f := frame{stamp: stamp, distance: uint64(i), delta: uint64(at) - uint64(w.base), body: r.body[start:e.end]}
		if e.stream >= 0 {
			f.version = w.nextVersion(&r.streams[e.stream])
		}
		r.versions[i] = f.version
		offset := len(w.cur.buf)
		w.cur.buf = appendFrame(w.cur.buf, f, w.head)
		w.window.add(offset, e.signature, e.id)
		event := &r.batch.Events[i]
		newer(&w.newest, event.ID)
		w.entries = append(w.entries, index.Entry{
			Position: w.head,
			Offset:   int64(offset),
			Stream:   event.Stream,
			Version:  f.version,
			Type:     event.Type,
			Tags:     event.Tags,
			ID:       event.ID,
			Time:     at,
		})
		start = e.end
	}
	w.time = at
	r.setReceipt(first, unixNano(at))
	w.placed = append(w.placed, r)
	return nil
}

// begin begins a group, and a segment for it if the one in use is full.
func (w *writer) begin(at int64) error {
	w.next = nil
	if w.seg == nil || w.off >= w.s.sizeOf(w.seg.number) && w.sealer.ready(w.off) {
		next, err := w.nextSegment(at)
		if err != nil {
			return fmt.Errorf("append to %s: begin a segment: %w: %w", w.s.dir, driver.ErrUnavailable, err)
		}
		w.next = next
		w.base = at
	}
	w.header = groupHeader{epoch: w.epoch, group: w.group + 1, first: w.head + 1}
	w.cur = w.window.begin(w.head + 1)
	return nil
}
