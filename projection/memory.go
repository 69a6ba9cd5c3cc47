package projection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/annals-db/annals/driver"
)

// Memory is a read model in memory: a state of type S, which handlers get as *S
// and readers by [Memory.View]. Each process has its own. A snapshot in the
// log's state, where the store has one, saves the next process from reading
// the whole log; S is kept in it as JSON.
//
// What a handler does to memory cannot be undone: one that returns an error
// must not have changed the state before. A Memory serves one projection.
type Memory[S any] struct {
	state driver.State // nil if the store has none
	make  func() *S
	opts  MemoryOptions

	mu     sync.RWMutex
	s      *S
	book   map[string][]byte
	loaded bool
	since  int    // transactions since the last snapshot
	key    string // of the snapshot
}

// MemoryOptions are the options of [NewMemory].
type MemoryOptions struct {
	// SnapshotEvery is after how many transactions a snapshot is kept; one is
	// kept whenever Run ends, too. Below 0 keeps none. Defaults to 100.
	SnapshotEvery int
	// Logger is told of snapshots that could not be kept. Defaults to nil, silence.
	Logger *slog.Logger
}

// NewMemory returns a read model that starts as what start returns; a nil
// start means a zero S. Nil opts mean the defaults.
func NewMemory[S any](log driver.Log, start func() *S, opts *MemoryOptions) *Memory[S] {
	m := &Memory[S]{state: driver.StateOf(log), make: start}
	if opts != nil {
		m.opts = *opts
	}
	if m.make == nil {
		m.make = func() *S { return new(S) }
	}
	if m.opts.SnapshotEvery == 0 {
		m.opts.SnapshotEvery = 100
	}
	if m.opts.Logger == nil {
		m.opts.Logger = slog.New(slog.DiscardHandler)
	}
	m.s, m.book = m.make(), map[string][]byte{}
	return m
}

// View lets fn read the state. It must not change it nor keep what it finds.
func (m *Memory[S]) View(fn func(s *S)) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	fn(m.s)
}

// Keep runs fn in a transaction over the bookkeeping alone.
func (m *Memory[S]) Keep(ctx context.Context, fn func(context.Context, Book) error) error {
	return m.Update(ctx, func(ctx context.Context, _ *S, b Book) error { return fn(ctx, b) })
}

// Update runs fn while nobody reads. What it changes of the book it changes if
// it succeeds; what it changes of the state stays changed.
func (m *Memory[S]) Update(ctx context.Context, fn func(context.Context, *S, Book) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.load(ctx); err != nil {
		return err
	}
	b := &memoryBook[S]{m: m, changed: map[string][]byte{}}
	if err := fn(ctx, m.s, b); err != nil {
		return err
	}
	important := b.cleared
	for k, v := range b.changed {
		if v == nil {
			delete(m.book, k)
		} else {
			m.book[k] = v
		}
		important = important || !strings.Contains(k, "/at/")
	}
	if len(b.changed) == 0 {
		return nil
	}
	if m.since++; important || m.since >= m.opts.SnapshotEvery {
		m.snapshot(ctx)
	}
	return nil
}

// memorySnapshot is what is kept.
type memorySnapshot struct {
	Book  map[string]json.RawMessage `json:"book"`
	State json.RawMessage            `json:"state"`
}

// load begins with the snapshot, if there is one. The caller holds mu.
func (m *Memory[S]) load(ctx context.Context) error {
	ns := namespaceOf(ctx)
	if m.loaded || ns.name == "" {
		return nil
	}
	m.key = "projection-memory/" + ns.name + "/" + ns.version
	m.loaded = true
	if m.state == nil || m.opts.SnapshotEvery < 0 {
		return nil
	}
	b, _, err := m.state.Load(ctx, m.key)
	if errors.Is(err, driver.ErrNotFound) {
		return nil
	}
	var snap memorySnapshot
	s := m.make()
	if err == nil {
		err = json.Unmarshal(b, &snap)
	}
	if err == nil {
		err = json.Unmarshal(snap.State, s)
	}
	if err != nil {
		m.opts.Logger.Warn("projection: a snapshot is not used", "key", m.key, "error", err)
		return nil
	}
	m.s = s
	for k, v := range snap.Book {
		m.book[k] = v
	}
	return nil
}

// snapshot keeps a snapshot. The caller holds mu.
func (m *Memory[S]) snapshot(ctx context.Context) {
	m.since = 0
	if m.state == nil || m.opts.SnapshotEvery < 0 || m.key == "" {
		return
	}
	snap := memorySnapshot{Book: map[string]json.RawMessage{}}
	for k, v := range m.book {
		snap.Book[k] = v
	}
	var err error
	if snap.State, err = json.Marshal(m.s); err == nil {
		var b []byte
		if b, err = json.Marshal(snap); err == nil {
			_, err = m.state.Save(ctx, m.key, b, driver.AnyRevision)
		}
	}
	if err != nil {
		m.opts.Logger.Warn("projection: a snapshot could not be kept", "key", m.key, "error", err)
	}
}

// ended keeps what was done since the last snapshot.
func (m *Memory[S]) ended(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.since > 0 {
		m.snapshot(ctx)
	}
}

// memoryBook is the book of a transaction in memory.
type memoryBook[S any] struct {
	m       *Memory[S]
	changed map[string][]byte
	cleared bool
}

func (b *memoryBook[S]) Load(_ context.Context, key string) ([]byte, error) {
	if v, is := b.changed[key]; is {
		return v, nil
	}
	return b.m.book[key], nil
}

func (b *memoryBook[S]) Lock(ctx context.Context, key string) ([]byte, error) {
	return b.Load(ctx, key)
}

func (b *memoryBook[S]) Save(_ context.Context, key string, value []byte) error {
	b.changed[key] = value
	return nil
}

func (b *memoryBook[S]) Delete(_ context.Context, key string) error {
	b.changed[key] = nil
	return nil
}

func (b *memoryBook[S]) List(ctx context.Context, prefix string) (list []KeyValue, err error) {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(b.m.book)), maps.Keys(b.changed))
	slices.Sort(keys)
	for _, k := range slices.Compact(keys) {
		if v, _ := b.Load(ctx, k); v != nil && strings.HasPrefix(k, prefix) {
			list = append(list, KeyValue{k, v})
		}
	}
	return list, nil
}

// tablesOf says that there is something to reset.
func (b *memoryBook[S]) tablesOf(string) []string { return []string{"state"} }

func (b *memoryBook[S]) Create(context.Context, string, string) error {
	return fmt.Errorf("a read model in memory has no tables")
}

func (b *memoryBook[S]) Clear(context.Context, string) error {
	b.m.s, b.cleared = b.m.make(), true
	return nil
}

func (b *memoryBook[S]) Drop(ctx context.Context, table string) error { return b.Clear(ctx, table) }

func (b *memoryBook[S]) Show(context.Context, string, string) error { return nil }

func (b *memoryBook[S]) Compare(context.Context, string, string, int) (Comparison, error) {
	return Comparison{}, fmt.Errorf("read models in memory are not compared: each version has its own: %w", errors.ErrUnsupported)
}
