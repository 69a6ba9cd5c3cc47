package sqlitestore

import (
	"time"

	sqlite3 "github.com/ncruces/go-sqlite3"
)

const (
	checkpointPages = 1000 // of the -wal file: with as many, they are moved into the file, as SQLite does by itself
	restartPages    = 8000 // with as many, readers are waited for, so that the -wal file begins anew
	restartPatience = 200 * time.Millisecond
	journalBytes    = 32 << 20 // a -wal file that has been larger is cut to so much when it begins anew
)

// checkpoint moves the pages of the -wal file into the file when they are many.
// Readers that come one upon the other keep the -wal file from ever beginning
// anew, and it grows; so at times they are waited for, but not long: a
// transaction that stays open must not hold up appends.
func (w *writer) checkpoint() {
	if w.pages < checkpointPages {
		return
	}
	var err error
	if w.pages >= max(w.restartAt, restartPages) {
		w.restartAt = w.pages + restartPages/2
		err = w.restart()
	} else {
		_, _, err = w.c.db.WALCheckpoint("main", sqlite3.CHECKPOINT_PASSIVE)
	}
	w.pages = 0 // the next commit says how many there are
	if err != nil {
		w.s.opts.Logger.Debug("the pages of the -wal file were not all moved into the file", "file", w.s.path, "error", err)
	}
}

func (w *writer) restart() error {
	if err := w.c.db.BusyTimeout(restartPatience); err != nil {
		return err
	}
	defer w.c.db.BusyTimeout(w.s.opts.BusyTimeout) //nolint:errcheck // it cannot fail on an open connection
	_, _, err := w.c.db.WALCheckpoint("main", sqlite3.CHECKPOINT_TRUNCATE)
	if err == nil {
		w.restartAt = 0
	}
	return err
}
