package filestore

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/index"
)

// loader opens the segments of a store and finds where the log ends.
type loader struct {
	s         *Store
	mark      mark
	whole     int  // slots of the mark that are
	bounded   bool // read nothing beyond the mark: another process may be writing
	flag      int  // to open segment files with
	v         *view
	torn      *tear
	unused    []*segment // files made ahead of use
	rescanned int
}

// load fills l.v.
func (l *loader) load() error {
	numbers, err := l.numbers()
	if err != nil {
		return err
	}
	if l.bounded {
		numbers = numbers[:min(len(numbers), int(l.mark.segment))]
	}
	var files []*segment
	for _, n := range numbers {
		g, err := l.open(n)
		if err != nil {
			return errors.Join(err, closeAll(files))
		}
		files = append(files, g)
	}
	// The last segment with a header is the active one.
	last := len(files) - 1
	for last >= 0 && files[last].header.first == 0 {
		last--
	}
	for i, g := range files[:last+1] {
		if l.v.damage != nil {
			l.unused = append(l.unused, g)
			continue
		}
		if err := l.add(g, files, i == last); err != nil {
			return errors.Join(err, closeAll(files[i:]))
		}
	}
	for _, g := range files[last+1:] {
		l.unused = append(l.unused, g)
		if l.v.damage == nil {
			if err := l.examine(g, 0, l.v.head+1, 0, errors.New("the segment header is damaged")); err != nil {
				return err
			}
		}
	}
	if l.v.damage == nil && l.v.head < l.mark.position {
		l.damage(l.v.active(), l.v.head+1, l.v.end,
			fmt.Sprintf("the log was durable up to position %d, but ends before it", l.mark.position))
	}
	return nil
}

func closeAll(segments []*segment) error {
	var all []error
	for _, g := range segments {
		all = append(all, g.release())
	}
	return errors.Join(all...)
}

// close closes every file.
func (l *loader) close() {
	_ = closeAll(l.v.segments)
	_ = closeAll(l.unused)
}

