package projection

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
)

// Documents lie in a state that has no transactions over several keys, so one
// key, the manifest, is what commits:
//
//	documents/manifest   {"parts": ["documents/part/ID", …]}, a line, and
//	                     behind it the newest changes, one JSON object a line
//	documents/part/ID    older changes, likewise, immutable
//
// What the parts say in order, and then the manifest, is the state. A commit
// replaces the manifest by compare-and-swap. Where its changes grow too long
// they become a part first; where the parts do, they are written anew without
// what was overwritten.
const (
	manifestKey = "documents/manifest"
	partPrefix  = "documents/part/"

	tailBytes = 64 << 10 // of changes in the manifest
	partBytes = 16 << 20 // of a part that is written anew
	maxParts  = 64
	minWaste  = 4 << 20 // of parts, before they are written anew
)

// manifest is the manifest as it was read or written last.
type manifest struct {
	parts    []string
	bytes    int    // of all parts
	tail     []byte // changes in it
	revision uint64
}

type manifestLine struct {
	Parts []string `json:"parts"`
	Bytes int      `json:"bytes"`
}

// refresh brings what is held in memory up to the manifest.
func (d *Documents) refresh(ctx context.Context) error {
	d.level.Lock()
	defer d.level.Unlock()
	for tries := 0; ; tries++ {
		err := d.read(ctx)
		// A part that is gone was written anew since the manifest was read.
		if !errors.Is(err, driver.ErrNotFound) || tries == 10 {
			return err
		}
	}
}

// read is one try. The caller holds level.
func (d *Documents) read(ctx context.Context) error {
	b, revision, err := d.state.Load(ctx, manifestKey)
	if errors.Is(err, driver.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if revision == d.at.revision {
		return nil
	}
	first, tail, _ := bytes.Cut(b, []byte("\n"))
	var line manifestLine
	if err := json.Unmarshal(first, &line); err != nil {
		return fmt.Errorf("%s: %w", manifestKey, err)
	}
	if d.at.revision > 0 && slices.Equal(line.Parts, d.at.parts) && bytes.HasPrefix(tail, d.at.tail) {
		if err := d.applyLines(tail[len(d.at.tail):]); err != nil {
			return err
		}
	} else {
		kept := d.kept
		d.kept, d.order = values{}, nil
		for _, p := range line.Parts {
			b, _, err := d.state.Load(ctx, p)
			if err == nil {
				err = d.applyLines(b)
			}
			if err != nil {
				d.kept = kept
				return err
			}
		}
		if err := d.applyLines(tail); err != nil {
			return err
		}
	}
	d.at = manifest{line.Parts, line.Bytes, tail, revision}
	return nil
}

// applyLines applies changes. The caller holds mu.
func (d *Documents) applyLines(b []byte) error {
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte("\n"))
		var c change
		if err := json.Unmarshal(line, &c); err != nil {
			return fmt.Errorf("a change of documents: %w", err)
		}
		d.apply(c)
	}
	return nil
}

func (d *Documents) apply(c change) {
	if d.kept == nil {
		d.kept = values{}
	}
	in := d.kept[c.Collection]
	if c.Value == nil || string(c.Value) == "null" {
		if _, is := in[c.Key]; is {
			delete(in, c.Key)
			d.disorder(c.Collection)
		}
		return
	}
	if in == nil {
		in = map[string]json.RawMessage{}
		d.kept[c.Collection] = in
	}
	if _, is := in[c.Key]; !is {
		d.disorder(c.Collection)
	}
	in[c.Key] = c.Value
}

func (d *Documents) disorder(collection string) {
	d.ordering.Lock()
	delete(d.order, collection)
	d.ordering.Unlock()
}

// commit makes changes durable, or returns ErrRevision where what they were
// made from at revision began is no longer what is there. The caller holds write.
func (d *Documents) commit(ctx context.Context, began uint64, changes []change) error {
	d.level.Lock()
	defer d.level.Unlock()
	if d.at.revision != began {
		return driver.ErrRevision
	}
	lines, err := encodeLines(changes)
	if err != nil {
		return err
	}
	next := d.at
	var written, old []string
	if next.tail = slices.Concat(d.at.tail, lines); len(next.tail) > tailBytes {
		switch {
		case len(next.parts) >= maxParts || next.bytes > minWaste && next.bytes > 2*d.size():
			old = d.everyPart(ctx)
			next, written, err = d.rewrite(ctx, changes)
		default:
			var key string
			key, err = d.writePart(ctx, next.tail)
			written = []string{key}
			next.parts, next.bytes, next.tail = append(slices.Clone(next.parts), key), next.bytes+len(next.tail), nil
		}
		if err != nil {
			return err
		}
	}
	line, err := json.Marshal(manifestLine{next.parts, next.bytes})
	if err != nil {
		return err
	}
	next.revision, err = d.state.Save(ctx, manifestKey, slices.Concat(line, []byte("\n"), next.tail), d.at.revision)
	if errors.Is(err, driver.ErrRevision) {
		d.remove(ctx, written)
		return err
	}
	if err != nil {
		d.mu.Lock()
		d.at.revision = 0 // unknown: what is there is looked at before the next commit
		d.mu.Unlock()
		return err
	}
	d.mu.Lock()
	for _, c := range changes {
		d.apply(c)
	}
	d.at = next
	d.mu.Unlock()
	d.remove(ctx, old)
	return nil
}

func encodeLines(changes []change) ([]byte, error) {
	var b bytes.Buffer
	for _, c := range changes {
		line, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

// size is about how many bytes a part with everything would have.
func (d *Documents) size() (n int) {
	for _, in := range d.kept {
		for k, v := range in {
			n += len(k) + len(v) + 32
		}
	}
	return n
}

// rewrite writes everything, with changes, as new parts.
func (d *Documents) rewrite(ctx context.Context, changes []change) (manifest, []string, error) {
	all := &Documents{kept: values{}}
	for c, in := range d.kept {
		for k, v := range in {
			all.apply(change{c, k, v})
		}
	}
	for _, c := range changes {
		all.apply(c)
	}
	next := manifest{revision: d.at.revision}
	var part []change
	size := 0
	flush := func() error {
		lines, err := encodeLines(part)
		if err != nil {
			return err
		}
		key, err := d.writePart(ctx, lines)
		next.parts, next.bytes = append(next.parts, key), next.bytes+len(lines)
		part, size = nil, 0
		return err
	}
	for c, in := range all.kept {
		for k, v := range in {
			part = append(part, change{c, k, v})
			if size += len(k) + len(v) + 32; size > partBytes {
				if err := flush(); err != nil {
					return next, next.parts, err
				}
			}
		}
	}
	err := flush()
	return next, next.parts, err
}

func (d *Documents) writePart(ctx context.Context, b []byte) (string, error) {
	key := partPrefix + annals.NewID().String()
	_, err := d.state.Save(ctx, key, b, 0)
	return key, err
}

// remove deletes parts that nothing refers to; one that cannot be deleted goes when all are next written anew.
func (d *Documents) remove(ctx context.Context, parts []string) {
	for _, p := range parts {
		_ = d.state.Delete(ctx, p, driver.AnyRevision)
	}
}

// everyPart returns the keys of all parts there are, also of those that
// processes that died have left. Once a manifest is committed that does not
// name them, none of them is needed: a commit under way that has written one
// finds that manifest, and fails.
func (d *Documents) everyPart(ctx context.Context) (all []string) {
	for key, err := range d.state.Keys(ctx, partPrefix) {
		if err != nil {
			return d.at.parts
		}
		all = append(all, key)
	}
	return all
}
