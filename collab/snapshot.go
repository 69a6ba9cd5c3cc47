package collab

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/klauspost/compress/zstd"
)

// kept is a snapshot of a text: of the state at a version that is a multiple of
// [Options.SnapshotEvery]. There is one for each, so every past version is near one.
type kept struct {
	Log      driver.ID
	Stream   string
	Version  uint64
	Position driver.Position
	ID       driver.ID // of the record at Position, so that a log that was forked is noticed
	Pause    time.Duration
	Time     time.Time
	Text     string
	Authors  []string
	Spans    [][4]int64 // length, author, version, nanoseconds since 1970
}

var (
	packer, _   = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	unpacker, _ = zstd.NewReader(nil, zstd.WithDecoderMaxMemory(256<<20))
)

func (d *Document) snapshotKey(version uint64) string {
	return fmt.Sprintf("collab/%s/%012d", d.stream, version)
}

func (d *Document) store() driver.State {
	if s, ok := d.docs.source.(driver.Stater); ok && d.docs.opts.SnapshotEvery > 0 {
		return s.State()
	}
	return nil
}

// snapshot returns the state at the last snapshot up to a version that can be
// used, else that before the first edit.
func (d *Document) snapshot(ctx context.Context, version uint64) state {
	store := d.store()
	if store == nil {
		return state{}
	}
	every := uint64(d.docs.opts.SnapshotEvery)
	for v := version / every * every; v > 0; v -= every {
		packed, _, err := store.Load(ctx, d.snapshotKey(v))
		if err != nil {
			continue
		}
		s, ok := d.restore(ctx, packed, v)
		if ok {
			return s
		}
		if ctx.Err() == nil { // it is of another log, or of other options
			_ = store.Delete(ctx, d.snapshotKey(v), driver.AnyRevision)
		}
	}
	return state{}
}

func (d *Document) restore(ctx context.Context, packed []byte, version uint64) (state, bool) {
	data, err := unpacker.DecodeAll(packed, nil)
	var k kept
	if err != nil || json.Unmarshal(data, &k) != nil ||
		k.Log != d.docs.log || k.Stream != d.stream || k.Version != version || k.Pause != d.docs.opts.Pause || k.Position == 0 {
		return state{}, false
	}
	if !d.holds(ctx, k.Position, k.ID, version) {
		return state{}, false
	}
	s := state{version: version, position: k.Position, id: k.ID, time: k.Time, text: NewText(k.Text)}
	length := 0
	for _, n := range k.Spans {
		if n[1] < 0 || n[1] >= int64(len(k.Authors)) {
			return state{}, false
		}
		s.spans = append(s.spans, Span{int(n[0]), k.Authors[n[1]], uint64(n[2]), time.Unix(0, n[3]).UTC()})
		length += int(n[0])
	}
	return s, length == s.text.Len()
}

// holds reports whether the record at a position is the one that is meant, so
// that what was kept is of this log as it is.
func (d *Document) holds(ctx context.Context, p driver.Position, id driver.ID, version uint64) (same bool) {
	err := d.records(ctx, p-1, 1, func(r *driver.Record) error {
		same = r.Position == p && r.ID == id && r.Version == version
		return nil
	})
	return same && err == nil
}

// due returns a copy of s if a snapshot of it is to be kept.
func (d *Document) due(s *state) (copied state, due bool) {
	if d.store() == nil || s.version%uint64(d.docs.opts.SnapshotEvery) != 0 {
		return state{}, false
	}
	copied = *s
	copied.spans = slices.Clone(s.spans)
	return copied, true
}

// keepSnapshot keeps s if that is due and not done yet. One that fails harms nothing.
func (d *Document) keepSnapshot(ctx context.Context, s *state) {
	store := d.store()
	if store == nil || s.version%uint64(d.docs.opts.SnapshotEvery) != 0 {
		return
	}
	key := d.snapshotKey(s.version)
	if _, _, err := store.Load(ctx, key); err == nil {
		return
	}
	k := kept{Log: d.docs.log, Stream: d.stream, Version: s.version, Position: s.position, ID: s.id,
		Pause: d.docs.opts.Pause, Time: s.time, Text: s.text.String()}
	index := map[string]int64{}
	for _, span := range s.spans {
		author, known := index[span.Author]
		if !known {
			author = int64(len(k.Authors))
			index[span.Author] = author
			k.Authors = append(k.Authors, span.Author)
		}
		k.Spans = append(k.Spans, [4]int64{int64(span.Length), author, int64(span.Version), span.Time.UnixNano()})
	}
	data, err := json.Marshal(k)
	if err == nil {
		_, err = store.Save(ctx, key, packer.EncodeAll(data, nil), driver.AnyRevision)
	}
	if err != nil {
		d.docs.opts.Logger.Warn("snapshot of a text not kept", "text", d.name, "version", s.version, "error", err)
	}
}
