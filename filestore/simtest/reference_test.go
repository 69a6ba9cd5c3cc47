package simtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"os"
	"sync"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/mutant"
	"github.com/annals-db/annals/internal/simfs"
	"github.com/annals-db/annals/internal/vfs"
)

// reference is the simplest log on one file that keeps the promises on a disk
// that loses power, fills up and fails to sync: frames of length, CRC32C and a
// batch in gob. It is here to show that the simulation passes a store that is
// right and finds each fault in one that is not.
type reference struct {
	o       Opening
	lock    chan struct{} // held by who writes the file
	file    vfs.File
	holder  interface{ Close() error }
	mu      sync.Mutex // guards what follows; never held over a write
	cond    *sync.Cond
	queue   []*referenceAppend
	log     []driver.Record
	visible int
	end     int64
	broken  error
	closed  bool
}

type referenceAppend struct {
	b    driver.Batch
	done bool
	r    driver.Receipt
	err  error
	recs []driver.Record
}

func openReference(o Opening) (driver.Log, error) {
	l := &reference{o: o, lock: make(chan struct{}, 1)}
	l.cond = sync.NewCond(&l.mu)
	if err := o.FS.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for _, d := range []string{"/", "/data", dir} {
		if err := l.syncDir(d); err != nil {
			return nil, err
		}
	}
	var err error
	if l.holder, err = o.FS.Lock(dir + "/lock"); err != nil {
		return nil, err
	}
	if l.file, err = o.FS.OpenFile(dir+"/log", os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if err := l.syncDir(dir); err != nil {
		return nil, err
	}
	return l, l.recover()
}

func (l *reference) syncDir(name string) error {
	if mutant.NoDirSync {
		return nil
	}
	return l.o.FS.SyncDir(name)
}

// recover reads the file up to the first frame that is not whole, wipes what
// lies behind it and makes the rest durable.
func (l *reference) recover() error {
	size, err := l.file.Size()
	if err != nil {
		return err
	}
	data := make([]byte, size)
	if size > 0 {
		if _, err := l.file.ReadAt(data, 0); err != nil {
			return err
		}
	}
	for {
		recs, n := decodeFrame(data[l.end:])
		if n == 0 {
			break
		}
		l.log = append(l.log, recs...)
		l.end += int64(n)
	}
	l.visible = len(l.log)
	if mutant.KeepDebris {
		return nil
	}
	if l.end > 0 { // again: a sync that failed may have left it only in memory
		if _, err := l.file.WriteAt(data[:l.end], 0); err != nil {
			return err
		}
	}
	if err := l.file.Truncate(l.end); err != nil {
		return err
	}
	return l.file.Sync()
}

func decodeFrame(b []byte) ([]driver.Record, int) {
	if len(b) < 8 {
		return nil, 0
	}
	n := int(binary.LittleEndian.Uint32(b))
	if n == 0 || n > len(b)-8 || crc32.ChecksumIEEE(b[8:8+n]) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, 0
	}
	var recs []driver.Record
	if gob.NewDecoder(bytes.NewReader(b[8:8+n])).Decode(&recs) != nil {
		return nil, 0
	}
	return recs, 8 + n
}

func encodeFrame(recs []driver.Record) []byte {
	var body bytes.Buffer
	if err := gob.NewEncoder(&body).Encode(recs); err != nil {
		panic(err)
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(body.Len()))
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(body.Bytes()))
	return append(b, body.Bytes()...)
}

func (l *reference) Append(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
	if err := driver.Validate(&b, driver.DefaultLimits); err != nil {
		return driver.Receipt{}, err
	}
	a := &referenceAppend{b: b}
	l.mu.Lock()
	l.queue = append(l.queue, a)
	l.mu.Unlock()
	l.lock <- struct{}{}
	if !a.done {
		l.commit()
	}
	<-l.lock
	return a.r, a.err
}

// commit writes all that is queued and answers it.
func (l *reference) commit() {
	l.mu.Lock()
	group := l.queue
	l.queue = nil
	var out []byte
	before := len(l.log)
	for _, a := range group {
		if a.err = l.decide(a); a.err == nil && a.recs != nil {
			out = append(out, encodeFrame(a.recs)...)
		}
		a.done = true
	}
	if mutant.VisibleBeforeDurable {
		l.visible = len(l.log)
	}
	l.mu.Unlock()
	var err error
	if len(out) > 0 {
		err = l.persist(out)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.end += int64(len(out))
		l.visible = len(l.log)
		l.cond.Broadcast()
		return
	}
	l.log = l.log[:before]
	for _, a := range group {
		if errors.Is(err, simfs.ErrFull) && a.err == nil {
			a.err = fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
		} else if a.err == nil || a.recs == nil {
			a.err = fmt.Errorf("%w: %w", driver.ErrOutcomeUnknown, err)
		}
	}
}

