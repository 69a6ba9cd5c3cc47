package filestore

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/index"
	"github.com/annals-db/annals/internal/mutant"
)

// commit makes the group under way durable, shows it to readers and answers
// its requests.
func (w *writer) commit() {
	if w.cur == nil {
		return
	}
	if w.wrong != nil {
		w.fail(w.wrong)
		return
	}
	if w.s.opts.Order != nil {
		w.commitOrdered()
		return
	}
	err := w.write()
	if err == nil {
		w.mutants()
		w.indexEarly()
		err = w.sync()
	}
	if err != nil {
		w.fail(err)
		return
	}
	w.publish()
	w.finish()
}

// write writes the group under way behind what is durable. On an error the
// segment is as it was, or the store is made read-only.
func (w *writer) write() error {
	if err := w.payMark(); err != nil {
		return err
	}
	g := w.cur
	w.header.count = uint64(len(g.offsets))
	w.header.size = uint64(len(g.buf) - groupRoom)
	var room [groupRoom]byte
	head := room[:0]
	seg, off := w.seg, w.off
	if w.next != nil {
		seg, off = w.next, 0
		head = seg.header.append(head)
	}
	head = w.header.append(head, w.s.seed)
	data := g.buf[groupRoom-len(head):]
	copy(data, head)
	shift := off + int64(len(head)) - groupRoom
	for i := range w.entries {
		w.entries[i].Offset += shift
	}
	if err := w.writeAhead(seg, data, off); err != nil {
		err = fmt.Errorf("append to %s: %w: %w", w.s.dir, driver.ErrUnavailable, err)
		if undone := w.undo(seg, off); undone != nil {
			w.s.setReadOnly(fmt.Errorf("a failed write could not be undone, reopen the store: %w", undone))
			err = fmt.Errorf("%w: %w: %w", driver.ErrOutcomeUnknown, err, undone)
		}
		return err
	}
	w.seg, w.off = seg, off+int64(len(data))
	return nil
}

const (
	zeroStepMin = 16 << 10
	zeroStepMax = 4 << 20
)

// zeros is never written to, so it takes up no memory.
var zeros [zeroStepMax]byte

// writeAhead writes data, and zeros behind it if what was zeroed before is used
// up: a sync that finds the file's size and blocks as they are is much cheaper.
func (w *writer) writeAhead(seg *segment, data []byte, off int64) error {
	if _, err := seg.file.WriteAt(data, off); err != nil {
		return err
	}
	end := off + int64(len(data))
	if end <= seg.zeroed {
		return nil
	}
	// In small steps for small groups, whose caller would notice; more by and by.
	step := min(max(end/4, zeroStepMin), max(zeroStepMax/16, 8*int64(len(data))), zeroStepMax)
	step = min(step, max(w.s.sizeOf(seg.number)-end, 0))
	n, _ := seg.file.WriteAt(zeros[:step], end) // without room for them it is slower, no more
	seg.zeroed = end + int64(n)
	return nil
}

// undo cuts off what a failed write may have left, so that no reopening takes
// for a record what was refused.
func (w *writer) undo(seg *segment, off int64) error {
	if err := seg.file.Truncate(off); err != nil {
		return err
	}
	seg.zeroed = off
	return seg.file.Sync()
}

// sync makes the group written durable, and notes so in the mark.
func (w *writer) sync() error {
	if err := w.seg.file.Sync(); err != nil {
		// What is on the disk now, nobody knows; only reopening tells.
		w.s.setReadOnly(fmt.Errorf("a sync failed, reopen the store: %w", err))
		return fmt.Errorf("append to %s: %w: %w", w.s.dir, driver.ErrOutcomeUnknown, err)
	}
	w.group++
	if mutant.MarkBeforeData {
		return nil
	}
	w.writeMark(w.mark())
	return nil
}

// mark is the mark of the last group.
func (w *writer) mark() mark {
	return mark{segment: w.seg.number, offset: w.off, position: w.head, group: w.group, time: w.time}
}

func (w *writer) writeMark(m mark) {
	w.owed = nil
	if err := w.s.mark.write(m); err != nil {
		w.owed = &m
		w.s.opts.Logger.Warn("the durable mark cannot be written; nothing is appended before it is", "error", err)
	}
}

// payMark writes the mark of the last group, where that failed before. Without
// it a later group must not be written: if that were torn, so could this one be.
func (w *writer) payMark() error {
	if w.owed == nil {
		return nil
	}
	if err := w.s.mark.write(*w.owed); err != nil {
		return fmt.Errorf("append to %s: write the durable mark: %w: %w", w.s.dir, driver.ErrUnavailable, err)
	}
	w.owed = nil
	return nil
}

