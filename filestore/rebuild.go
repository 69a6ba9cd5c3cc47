package filestore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/index"
	"github.com/annals-db/annals/internal/merkle"
)

// RebuildIndexes makes every index file of the store in dir again from its
// segment alone. The store must not be open for appending. progress, if not
// nil, is told segments done and to do; it may be called by several goroutines.
//
// It is needed only if index files were damaged, and then not at once: opening
// the store makes those again that are missing or known to be bad.
func RebuildIndexes(ctx context.Context, dir string, opts *Options, progress func(done, total int)) (err error) {
	s := &Store{opts: opts.withDefaults(), dir: slashed(dir), done: make(chan struct{})}
	s.opts.MustExist = true
	s.indexes = index.NewCache(s.opts.CacheBytes / 7 * 5)
	defer func() {
		if err = errors.Join(err, s.release()); err != nil {
			err = fmt.Errorf("rebuild the indexes of %s: %w", dir, err)
		}
	}()
	if err := s.lockDir(); err != nil {
		return err
	}
	id, err := s.identity()
	if err != nil {
		return err
	}
	s.setID(id)
	l := &loader{s: s, flag: os.O_RDWR, v: &view{}}
	defer func() { err = errors.Join(err, closeAll(l.unused)) }()
	sealed, err := l.sealedSegments()
	if err != nil {
		return err
	}
	if err := l.syncLast(); err != nil {
		return err
	}
	return s.rebuildAll(ctx, sealed, progress)
}

// syncLast makes sure that the last segment is on the disk, as the index file
// of the one before it says.
func (l *loader) syncLast() error {
	if len(l.unused) == 0 {
		return nil
	}
	g := l.unused[len(l.unused)-1]
	size, err := g.file.Size()
	if err != nil {
		return err
	}
	return rewrite(g, 0, size)
}

// sealedSegments opens all segments that another follows.
func (l *loader) sealedSegments() ([]*segment, error) {
	numbers, err := l.numbers()
	if err != nil {
		return nil, err
	}
	var sealed []*segment
	for _, n := range numbers {
		g, err := l.open(n)
		if err != nil {
			return nil, err
		}
		l.unused = append(l.unused, g)
		if g.header.first == 0 {
			continue
		}
		if k := len(l.unused); k > 1 && l.unused[k-2].header.first != 0 {
			sealed = append(sealed, l.unused[k-2])
		}
	}
	return sealed, nil
}

// rebuildAll makes the index files of the segments, on all processors.
func (s *Store) rebuildAll(ctx context.Context, segments []*segment, progress func(done, total int)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next, done atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 4) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(segments) {
					return
				}
				if err := s.rebuild(segments[i]); err != nil {
					cancel(err)
					return
				}
				if n := int(done.Add(1)); progress != nil {
					progress(n, len(segments))
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// rebuild makes the index file of g.
func (s *Store) rebuild(g *segment) error {
	size, err := g.file.Size()
	if err != nil {
		return err
	}
	c := &contents{mem: index.NewMem(g.header.first), hash: merkle.NewRange(uint64(g.header.first - 1))}
	sc := s.scanAt(g, segmentHeaderSize, size, g.header.first)
	stop, err := s.scanGroups(sc, c)
	if err != nil {
		return err
	}
	next, err := s.firstOf(g.number + 1)
	if err != nil {
		return err
	}
	if c.head+1 != next {
		return g.corrupt(sc.next, sc.at(), stop.Error())
	}
	g.end = c.end
	return s.writeIndex(g, c.mem, sealed{end: c.end, group: c.group, newest: c.newest, nodes: mustMarshal(c.hash)})
}

// firstOf returns the position that segment n begins with.
func (s *Store) firstOf(n uint64) (driver.Position, error) {
	g, err := (&loader{s: s, flag: os.O_RDONLY}).open(n)
	if err != nil {
		return 0, err
	}
	defer g.file.Close()
	if g.header.first == 0 {
		return math.MaxUint64, nil
	}
	return g.header.first, nil
}
