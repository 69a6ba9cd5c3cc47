package main

import (
	"database/sql"
	"path/filepath"

	_ "github.com/mattn/go-sqlite3" // the driver that the peers' documentation uses
)

// openSQLite opens a database that is durable when a transaction commits, set
// up as well as SQLite can be for that: a write-ahead log that is synced at
// each commit. One connection, as a second one would only wait for the write
// lock, polling.
func openSQLite(dir string) (*sql.DB, error) {
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "events.db")+"?_journal_mode=WAL&_synchronous=FULL&_txlock=immediate&_busy_timeout=10000")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}
