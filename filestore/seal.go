package filestore

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/index"
	"github.com/annals-db/annals/internal/merkle"
)

// sealer writes the index files of full segments in the background. Until one
// is written its segment is searched by the index in memory.
type sealer struct {
	s     *Store
	mu    sync.Mutex
	todo  []*segment
	moved *sync.Cond // todo or close has changed
	close bool
	done  chan struct{} // closed when the goroutine has ended
}

// sealBacklog is how many segments may wait for their index files, since each
// keeps its index in memory.
const sealBacklog = 1

func newSealer(s *Store) *sealer {
	l := &sealer{s: s, done: make(chan struct{})}
	l.moved = sync.NewCond(&l.mu)
	go l.run()
	return l
}

// ready reports whether another segment may be sealed. While it is not, the
// active one grows beyond its size, up to a bound at which ready waits.
func (l *sealer) ready(off int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.todo) >= sealBacklog {
		if off < 2*l.s.opts.SegmentBytes {
			return false
		}
		l.moved.Wait()
	}
	return true
}

// seal has the index file of g written.
func (l *sealer) seal(g *segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.todo = append(l.todo, g)
	l.moved.Broadcast()
}

func (l *sealer) run() {
	defer close(l.done)
	for {
		l.mu.Lock()
		for len(l.todo) == 0 && !l.close {
			l.moved.Wait()
		}
		if l.close {
			l.mu.Unlock()
			return
		}
		g := l.todo[0]
		l.mu.Unlock()
		if err := l.s.sealSegment(g); err != nil {
			l.s.opts.Logger.Warn("an index file could not be written; the next opening tries again", "segment", g.name, "error", err)
		}
		l.mu.Lock()
		l.todo = l.todo[1:]
		l.moved.Broadcast()
		l.mu.Unlock()
	}
}

// finish ends the goroutine after the segment it is at. What is left is done
// when the store is opened again.
func (l *sealer) finish() {
	l.mu.Lock()
	l.close = true
	l.moved.Broadcast()
	l.mu.Unlock()
	<-l.done
}

// sealed is what the engine itself keeps in an index file:
//
//	 0  8  bytes of the segment in use
//	 8  8  number of its last group
//	16 16  the greatest time-ordered ID in it, 0 if there is none
//	32     nodes of the segment's range of the hash tree, see package merkle
type sealed struct {
	end    int64
	group  uint64
	newest driver.ID
	nodes  []byte
}

func (x sealed) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(x.end))
	b = binary.LittleEndian.AppendUint64(b, x.group)
	b = append(b, x.newest[:]...)
	return append(b, x.nodes...)
}

func parseSealed(b []byte) (sealed, error) {
	if len(b) < 32 {
		return sealed{}, errShort
	}
	x := sealed{
		end:    int64(binary.LittleEndian.Uint64(b)),
		group:  binary.LittleEndian.Uint64(b[8:]),
		newest: driver.ID(b[16:32]),
		nodes:  b[32:],
	}
	if x.end < segmentHeaderSize {
		return sealed{}, errors.New("the end of the segment makes no sense")
	}
	return x, nil
}

// sealSegment writes the index file of g, whose records are indexed in memory,
// and changes over to it.
func (s *Store) sealSegment(g *segment) error {
	if size, err := g.file.Size(); err != nil {
		return err
	} else if size > g.end {
		if err := g.file.Truncate(g.end); err != nil {
			return err
		}
	}
	own, err := s.summarize(g, s.pause)
	if err != nil {
		return err
	}
	if err := s.writeIndex(g, g.index.Load().mem, own); err != nil {
		return err
	}
	x, _, err := s.openIndex(g)
	if err != nil {
		return err
	}
	g.index.Store(x)
	return nil
}

// pause holds the sealing back, so that appends find a processor free, as long
// as the segment that is next to be sealed has room.
func (s *Store) pause() {
	if v := s.view.Load(); v != nil && v.end < s.sizeOf(uint64(len(v.segments)))/2 && !s.closed.Load() {
		time.Sleep(500 * time.Microsecond)
	}
}

// writeIndex writes the index file of g.
func (s *Store) writeIndex(g *segment, mem *index.Mem, own sealed) error {
	extra := own.append(nil)
	return s.replaceFile(indexName(g.name), func(w io.Writer) error { return mem.Seal(w, extra) })
}

// summarize reads a full segment for what the engine keeps in its index file.
// pause, if not nil, is called now and then.
func (s *Store) summarize(g *segment, pause func()) (sealed, error) {
	own := sealed{end: g.end}
	sc := s.scanAt(g, segmentHeaderSize, g.end, g.header.first)
	r := merkle.NewRange(uint64(g.header.first - 1))
	const between = 1024 // records
	err := hashRecords(sc, r, noEnd, func(rec *driver.Record) {
		newer(&own.newest, rec.ID)
		if pause != nil && rec.Position%between == 0 {
			pause()
		}
	})
	if err != nil {
		return sealed{}, err
	}
	own.group, own.nodes = sc.group.group, mustMarshal(r)
	return own, nil
}

// openIndex opens the index file of g.
func (s *Store) openIndex(g *segment) (*segmentIndex, sealed, error) {
	name := indexName(g.name)
	f, err := s.opts.FS.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, sealed{}, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, sealed{}, errors.Join(err, f.Close())
	}
	x, err := index.OpenSealed(f, size, s.indexes)
	if err != nil {
		return nil, sealed{}, errors.Join(g.damagedIndex(err), f.Close())
	}
	own, err := parseSealed(x.Extra())
	if err == nil && x.First() != g.header.first {
		err = errors.New("it is of another segment")
	}
	if err != nil {
		return nil, sealed{}, errors.Join(g.damagedIndex(&index.DamageError{Reason: err.Error()}), f.Close())
	}
	return &segmentIndex{sealed: x, file: f}, own, nil
}
