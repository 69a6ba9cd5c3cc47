package annals

import (
	"bufio"
	"cmp"
	"crypto/rand"
	"errors"
	"reflect"
	"sync"

	"github.com/annals-db/annals/driver"
	"github.com/google/uuid"
)

// The vocabulary of the log, shared with the stores; see package driver.
type (
	// Position is a place in the log, from 1, rising.
	Position = driver.Position
	// ID identifies an event.
	ID = driver.ID
	// Record is an event as the log holds it.
	Record = driver.Record
	// Metadata is what is known about an event beside its payload.
	Metadata = driver.Metadata
	// Query selects records; its zero value selects all.
	Query = driver.Query
	// QueryItem is one alternative of a Query.
	QueryItem = driver.Item
	// ReadOptions bound a read.
	ReadOptions = driver.ReadOptions
	// Receipt says where a transaction's events are and how durable.
	Receipt = driver.Receipt
	// ConflictError says which condition failed, when retries ran out.
	ConflictError = driver.ConflictError
)

var (
	// ErrNotFound is wrapped when an entity, version or position does not exist.
	ErrNotFound = driver.ErrNotFound
	// ErrExists is wrapped by Create where the entity exists.
	ErrExists = errors.New("exists already")
	// ErrOutcomeUnknown is wrapped by Update when it could not be found out
	// whether its events were appended. The error names their IDs.
	ErrOutcomeUnknown = driver.ErrOutcomeUnknown
)

// Match returns the query of the records that match any of items.
func Match(items ...QueryItem) Query { return Query{Items: items} }

// nameSpace is the UUID namespace of [NameID]: the UUIDv5 of "annals" in the DNS namespace.
var nameSpace = uuid.NewSHA1(uuid.NameSpaceDNS, []byte("annals"))

// NameID returns the ID (a version 5 UUID) that follows from names; equal
// names in equal order give equal IDs, and ("ab", "c") differs from ("a", "bc").
func NameID(names ...string) ID {
	var b []byte
	for _, n := range names {
		b = append(appendUint(b, uint64(len(n))), n...)
	}
	return uuid.NewSHA1(nameSpace, b)
}

// NewID returns a new time-ordered ID (a version 7 UUID).
func NewID() ID {
	r := randomness.Get().(*bufio.Reader)
	defer randomness.Put(r)
	return uuid.Must(uuid.NewV7FromReader(r))
}

// randomness are readers that ask the system for the randomness of many IDs at once.
var randomness = sync.Pool{New: func() any { return bufio.NewReaderSize(rand.Reader, 1024) }}

func appendUint(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func deref(ptr any) any { return reflect.ValueOf(ptr).Elem().Interface() }

func compare(a, b string) int { return cmp.Compare(a, b) }
