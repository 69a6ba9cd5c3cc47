package simtest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/simfs"
)

// inspection is what a store that may be damaged says and serves.
type inspection struct {
	log    []driver.Record // what it served
	named  []error         // what it named: on opening, reading and verifying
	opened bool
}

// end is where what it served may end.
func (in *inspection) end() logEnd {
	if len(in.named) > 0 {
		return anywhere
	}
	return early
}

// inspect opens the store on a healthy machine, reads and verifies it.
func (w *world) inspect() *inspection {
	w.birth()
	in := &inspection{}
	w.aside(1<<30, func() {
		log, err := w.store.Open(Opening{FS: w.process, Dir: dir, Clock: w.clock.Now, Seed: w.seed})
		if err != nil {
			in.named = append(in.named, err)
			return
		}
		w.log = log
		in.opened = true
		info, err := log.Info(w.ctx)
		switch {
		case err != nil:
			in.named = append(in.named, err)
		case info.ReadOnly != "":
			in.named = append(in.named, errors.New(info.ReadOnly))
		}
		for r, err := range log.Read(w.ctx, driver.Query{}, driver.ReadOptions{}) {
			if err != nil {
				in.named = append(in.named, err)
				break
			}
			in.log = append(in.log, r)
		}
		if v, ok := log.(driver.Verifier); ok {
			for err := range v.Verify(w.ctx, nil) {
				in.named = append(in.named, err)
			}
		}
	})
	w.die(kill)
	w.over = true
	for _, err := range in.named {
		w.say("named: %v", err)
	}
	return in
}

// judgeLoss checks a store whose disk has lied and lost power: it serves a
// beginning of what there was, with no gap, and where it finds that something
// is lost it says so.
func (w *world) judgeLoss() {
	promised, told := w.history.head(), w.told
	in := w.inspect()
	if len(in.named) > 0 {
		// Where the loss is, older bytes may be back that were written over: the
		// disk said that it had done so.
		in.log = in.log[:w.history.agrees(in.log)]
	}
	w.expect(w.history.check(in.log, in.end()))
	for _, err := range in.named {
		var c *driver.CorruptError
		if errors.As(err, &c) && c.Position == 0 && c.Place == "" {
			w.fail("the loss is named without a place: %w", err)
		}
	}
	switch lost := int(promised) - len(in.log); {
	case len(in.named) > 0:
		w.count(Stats{LossesNamed: 1})
	case lost > 0:
		w.count(Stats{LossesSilent: 1})
		if told {
			w.fail("%d of %d records are lost, the mark tells of them, and nothing is said", lost, promised)
		}
	}
}

// harm damages a store that was closed: a bit of the payload of a record that
// was acknowledged, a bit anywhere, or a whole file. What it does must be
// named, or make no difference at all.
func (w *world) harm() {
	files := w.disk.Files()
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(files)), func(n string) bool { return len(files[n]) == 0 || !strings.HasPrefix(n, dir+"/") })
	if len(names) == 0 {
		return
	}
	w.count(Stats{Flips: 1})
	if e := w.history.pick(w.rand.IntN, func(e *entry) bool { return e.receipt != nil }); e != nil && chance(w.rand, 40) {
		if w.flipPayload(files, names, e, w.rand.IntN(len(e.batch.Events))) {
			return
		}
	}
	name := one(w.rand, names)
	if chance(w.rand, 50) {
		bit := w.rand.Int64N(int64(len(files[name])) * 8)
		w.say("bit %d of %s is flipped", bit, name)
		w.disk.Flip(name, bit)
	} else {
		w.harmFile(files, names, name)
	}
	in := w.inspect()
	end := in.end()
	if len(in.named) == 0 {
		end = whole
	}
	w.expect(w.history.check(in.log, end))
}

// harmFile loses a file, a part of it, or puts the bytes of another in its place.
func (w *world) harmFile(files map[string][]byte, names []string, name string) {
	data := slices.Clone(files[name])
	switch w.rand.IntN(4) {
	case 0:
		w.say("%s is lost", name)
		w.disk.Lose(name)
		return
	case 1:
		n := w.rand.IntN(len(data))
		w.say("%s ends at byte %d", name, n)
		data = data[:n]
	case 2:
		from := w.rand.IntN(len(data)) / simfs.Sector * simfs.Sector
		w.say("the sector at byte %d of %s reads as zeros", from, name)
		clear(data[from:min(len(data), from+simfs.Sector)])
	case 3:
		alike := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return path.Ext(n) != path.Ext(name) })
		other := one(w.rand, alike) // the mark and a segment damaged at once can be the end of a record
		w.say("%s and %s change places", name, other)
		data = files[other]
		w.disk.Replace(other, files[name])
	}
	w.disk.Replace(name, data)
}

// flipPayload flips a bit of the payload of event i of e, and reports whether
// it found the payload.
func (w *world) flipPayload(files map[string][]byte, names []string, e *entry, i int) bool {
	data := e.batch.Events[i].Data
	copies := 0 // other payloads are pieces of the store's files
	for _, name := range names {
		if w.store.Data(name) {
			copies += bytes.Count(files[name], data)
		}
	}
	for _, name := range names {
		at := bytes.Index(files[name], data)
		if at < 0 || !w.store.Data(name) || copies > 1 {
			continue
		}
		w.count(Stats{FlipsIn: 1})
		bit := int64(at)*8 + w.rand.Int64N(int64(len(data))*8)
		pos := e.receipt.First + driver.Position(i)
		w.say("bit %d of %s is flipped, in position %d", bit, name, pos)
		w.disk.Flip(name, bit)
		in := w.inspect()
		w.expect(w.history.check(in.log, in.end()))
		if len(in.log) >= int(pos) {
			w.fail("position %d is served though its payload is damaged", pos)
		}
		if err := nameOf(in.named, e.receipt); err != nil {
			w.fail("a flipped bit in position %d: %w", pos, err)
		}
		return true
	}
	return false
}

// nameOf returns an error unless one of the errors names a position of the receipt.
func nameOf(named []error, r *driver.Receipt) error {
	for _, err := range named {
		var c *driver.CorruptError
		if errors.As(err, &c) && c.Position >= r.First && c.Position <= r.Last {
			return nil
		}
	}
	return fmt.Errorf("nothing names a position from %d to %d: %v", r.First, r.Last, named)
}
