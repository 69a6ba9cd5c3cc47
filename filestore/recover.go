package filestore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/index"
	"github.com/annals-db/annals/internal/merkle"
	"github.com/annals-db/annals/internal/mutant"
)

// Recovery is what opening a store found and did.
type Recovery struct {
	TornBytes int64    // of an append that was never acknowledged, set aside
	Aside     string   // the file they were set aside in, "" if there were none
	Rescanned int      // records of the active segment read again
	Rebuilt   []string // segments whose index file was missing or damaged
}

// recover finds out where the log stands, clears away what a torn append left,
// and makes sure that what it found is on the disk. Where the log is damaged
// the view says so and ends there, and nothing on the disk is changed.
func (s *Store) recover() (*view, error) {
	m, whole, err := s.mark.read()
	if err != nil && !errors.Is(err, errNoMark) {
		return nil, err
	}
	s.mark.last = m.sequence
	l := &loader{s: s, mark: m, whole: whole, flag: os.O_RDWR, v: &view{}}
	if err := l.load(); err != nil {
		l.close()
		return nil, err
	}
	if l.v.damage != nil {
		return l.v, nil
	}
	if err := l.settle(); err != nil {
		l.close()
		return nil, err
	}
	s.recovery.Rescanned = l.rescanned
	return l.v, nil
}

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

