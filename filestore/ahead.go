package filestore

import (
	"sync"

	"github.com/annals-db/annals/driver"
)

// scanAhead decodes records in a goroutine of its own while those before them
// are yielded.
type scanAhead struct {
	r     *reader
	full  chan *slab
	empty chan *slab
	stop  chan struct{}
	ended sync.WaitGroup
}

// slab is a piece of what was read.
type slab struct {
	records []driver.Record
	err     error // what came after them, if anything did
}

const slabRecords = 512

// scan yields every record forwards: the first few as they are decoded, since
// there may be no more or the loop may be left, and the others from a goroutine
// that decodes ahead.
func (r *reader) scan() {
	var i int
	next := r.o.After + 1
	for i = range r.span() {
		sc, err := r.s.scanFrom(r.v, i, max(next, r.v.segments[i].header.first))
		if err != nil {
			r.err = err
			return
		}
		for sc.next <= r.upTo() {
			if r.yielded >= slabRecords {
				r.ahead(sc, i)
				return
			}
			r.rec = driver.Record{}
			if ok, err := sc.record(&r.rec); !ok || err != nil {
				r.err = err
				break
			}
			if !r.give(&r.rec) {
				return
			}
		}
		if r.err != nil {
			return
		}
	}
}

// ahead yields what sc has left in segment i, and the segments after it.
func (r *reader) ahead(sc *scanner, i int) {
	a := &scanAhead{r: r, full: make(chan *slab, 1), empty: make(chan *slab, 2), stop: make(chan struct{})}
	for range cap(a.empty) {
		a.empty <- &slab{records: make([]driver.Record, slabRecords)}
	}
	a.ended.Go(func() { a.decode(sc, i) })
	defer a.ended.Wait()
	defer close(a.stop)
	for s := range a.full {
		for n := range s.records {
			if !r.give(&s.records[n]) {
				return
			}
		}
		if s.err != nil {
			r.err = s.err
			return
		}
		a.empty <- s
	}
}

// decode fills slabs until the end, an error or the loop's being left.
func (a *scanAhead) decode(sc *scanner, i int) {
	defer close(a.full)
	r := a.r
	upTo := r.upTo()
	for {
		var s *slab
		select {
		case s = <-a.empty:
		case <-a.stop:
			return
		}
		s.records = s.records[:cap(s.records)]
		clear(s.records)
		n := 0
		for n < len(s.records) && s.err == nil && sc != nil {
			ok := false
			if sc.next <= upTo {
				ok, s.err = sc.record(&s.records[n])
			}
			switch {
			case ok:
				n++
			case s.err == nil && sc.next > upTo || i+1 == len(r.v.segments):
				sc = nil
			case s.err == nil:
				i++
				sc, s.err = r.s.scanFrom(r.v, i, r.v.segments[i].header.first)
			}
		}
		s.records = s.records[:n]
		select {
		case a.full <- s:
		case <-a.stop:
			return
		}
		if s.err != nil || sc == nil {
			return
		}
	}
}
