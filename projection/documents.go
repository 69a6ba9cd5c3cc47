package projection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
)

// Documents are read models that Annals keeps itself, in the log's state, for
// programs without a database: JSON values by key, in collections. They are
// held in memory as well, so they have to fit there. A commit writes what has
// changed and costs one durable write, whatever the number of events. Several
// processes may write where the store's state allows it, and any may read.
type Documents struct {
	state driver.State
	write sync.Mutex // one Update at a time here; with other processes it is compare-and-swap
	level sync.Mutex // held from a look at the manifest, or a change of it, until at and kept say the same, so that they never go back

	mu   sync.RWMutex // of at and kept, which change under level too
	at   manifest     // as it was seen last
	kept values

	ordering sync.Mutex          // behind mu
	order    map[string][]string // keys in order, by collection; made when asked for
}

// values are all keys: those of the book under "", documents under their collection.
type values map[string]map[string]json.RawMessage

var _ Target[*Docs] = (*Documents)(nil)

// NewDocuments returns the documents that are kept in the state of log.
func NewDocuments(log driver.Log) (*Documents, error) {
	state := driver.StateOf(log)
	if state == nil {
		return nil, fmt.Errorf("documents: the store keeps no state beside its log: %w", errors.ErrUnsupported)
	}
	return &Documents{state: state}, nil
}

// Docs is a transaction over documents, or a view of them. Collections read
// and change it.
type Docs struct {
	d       *Documents
	version string // "" in a view
	changes []change
	pending map[string]map[string]json.RawMessage // nil values are deleted
	frozen  bool
}

// change is one key's new value; null where it is deleted.
type change struct {
	Collection string          `json:"c,omitempty"` // "" is the book
	Key        string          `json:"k"`
	Value      json.RawMessage `json:"v"`
}

// View runs fn on the documents as they were last committed. It sees the live
// versions.
func (d *Documents) View(ctx context.Context, fn func(tx *Docs) error) error {
	if err := d.refresh(ctx); err != nil {
		return fmt.Errorf("documents: %w", err)
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return fn(&Docs{d: d, frozen: true})
}

// Keep runs fn in a transaction over the bookkeeping alone.
func (d *Documents) Keep(ctx context.Context, fn func(context.Context, Book) error) error {
	d.write.Lock()
	defer d.write.Unlock()
	if err := d.refresh(ctx); err != nil {
		return fmt.Errorf("documents: %w", err)
	}
	return d.transact(ctx, func(ctx context.Context, _ *Docs, b Book) error { return fn(ctx, b) })
}

// Update runs fn in a transaction, again if another process was faster.
func (d *Documents) Update(ctx context.Context, fn func(context.Context, *Docs, Book) error) error {
	d.write.Lock()
	defer d.write.Unlock()
	if d.revision() == 0 {
		if err := d.refresh(ctx); err != nil {
			return fmt.Errorf("documents: %w", err)
		}
	}
	return d.transact(ctx, fn)
}

// revision returns that of the manifest that is in memory.
func (d *Documents) revision() uint64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.at.revision
}

// transact runs fn and commits. The caller holds write.
func (d *Documents) transact(ctx context.Context, fn func(context.Context, *Docs, Book) error) error {
	for {
		began := d.revision() // a view may bring in what another process has committed
		tx := &Docs{d: d, version: namespaceOf(ctx).version, pending: map[string]map[string]json.RawMessage{}}
		if err := fn(ctx, tx, docBook{tx}); err != nil {
			return err
		}
		if len(tx.changes) == 0 {
			return nil
		}
		err := d.commit(ctx, began, tx.changes)
		if errors.Is(err, driver.ErrRevision) {
			err = d.refresh(ctx)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return fmt.Errorf("documents: %w", err)
		}
		return nil
	}
}

// value returns what is under a key, nil if nothing is.
func (tx *Docs) value(collection, key string) json.RawMessage {
	if v, changed := tx.pending[collection][key]; changed {
		return v
	}
	if !tx.frozen {
		tx.d.mu.RLock()
		defer tx.d.mu.RUnlock()
	}
	return tx.d.kept[collection][key]
}

