package filestore

import (
	"errors"
	"fmt"
	"os"

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

// tear is what a torn append left in a segment.
type tear struct {
	g    *segment
	from int64
	to   int64 // the end of the bytes that are not zero
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
	slots := 1
	if l.whole < 2 {
		slots = 2 // a write torn by a crash has left one damaged
	}
	g := l.v.active()
	if g == nil {
		return l.s.mark.renew(mark{}, slots)
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