// indexEarly has a large group put into the index while it is synced. Readers
// do not look at what lies behind the head; an append that does waits for
// publishing. If the sync fails the head never gets there.
func (w *writer) indexEarly() {
	const large = 64
	if w.shown || len(w.entries) < large {
		return
	}
	w.s.publishing.Lock()
	w.early = true
	w.toIndex <- w.entries
}

// indexer adds groups to the index of the active segment.
func (w *writer) indexer() {
	for entries := range w.toIndex {
		w.seg.index.Load().mem.Add(entries)
		w.indexed <- struct{}{}
	}
}

// index puts the group into the index, if that has not been done early.
// publishing is held when it returns.
func (w *writer) index() {
	if w.early {
		<-w.indexed
		w.early = false
		return
	}
	w.s.publishing.Lock()
	w.seg.index.Load().mem.Add(w.entries)
}

// publish shows the group to readers: the index, the versions and the view
// change together.
func (w *writer) publish() {
	if w.shown {
		return
	}
	w.shown = true
	w.index()
	w.show()
	w.s.publishing.Unlock()
	w.s.grown.notify()
}

func (w *writer) show() {
	s := w.s
	old := s.view.Load()
	v := &view{segments: old.segments, head: w.head, time: w.time, end: w.off, group: w.group, newest: w.newest}
	if w.next != nil {
		if full := old.active(); full != nil {
			full.end = old.end
		}
		v.segments = append(slices.Clone(old.segments), w.next)
	}
	s.heads.commit(w.touched, w.added, w.head)
	s.view.Store(v)
}

// finish answers the requests of the group and gets ready for the next.
func (w *writer) finish() {
	w.window.filled()
	w.placed = w.waker.answer(append(w.placed, w.held...))
	begun := w.next != nil
	w.clear()
	w.ahead.progress(w.seg.number, w.off)
	if v := w.s.view.Load(); begun && len(v.segments) > 1 {
		w.sealer.seal(v.segments[len(v.segments)-2])
	}
}

// clear forgets the group under way.
func (w *writer) clear() {
	clear(w.entries)
	clear(w.placed)
	clear(w.held)
	clear(w.touched)
	clear(w.added)
	w.entries, w.placed, w.held, w.touched = w.entries[:0], w.placed[:0], w.held[:0], w.touched[:0]
	w.cur, w.next, w.shown, w.wrong = nil, nil, false, nil
}

// fail answers every request of the group with err and goes back to what is durable.
func (w *writer) fail(err error) {
	if w.early {
		w.index()
		w.s.publishing.Unlock()
	}
	for _, r := range slices.Concat(w.placed, w.held) {
		r.err, r.retry = err, false
		r.answer()
	}
	v := w.s.view.Load()
	w.head, w.time, w.newest = v.head, v.time, v.newest
	if w.next != nil {
		w.ahead.giveBack(w.next)
		w.base = 0
		if w.seg = v.active(); w.seg != nil {
			w.base = w.seg.header.baseTime
		}
	}
	w.off = v.end
	w.group = max(w.group, w.header.group) // a number is never used twice within an epoch
	w.window.reset(v.head)
	w.clear()
}

// nextSegment returns a new segment whose first record will have time at.
func (w *writer) nextSegment(at int64) (*segment, error) {
	number := uint64(1)
	if w.seg != nil {
		number = w.seg.number + 1
	}
	seg, err := w.ahead.take(number)
	if err != nil {
		return nil, err
	}
	seg.header = segmentHeader{
		version:  FormatVersion,
		number:   uint32(number),
		logID:    w.s.logID,
		first:    w.head + 1,
		baseTime: at,
		group:    w.group + 1,
	}
	seg.index.Store(&segmentIndex{mem: index.NewMem(w.head + 1)})
	return seg, nil
}

// createSegment makes the file of a segment, empty, and makes its name durable.
func (s *Store) createSegment(number uint64) (*segment, error) {
	name := s.segmentName(number)
	f, err := s.opts.FS.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := s.syncDir(s.dir + "/" + logDir); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &segment{number: number, file: f, name: name}, nil
}

// mutants lets the tests' simulation break the order of things.
func (w *writer) mutants() {
	if mutant.MarkBeforeData {
		w.group++
		w.writeMark(w.mark())
		w.group--
	}
	if mutant.VisibleBeforeDurable {
		w.publish()
	}
	if mutant.AckBeforeSync {
		for _, r := range w.placed {
			r.answer()
		}
		w.placed = nil
	}
}