// persist writes a group. Where the disk is full it takes back what it wrote.
func (l *reference) persist(out []byte) error {
	_, err := l.file.WriteAt(out, l.end)
	if errors.Is(err, simfs.ErrFull) {
		if back := errors.Join(l.file.Truncate(l.end), l.file.Sync()); back == nil {
			return err
		}
	}
	if err == nil && !mutant.AckBeforeSync {
		err = l.file.Sync()
	}
	if err != nil {
		l.broken = err
	}
	return err
}

// decide judges a batch and gives it its records.
func (l *reference) decide(a *referenceAppend) error {
	if l.closed {
		return driver.ErrClosed
	}
	if l.broken != nil {
		return fmt.Errorf("%w: %w", driver.ErrReadOnly, l.broken)
	}
	check := []func(*referenceAppend) (bool, error){l.ids, l.conditions}
	if mutant.IDsAfterConditions {
		check[0], check[1] = check[1], check[0]
	}
	for _, c := range check {
		if known, err := c(a); known || err != nil {
			return err
		}
	}
	now, head := l.o.Clock(), len(l.log)
	if head > 0 && now.Before(l.log[head-1].Time) {
		now = l.log[head-1].Time
	}
	if !a.b.Time.IsZero() {
		if head > 0 && a.b.Time.Before(l.log[head-1].Time) {
			return &driver.InvalidError{Index: -1, Field: "time", Reason: "it is earlier than the head's"}
		}
		now = a.b.Time
	}
	a.r = driver.Receipt{First: driver.Position(head + 1), Last: driver.Position(head + len(a.b.Events)), Time: now}
	for i, e := range a.b.Events {
		r := driver.Record{Event: e, Position: driver.Position(len(l.log) + 1), Time: now, Batch: a.r.First}
		if e.Stream != "" {
			r.Version = l.version(e.Stream) + 1
		}
		if i == 0 {
			r.Conditions = a.b.Conditions
		}
		a.r.Versions = append(a.r.Versions, r.Version)
		l.log = append(l.log, r)
	}
	a.recs = l.log[head:len(l.log):len(l.log)]
	return nil
}

func (l *reference) version(stream string) uint64 {
	for i := len(l.log) - 1; i >= 0; i-- {
		if l.log[i].Stream == stream {
			return l.log[i].Version
		}
	}
	return 0
}

func (l *reference) ids(a *referenceAppend) (known bool, err error) {
	for i := range l.log {
		for k := range a.b.Events {
			r := &l.log[i]
			if r.ID != a.b.Events[k].ID {
				continue
			}
			if k > 0 || len(l.log)-i < len(a.b.Events) || r.Batch != r.Position {
				return false, &driver.IDError{ID: r.ID, Position: r.Position, Reason: "is of another batch"}
			}
			a.r = driver.Receipt{First: r.Position, Last: r.Position, Time: r.Time, Repeated: true}
			for n := range a.b.Events {
				s := &l.log[i+n]
				if !driver.SameContent(&s.Event, &a.b.Events[n]) || s.Batch != r.Batch || s.ID != a.b.Events[n].ID {
					return false, &driver.IDError{ID: r.ID, Position: r.Position, Reason: "holds other content"}
				}
				a.r.Last, a.r.Versions = s.Position, append(a.r.Versions, s.Version)
			}
			return true, nil
		}
	}
	return false, nil
}

func (l *reference) conditions(a *referenceAppend) (bool, error) {
	versions := map[string]uint64{}
	for i := range l.log {
		versions[l.log[i].Stream] = max(versions[l.log[i].Stream], l.log[i].Version)
	}
	for i, c := range a.b.Conditions {
		if fails(c, l.log, versions) != "" {
			return false, &driver.ConflictError{Condition: c, Index: i, Head: driver.Position(len(l.log)), Version: versions[c.Stream]}
		}
	}
	return false, nil
}

func (l *reference) Read(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
	return func(yield func(driver.Record, error) bool) {
		l.mu.Lock()
		all := l.log[:l.visible]
		l.mu.Unlock()
		if o.UpTo == 0 {
			o.UpTo = driver.Position(len(all))
		}
		for _, r := range wanted(all, q, o) {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (l *reference) Wait(ctx context.Context, after driver.Position) (driver.Position, error) {
	defer context.AfterFunc(ctx, l.cond.Broadcast)()
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.visible <= int(after) && ctx.Err() == nil && !l.closed {
		l.cond.Wait()
	}
	if l.closed {
		return 0, driver.ErrClosed
	}
	return driver.Position(l.visible), ctx.Err()
}

func (l *reference) Info(context.Context) (driver.Info, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return driver.Info{Head: driver.Position(l.visible)}, nil
}

func (l *reference) Close() error {
	l.lock <- struct{}{}
	defer func() { <-l.lock }()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	l.cond.Broadcast()
	return errors.Join(l.file.Close(), l.holder.Close())
}
