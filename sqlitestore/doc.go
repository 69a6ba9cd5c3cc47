// Package sqlitestore keeps a log in one SQLite file, so that an application
// whose read models live in SQLite too can commit them together with the
// events they come from. Any number of processes on one machine may read and
// append.
//
// Start with [Open]. It makes the file where there is none, and a log in a
// database of the application that has none yet:
//
//	log, err := sqlitestore.Open("shop.db", nil)
//
// An append returns when it is synced to the disk; appends of many goroutines
// share a transaction. There are two ways to write a read model in the same
// transaction as its events:
//
//   - [Store.Update] gives a function a transaction and the log inside it;
//   - [Store.Inline] has a hook called inside the transaction of every append.
//
// [Store.DB] is a handle to the file for everything else. [Store.Backup] copies
// a file in use, [Store.Verify] checks every record.
//
// # Layout
//
// The tables are for people to look at with any SQLite tool; the views
// annals_events and annals_streams show the log with its names. Only this
// package may write to them.
//
//	annals_log       what log this is
//	annals_records   the log: one row a record, by position
//	annals_keys      the names of streams, categories, types and tags, each once
//	annals_postings  which records have a key, numbered without a gap
//	annals_tree      the hash tree at every 1,024th position
//	annals_state     the small state beside the log
//
// Names are interned, so what an append writes is integers: the index over
// names is touched only by a name that is new.
//
// # Several processes
//
// SQLite's lock lets one transaction write at a time. Each one begins by
// looking where the log ends, under the lock, so positions have no gap and
// come in the order of the commits, whoever appends. Who waits for new records
// is woken by appends through the same handle and looks at the file for those
// of others.
//
// # Durability and damage
//
// The file is in WAL mode with synchronous = FULL: a commit is synced before
// it is acknowledged. Every record carries its leaf of the log's hash tree,
// which covers all of it with its names, and is checked against it whenever it
// is read; the entries that lead to it are numbered, so one that is missing is
// noticed. What is damaged is an error that names the position, never data.
// After it the store takes no more appends until it is opened again.
package sqlitestore
