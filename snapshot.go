package annals

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"sync"

	"github.com/annals-db/annals/codec"
	"github.com/annals-db/annals/driver"
)

// kept is a snapshot as it lies in the store's state. It is used only where
// the log still has, at its position, the very event it was taken after.
type kept struct {
	Log      ID              `json:"log"`
	Position Position        `json:"position"`
	Event    ID              `json:"event"`
	Version  uint64          `json:"version"`
	State    json.RawMessage `json:"state"`
}

// snapshotable returns why t cannot be kept as JSON, field by field, the
// embedded Entity left out.
func snapshotable(t reflect.Type) error {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) && reflect.PointerTo(t).Implements(reflect.TypeFor[json.Marshaler]()) {
		return nil
	}
	if t.Kind() != reflect.Struct {
		_, err := codec.NewChecker(t, codec.JSON)
		return err
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type == reflect.TypeFor[Entity]() {
			continue
		}
		if !f.IsExported() || f.Tag.Get("json") == "-" {
			return fmt.Errorf("field %s.%s is not kept in JSON: give %s MarshalJSON and UnmarshalJSON", t, f.Name, t)
		}
		if _, err := codec.NewChecker(f.Type, codec.JSON); err != nil {
			return fmt.Errorf("field %s.%s: %w", t, f.Name, err)
		}
	}
	return nil
}

func (m *Model[S]) snapshotKey(stream string) string {
	version := m.opts.version
	if version == "" {
		version = "build " + build()
	}
	return "snapshot/" + m.category + "/" + version + "/" + stream
}

func (m *Model[S]) snapshots(db *DB) driver.State {
	if m.opts.snapshotEvery <= 0 || db.opts.NoSnapshots {
		return nil
	}
	s, ok := db.log.(driver.Stater)
	if !ok {
		return nil
	}
	return s.State()
}

// snapshot returns the state of stream from its snapshot if there is one that
// holds at pin, else the zero state. A snapshot that cannot be read is as good
// as none.
func (m *Model[S]) snapshot(ctx context.Context, db *DB, stream string, pin Position) state[S] {
	if kv := m.snapshots(db); kv != nil && pin > 0 && stream != "" {
		if value, _, err := kv.Load(ctx, m.snapshotKey(stream)); err == nil {
			if st, ok := m.restore(ctx, db, stream, pin, value); ok {
				return st
			}
		}
	}
	return state[S]{s: m.zero()}
}

func (m *Model[S]) restore(ctx context.Context, db *DB, stream string, pin Position, value []byte) (state[S], bool) {
	var k kept
	if json.Unmarshal(value, &k) != nil || k.Position == 0 || k.Position > pin {
		return state[S]{}, false
	}
	if id, err := db.logID(); err != nil || id != k.Log {
		return state[S]{}, false
	}
	for r, err := range db.log.Read(ctx, Query{}, ReadOptions{After: k.Position - 1, UpTo: k.Position}) {
		if err != nil || r.ID != k.Event || r.Stream != stream || r.Version != k.Version {
			return state[S]{}, false
		}
	}
	s := m.zero()
	if json.Unmarshal(k.State, s) != nil {
		return state[S]{}, false
	}
	return state[S]{s: s, version: k.Version, scanned: k.Position}, true
}

// keepSnapshots keeps the snapshots that are due after tx. One that fails is
// told to the logger: the append stands.
func (db *DB) keepSnapshots(tx *Tx) {
	for _, l := range tx.entities {
		if err := l.keepSnapshot(); err != nil {
			db.opts.Logger.Warn("snapshot not kept", "stream", l.core().stream, "error", err)
		}
	}
}

func (t *tracked[S]) keepSnapshot() error {
	every := uint64(max(t.model.opts.snapshotEvery, 0))
	if every == 0 || t.base/every == t.version/every {
		return nil
	}
	return t.model.keepSnapshot(context.WithoutCancel(t.ctx), t.db, t.stream)
}

// keepSnapshot folds stream from the log, not from what a caller may have done
// to its object, and keeps the state.
func (m *Model[S]) keepSnapshot(ctx context.Context, db *DB, stream string) error {
	kv := m.snapshots(db)
	if kv == nil {
		return nil
	}
	info, err := db.log.Info(ctx)
	if err != nil {
		return err
	}
	st, err := m.stateAt(ctx, db, streamSource(stream), info.Head, nil)
	if err != nil {
		return err
	}
	k := kept{Log: info.LogID, Version: st.version}
	q := Query{Items: []QueryItem{{Streams: []string{stream}}}}
	for r, err := range db.log.Read(ctx, q, ReadOptions{UpTo: info.Head, Backward: true, Limit: 1}) {
		if err != nil {
			return err
		}
		if r.Version != st.version {
			return nil // the cache was further; the next snapshot will do
		}
		k.Position, k.Event = r.Position, r.ID
	}
	if k.State, err = json.Marshal(st.s); err != nil {
		return err
	}
	value, err := json.Marshal(k)
	if err != nil {
		return err
	}
	_, err = kv.Save(ctx, m.snapshotKey(stream), value, driver.AnyRevision)
	return err
}

// build returns a name for the running program: the hash of its executable.
var build = sync.OnceValue(func() string {
	path, err := os.Executable()
	if err != nil {
		return NewID().String() // of no other run
	}
	f, err := os.Open(path)
	if err != nil {
		return NewID().String()
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return NewID().String()
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
})