// numbers returns the numbers of the segment files, in order.
func (l *loader) numbers() ([]uint64, error) {
	entries, err := l.s.opts.FS.ReadDir(l.s.dir + "/" + logDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		if n, ok := segmentNumber(e.Name(), segmentSuffix); ok {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// open opens segment n. Its header stays zero if the file has none that is whole.
func (l *loader) open(n uint64) (*segment, error) {
	g := &segment{number: n, name: l.s.segmentName(n)}
	var err error
	if g.file, err = l.s.opts.FS.OpenFile(g.name, l.flag, 0); err != nil {
		return nil, err
	}
	var b [segmentHeaderSize]byte
	if err := readFull(g, b[:], 0); errors.Is(err, errShort) {
		return g, nil
	} else if err != nil {
		return nil, errors.Join(err, g.file.Close())
	}
	h, err := parseSegmentHeader(b[:])
	if err != nil {
		return g, nil
	}
	if h.version > FormatVersion {
		err = &FormatError{Version: fmt.Sprint(h.version), Supported: FormatVersion}
		return nil, errors.Join(err, g.file.Close())
	}
	if uint64(h.number) == n && h.logID == l.s.logID && h.first > 0 {
		g.header = h
	}
	return g, nil
}

// damage ends the log before p.
func (l *loader) damage(g *segment, p driver.Position, offset int64, reason string) {
	if g == nil {
		l.v.damage = &driver.CorruptError{Position: p, Place: l.s.dir + "/" + logDir, Reason: reason}
		return
	}
	l.v.damage = g.corrupt(p, offset, reason)
}

// add adds the next segment to the view.
func (l *loader) add(g *segment, files []*segment, active bool) error {
	number := uint64(len(l.v.segments) + 1)
	switch {
	case g.header.first == 0:
		l.damage(g, l.v.head+1, 0, "the segment header is damaged")
	case g.number != number:
		l.damage(g, l.v.head+1, 0, fmt.Sprintf("segment %d is missing", number))
	case g.header.first != l.v.head+1 || g.header.group <= l.v.group:
		l.damage(g, l.v.head+1, 0, fmt.Sprintf("the segment begins with position %d", g.header.first))
	}
	if l.v.damage != nil {
		l.unused = append(l.unused, g)
		return nil
	}
	if active {
		return l.addActive(g)
	}
	return l.addFull(g, files[number].header.first)
}

// addFull adds a segment behind which there is another, that begins with position next.
func (l *loader) addFull(g *segment, next driver.Position) error {
	x, own, err := l.s.openIndex(g)
	if err == nil {
		g.end = own.end
		g.index.Store(x)
		l.v.segments = append(l.v.segments, g)
		l.v.head, l.v.time, l.v.end, l.v.group = x.sealed.Last(), x.sealed.LastTime(), own.end, own.group
		newer(&l.v.newest, own.newest)
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		if l.bounded {
			l.s.opts.Logger.Warn("an index file is damaged; its segment is read instead", "error", err)
		} else {
			l.s.opts.Logger.Warn("an index file is damaged and is made again", "error", err)
		}
	}
	size, err := g.file.Size()
	if err != nil {
		return err
	}
	sc, stop, err := l.scan(g, size)
	if err != nil {
		return err
	}
	g.end = l.v.end
	if next != 0 && l.v.head+1 != next {
		l.damage(g, sc.next, sc.at(), stop.Error())
		return nil
	}
	l.s.recovery.Rebuilt = append(l.s.recovery.Rebuilt, g.name)
	// An index file says that records lie behind its segment, so they must be
	// on the disk first: those of g are, since another segment was begun behind
	// it, those of the active one are not before settle.
	if n := len(l.v.segments) - 2; !l.bounded && n >= sealBacklog {
		if before := l.v.segments[n]; before.index.Load().mem != nil {
			return l.s.sealSegment(before)
		}
	}
	return nil
}

// addActive adds the last segment with a header.
func (l *loader) addActive(g *segment) error {
	size, err := g.file.Size()
	if err != nil {
		return err
	}
	if l.bounded {
		if l.mark.segment == g.number {
			size = min(size, l.mark.offset)
		}
	} else if _, err := l.s.opts.FS.Stat(indexName(g.name)); err == nil {
		// It was sealed, so a later one had begun.
		if err := l.addFull(g, 0); err != nil {
			return err
		}
		l.damage(g, l.v.head+1, l.v.end, "the segments that came after it are missing")
		return nil
	}
	before := l.v.head
	sc, stop, err := l.scan(g, size)
	if err != nil {
		return err
	}
	l.rescanned = int(l.v.head - before)
	if l.bounded {
		if l.v.head < l.mark.position {
			l.damage(g, sc.next, sc.at(), stop.Error())
		}
		return nil
	}
	if l.mark.segment == g.number && l.v.end < l.mark.offset {
		l.damage(g, sc.next, sc.at(), stop.Error())
		return nil
	}
	return l.examine(g, l.v.end, sc.next, sc.at(), stop)
}

// scan reads the groups of g, as far as they are whole, into an index in memory
// and adds the segment to the view. stop says why it went no further; it is
// not nil. err is an error of the file system.
func (l *loader) scan(g *segment, size int64) (sc *scanner, stop, err error) {
	l.begin(g)
	return l.scanOn(g, size)
}

// begin adds g to the view, none of it read yet.
func (l *loader) begin(g *segment) {
	g.index.Store(&segmentIndex{mem: index.NewMem(g.header.first)})
	l.v.segments = append(l.v.segments, g)
	l.v.end = segmentHeaderSize
}

// scanOn reads the groups of g, the active segment of the view, behind those read before.
func (l *loader) scanOn(g *segment, size int64) (sc *scanner, stop, err error) {
	c := &contents{mem: g.index.Load().mem, head: l.v.head, time: l.v.time, end: l.v.end, group: l.v.group, newest: l.v.newest}
	sc = l.s.scanAt(g, l.v.end, size, l.v.head+1)
	stop, err = l.s.scanGroups(sc, c)
	l.v.head, l.v.time, l.v.end, l.v.group, l.v.newest = c.head, c.time, c.end, c.group, c.newest
	return sc, stop, err
}