// tear is what a torn append left in a segment.
type tear struct {
	g    *segment
	from int64
	to   int64 // the end of the bytes that are not zero
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

// contents is what the groups of a segment amount to.
type contents struct {
	mem    *index.Mem
	hash   *merkle.Range // nil if hashes are not asked for
	head   driver.Position
	time   int64
	end    int64
	group  uint64
	newest driver.ID
}

// scanGroups adds groups to c as long as they are whole. stop says why it went
// no further; it is not nil. err is an error of the file system.
func (s *Store) scanGroups(sc *scanner, c *contents) (stop, err error) {
	var entries []index.Entry
	var hasher merkle.Hasher
	for {
		var rec driver.Record
		ok, err := sc.record(&rec)
		var damage *driver.CorruptError
		switch {
		case errors.As(err, &damage):
			return errors.New(damage.Reason), nil
		case err != nil:
			return nil, err
		case !ok:
			return errors.New("the segment ends"), nil
		}
		entries = append(entries, entryOf(&rec, sc.at()-sc.last))
		newer(&c.newest, rec.ID)
		if c.hash != nil {
			c.hash.Append(hasher.Leaf(&rec))
		}
		if sc.left > 0 {
			continue
		}
		if sc.at() != sc.groupEnd {
			return errors.New("the group's size is not as its header says"), nil
		}
		c.mem.Add(entries)
		entries = entries[:0]
		c.head, c.time, c.end, c.group = rec.Position, rec.Time.UnixNano(), sc.at(), sc.group.group
	}
}

// examine looks at what lies behind the last whole group of g, which ends at
// from: nothing, a torn append, or damage, which then is what stopped the scan
// at position p and byte offset.
func (l *loader) examine(g *segment, from int64, p driver.Position, offset int64, stop error) error {
	size, err := g.file.Size()
	if err != nil {
		return err
	}
	end := from // of what is not zero
	const block, overlap = 1 << 20, maxGroupHeader
	buf := make([]byte, min(block+overlap, max(size-from, 0)))
	for at := from; at < size; at += block {
		b := buf[:min(int64(len(buf)), size-at)]
		if err := readFull(g, b, at); err != nil {
			return err
		}
		if n := lastNonZero(b); n >= 0 {
			end = max(end, at+int64(n)+1)
		}
		if h, later := l.laterGroup(b, at, from); later > 0 {
			l.damage(g, p, offset, fmt.Sprintf("%s, but group %d with position %d lies behind it at byte %d", stop, h.group, h.first, later))
			return nil
		}
	}
	if end > from {
		if l.torn != nil {
			l.damage(g, l.v.head+1, from, "two segments end in a torn append")
			return nil
		}
		l.torn = &tear{g: g, from: from, to: end}
	}
	return nil
}

// laterGroup looks in b, the bytes at offset at, for the header of a group that
// comes after the one that would begin at from.
func (l *loader) laterGroup(b []byte, at, from int64) (h groupHeader, offset int64) {
	return l.s.findGroup(b, at, func(h groupHeader, offset int64) bool {
		own := offset == from || from == 0 && offset == segmentHeaderSize
		return !own && h.first > l.v.head+1 && h.group > l.v.group
	})
}

// findGroup looks in b, the bytes at offset at, for the first header of a group
// that fits; its offset is 0 if there is none.
func (s *Store) findGroup(b []byte, at int64, fits func(groupHeader, int64) bool) (h groupHeader, offset int64) {
	marker := []byte{groupMarker & 0xFF, groupMarker >> 8}
	for n := 0; ; n++ {
		i := bytes.Index(b[n:], marker)
		if i < 0 {
			return h, 0
		}
		n += i
		if h, _, err := parseGroupHeader(b[n:], s.seed); err == nil && fits(h, at+int64(n)) {
			return h, at + int64(n)
		}
	}
}

func lastNonZero(b []byte) int {
	for n := len(b) - 1; n >= 0; n-- {
		if b[n] != 0 {
			return n
		}
	}
	return -1
}

// settle clears away the torn tail and the unused files, and writes and syncs
// again what may not have been durable, before anyone is shown it.
func (l *loader) settle() error {
	if l.torn != nil {
		if err := l.setAside(); err != nil {
			return fmt.Errorf("set a torn append aside: %w", err)
		}
	}
	for _, g := range l.unused {
		_ = g.file.Close()
		_ = l.s.opts.FS.Remove(g.name)
	}
	l.unused = nil
	g := l.v.active()
	if g == nil {
		return nil
	}
	from := int64(0)
	if l.mark.segment == g.number {
		from = l.mark.offset
	}
	if err := rewrite(g, from, l.v.end); err != nil {
		return err
	}
	size, err := g.file.Size()
	if err != nil {
		return err
	}
	g.zeroed = max(size, l.v.end)
	if mutant.KeepDebris {
		g.zeroed = l.v.end
	}
	slots := 1
	if l.whole < 2 {
		slots = 2 // a write torn by a crash has left one damaged
	}
	return l.s.mark.renew(mark{segment: g.number, offset: l.v.end, position: l.v.head, group: l.v.group, time: l.v.time}, slots)
}

// rewrite writes the bytes of g from from to end once more and syncs them. A
// sync that failed before may have left them in memory only, seemingly clean.
func rewrite(g *segment, from, end int64) error {
	buf := make([]byte, min(1<<20, max(end-from, 0)))
	for at := from; at < end; {
		b := buf[:min(int64(len(buf)), end-at)]
		if err := readFull(g, b, at); err != nil {
			return err
		}
		if _, err := g.file.WriteAt(b, at); err != nil {
			return err
		}
		at += int64(len(b))
	}
	return g.file.Sync()
}

// setAside copies what a torn append left into a file of its own and zeroes it
// in the segment, so that it can never be taken for a part of a later one.
func (l *loader) setAside() error {
	t, s := l.torn, l.s
	b := make([]byte, t.to-t.from)
	if err := readFull(t.g, b, t.from); err != nil {
		return err
	}
	if err := s.opts.FS.MkdirAll(s.dir+"/"+asideDir, 0o700); err != nil {
		return err
	}
	if err := s.syncDir(s.dir); err != nil {
		return err
	}
	name := fmt.Sprintf("%s/%s/segment-%d-byte-%d-%08x.torn", s.dir, asideDir, t.g.number, t.from, newEpoch())
	if err := s.replaceFile(name, writeAll(b)); err != nil {
		return err
	}
	s.recovery.TornBytes, s.recovery.Aside = int64(len(b)), name
	s.opts.Logger.Warn("an append that was never acknowledged was torn; it is set aside",
		"after", l.v.head, "segment", t.g.name, "byte", t.from, "bytes", len(b), "file", name)
	if mutant.KeepDebris {
		return nil
	}
	clear(b)
	if _, err := t.g.file.WriteAt(b, t.from); err != nil {
		return err
	}
	return t.g.file.Sync()
}
