package projection

import "context"

// Keeper keeps what projections have to remember: checkpoints, registrations
// and dead letters. Every [Target] is one.
type Keeper interface {
	// Keep runs fn in a transaction, which commits if fn returns nil. What is
	// read within is consistent; of two that have locked one key the second
	// sees what the first has saved.
	Keep(ctx context.Context, fn func(ctx context.Context, b Book) error) error
}

// Target is where read models of transaction type T are kept, and what is to
// be remembered with them. [SQLite], [Postgres], [NewDocuments] and [NewMemory]
// make one; package pgxtarget has one for pgx.
type Target[T any] interface {
	Keeper
	// Update is Keep for a transaction in which the read model changes, too,
	// atomically with the book. fn may be run again if it was not committed.
	Update(ctx context.Context, fn func(ctx context.Context, tx T, b Book) error) error
}

// Book is what a transaction of a [Keeper] offers.
type Book interface {
	Keys
	Tables
}

// Keys are small values beside the read model. Keys are UTF-8 of up to 1,024
// bytes, values JSON.
type Keys interface {
	// Load returns the value under key, nil if there is none.
	Load(ctx context.Context, key string) ([]byte, error)
	// Lock is Load, and keeps every other transaction from locking key until
	// this one ends.
	Lock(ctx context.Context, key string) ([]byte, error)
	Save(ctx context.Context, key string, value []byte) error
	Delete(ctx context.Context, key string) error
	// List returns the pairs whose keys begin with prefix, in order.
	List(ctx context.Context, prefix string) ([]KeyValue, error)
}

// KeyValue is one of the [Keys].
type KeyValue struct {
	Key   string
	Value []byte
}

// Tables are the read model's tables, as they are called in the target, or
// what corresponds to them there.
type Tables interface {
	// Create makes a table with these columns, unless it is there.
	Create(ctx context.Context, table, columns string) error
	// Clear removes all rows, Drop the table.
	Clear(ctx context.Context, table string) error
	Drop(ctx context.Context, table string) error
	// Show lets readers find table under name, whatever they found there
	// before; an empty table lets them find nothing.
	Show(ctx context.Context, name, table string) error
	// Compare compares the rows of two tables by their keys. It counts all that
	// differ and returns the first limit of them, in the order of their keys.
	Compare(ctx context.Context, live, next string, limit int) (Comparison, error)
}

// Comparison is what a table's live version and another one differ in.
type Comparison struct {
	Table       string       `json:"table"`
	LiveRows    int          `json:"live_rows"`
	NextRows    int          `json:"next_rows"`
	OnlyLive    []string     `json:"only_live,omitempty"` // columns
	OnlyNext    []string     `json:"only_next,omitempty"`
	Differing   int          `json:"differing"`   // rows
	Differences []Difference `json:"differences"` // the first of them
}

// Difference is a row in which two versions of a table differ.
type Difference struct {
	Key  string         `json:"key"`            // the row's primary key, columns separated by commas
	Live map[string]any `json:"live,omitempty"` // the columns that differ; nil if only the other version has the row
	Next map[string]any `json:"next,omitempty"` // likewise
}
