package main

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"

	sqlite3 "github.com/ncruces/go-sqlite3"
	sqldriver "github.com/ncruces/go-sqlite3/driver"

	"github.com/annals-db/annals/bench/internal/measure"
	"github.com/annals-db/annals/sqlitestore"
)

// byHand is the yardstick of the SQLite rows: a table of events with one
// transaction for each append, on the driver and with the settings that
// sqlitestore has.
type byHand struct {
	db     *sql.DB
	insert *sql.Stmt
}

func openByHand(dir string) (*byHand, error) {
	db, err := sqldriver.Open("file:"+filepath.ToSlash(filepath.Join(dir, "hand.db")), func(c *sqlite3.Conn) error {
		return c.Exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL`)
	})
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // SQLite has one writer at a time; to queue here is faster than at its lock
	h := &byHand{db: db}
	_, err = db.Exec(`CREATE TABLE events (
		position INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, stream TEXT NOT NULL, version INTEGER NOT NULL,
		type TEXT NOT NULL, time INTEGER NOT NULL, data BLOB NOT NULL, UNIQUE (stream, version))`)
	if err == nil {
		h.insert, err = db.Prepare(`INSERT INTO events (id, stream, version, type, time, data)
			VALUES (?1, ?2, (SELECT ifnull(max(version), 0) + 1 FROM events WHERE stream = ?2), ?3, ?4, ?5)`)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return h, nil
}

// rate is events a second by so many writers.
func (h *byHand) rate(e env, writers int) (float64, error) {
	producers := make([]*producer, writers)
	for w := range producers {
		producers[w] = newProducer(w, 1)
	}
	return measure.Rate(e.window, writers, func(w int) (int, error) {
		ev := producers[w].next().Events[0]
		_, err := h.insert.Exec(ev.ID[:], ev.Stream, ev.Type, ev.Occurred.UnixNano(), ev.Data)
		return 1, err
	})
}

func (h *byHand) close() error { return errors.Join(h.insert.Close(), h.db.Close()) }

// sqliteRow compares appends of one event with a transaction each by hand. aim 0 is none.
func sqliteRow(writers int, aim float64) row {
	said := "none"
	if aim > 0 {
		said = fmt.Sprintf("%v by hand", aim)
	}
	name := fmt.Sprintf("sqlitestore: durable single-event appends, %d writers", writers)
	if writers == 1 {
		name = "sqlitestore: durable single-event appends, 1 writer"
	}
	return row{name, said, func(e env) (result, error) { return againstHand(e, writers, aim) }}
}

func againstHand(e env, writers int, aim float64) (res result, err error) {
	dir, remove := e.scratch("sqlite")
	defer remove()
	hand, err := openByHand(dir)
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, hand.close()) }()
	log, err := sqlitestore.Open(filepath.Join(dir, "log.db"), nil)
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	c, err := measure.Compare(e.rounds,
		func() (float64, error) { return hand.rate(e, writers) },
		func() (float64, error) { return appendRate(e, log, writers, 1) })
	return atLeast(measure.PerSecond(c.Ours), measure.PerSecond(c.Base), c.Ratio, aim), err
}

// sqliteRows are those of sqlitestore.
func sqliteRows() []row { return []row{sqliteRow(1, 0), sqliteRow(64, 8), sqliteRow(512, 0)} }