func (tx *Docs) set(collection, key string, value json.RawMessage) {
	if tx.pending[collection] == nil {
		tx.pending[collection] = map[string]json.RawMessage{}
	}
	tx.pending[collection][key] = value
	tx.changes = append(tx.changes, change{collection, key, value})
}

// keys returns the keys of a collection in order.
func (tx *Docs) keys(collection string) []string {
	order := tx.d.ordered(collection, tx.frozen)
	changed := tx.pending[collection]
	if len(changed) == 0 {
		return order
	}
	var all []string
	for _, k := range order {
		if v, is := changed[k]; !is || v != nil {
			all = append(all, k)
		}
	}
	for k, v := range changed {
		if _, found := slices.BinarySearch(order, k); !found && v != nil {
			all = append(all, k)
		}
	}
	slices.Sort(all)
	return all
}

// ordered returns the keys of what is committed of a collection, in order.
func (d *Documents) ordered(collection string, locked bool) []string {
	if !locked {
		d.mu.RLock()
		defer d.mu.RUnlock()
	}
	d.ordering.Lock()
	defer d.ordering.Unlock()
	order, known := d.order[collection]
	if !known {
		order = slices.Sorted(maps.Keys(d.kept[collection]))
		if d.order == nil {
			d.order = map[string][]string{}
		}
		d.order[collection] = order
	}
	return order
}

// physical returns what a collection is called in the version that tx belongs
// to; in a view, in the live one.
func (tx *Docs) physical(name string) (string, error) {
	table := physical(name, tx.version)
	if tx.version == "" {
		shown := tx.value("", shownKey(name))
		if shown == nil {
			return "", fmt.Errorf("collection %s: %w", name, annals.ErrNotFound)
		}
		table = strings.Trim(string(shown), `"`)
	}
	if tx.value("", tableKey(table)) == nil {
		return "", fmt.Errorf("collection %s is not declared: add .Collections(%q) to the projection", name, name)
	}
	return table, nil
}

func shownKey(name string) string  { return "shown/" + name }
func tableKey(table string) string { return "table/" + table }

// Collection is a collection of documents of type V, kept as JSON. Make it with
// [NewCollection] and declare it by [Projection.Collections].
type Collection[V any] struct{ name string }

// NewCollection returns the collection of that name, which is like that of a projection.
func NewCollection[V any](name string) Collection[V] { return Collection[V]{name} }

// Get returns the document under key; one that does not exist is an error that
// wraps annals.ErrNotFound.
func (c Collection[V]) Get(tx *Docs, key string) (v V, err error) {
	table, err := tx.physical(c.name)
	if err != nil {
		return v, err
	}
	b := tx.value(table, key)
	if b == nil {
		return v, fmt.Errorf("document %q in %s: %w", key, c.name, annals.ErrNotFound)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return v, fmt.Errorf("document %q in %s: %w", key, c.name, err)
	}
	return v, nil
}

// Put keeps v under key.
func (c Collection[V]) Put(tx *Docs, key string, v V) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("document %q in %s: %w", key, c.name, err)
	}
	return c.set(tx, key, b)
}

// Change changes the document under key, a zero one if there is none.
func (c Collection[V]) Change(tx *Docs, key string, change func(*V)) error {
	v, err := c.Get(tx, key)
	if err != nil && !errors.Is(err, annals.ErrNotFound) {
		return err
	}
	change(&v)
	return c.Put(tx, key, v)
}

// Delete removes the document under key, if there is one.
func (c Collection[V]) Delete(tx *Docs, key string) error { return c.set(tx, key, nil) }

func (c Collection[V]) set(tx *Docs, key string, value json.RawMessage) error {
	if tx.frozen {
		return fmt.Errorf("document %q in %s: a view is for reading", key, c.name)
	}
	table, err := tx.physical(c.name)
	if err == nil {
		tx.set(table, key, value)
	}
	return err
}

// All yields the documents by key, in the order of the keys.
func (c Collection[V]) All(tx *Docs) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		table, err := tx.physical(c.name)
		if err != nil {
			return
		}
		for _, k := range tx.keys(table) {
			var v V
			if json.Unmarshal(tx.value(table, k), &v) != nil {
				continue // it is of an older shape of V; Get says so
			}
			if !yield(k, v) {
				return
			}
		}
	}
}
