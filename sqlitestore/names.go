package sqlitestore

import (
	"fmt"
	"sync"

	"github.com/annals-db/annals/driver"
)

// kind is what a key names. The numbers are part of the stored form.
type kind int

const (
	streamKind   kind = 1
	categoryKind kind = 2
	typeKind     kind = 3
	tagKind      kind = 4
)

func (k kind) String() string {
	switch k {
	case streamKind:
		return "stream"
	case categoryKind:
		return "category"
	case typeKind:
		return "type"
	case tagKind:
		return "tag"
	}
	return fmt.Sprintf("kind %d", int(k))
}

// keyName is a name as it is interned.
type keyName struct {
	kind kind
	name string
}

// resolver turns keys into the names they stand for. A key that is committed
// never changes its name, so what is known stays.
type resolver struct {
	mu    sync.RWMutex
	known map[int64]string
}

const maxResolved = 1 << 17

// of returns the name of key, read by c where it is not known.
func (r *resolver) of(c *conn, key int64) (string, error) {
	r.mu.RLock()
	name, ok := r.known[key]
	r.mu.RUnlock()
	if ok {
		return name, nil
	}
	err := each(c.keyName, func() bool {
		name, ok = c.keyName.ColumnText(0), true
		return false
	}, key)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", &damage{fmt.Sprintf("annals_keys has no key %d", key)}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil || len(r.known) >= maxResolved {
		r.known = map[int64]string{}
	}
	r.known[key] = name
	return name, nil
}

// lookup returns the key of a name as c sees it now, ok false if there is none.
func (c *conn) lookup(k kind, name string) (p postings, ok bool, err error) {
	p = postings{kind: k, name: name}
	err = each(c.key, func() bool {
		p.key, p.count, p.last, ok = c.key.ColumnInt64(0), uint64(c.key.ColumnInt64(1)), driver.Position(c.key.ColumnInt64(2)), true
		return false
	}, k, name)
	return p, ok, err
}

// checked returns what lookup does, and an error if the last posting is not
// what the key says.
func (c *conn) checked(k kind, name string) (postings, bool, error) {
	p, ok, err := c.lookup(k, name)
	if err != nil || !ok {
		return p, ok, err
	}
	last, err := c.posting(c.tail, p.key, int64(maxPosition))
	if err == nil && (last.n != p.count || last.position != p.last) {
		err = p.corrupt(last.position+1, fmt.Sprintf("it ends with entry %d at position %d, not %d at %d", last.n, last.position, p.count, p.last))
	}
	return p, true, err
}
