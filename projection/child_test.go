package projection_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/projection"
	"github.com/annals-db/annals/sqlitestore"
	_ "github.com/jackc/pgx/v5/stdlib"
)

// childVariable makes the test binary a process that appends to a log and
// projects it, until it is killed.
const childVariable = "ANNALS_PROJECTION_CHILD"

// childSpec is what it is to do.
type childSpec struct {
	Dir        string // of the log, and of the read model in SQLite
	Postgres   string // URL of the read model's database instead
	Kind       string // "documents" and "inline" in place of tables beside a file store
	Seed       uint64
	Partitions int
}

// opened is a log and a read model.
type opened struct {
	db   *annals.DB
	read *sql.DB
	sql  *projection.SQL
	docs *projection.Documents
}

func (s childSpec) open() (o opened, err error) {
	if s.Kind == "inline" {
		log, err := sqlitestore.Open(filepath.Join(s.Dir, "shop.db"), nil)
		if err != nil {
			return o, err
		}
		return opened{db: annals.New(log, nil), read: log.DB(), sql: projection.SQLite(log.DB())}, nil
	}
	log, err := filestore.Open(filepath.Join(s.Dir, "log"), nil)
	if err != nil {
		return o, err
	}
	o.db = annals.New(log, nil)
	switch {
	case s.Kind == "documents":
		o.docs, err = projection.NewDocuments(log)
	case s.Postgres != "":
		o.read, err = sql.Open("pgx", s.Postgres)
		o.sql = projection.Postgres(o.read)
	default:
		o.read, err = sqlite(filepath.Join(s.Dir, "read.db"))
		o.sql = projection.SQLite(o.read)
	}
	return o, err
}

func (o opened) close() {
	o.db.Log().Close()
	if o.read != nil {
		o.read.Close()
	}
}

// start opens the projection; run keeps it up to date.
func (s childSpec) start(ctx context.Context, o opened, p *projection.Projection[*sql.Tx], batch int) (*projection.Runner, error) {
	switch s.Kind {
	case "documents":
		return levelsOf("v1", 1).Open(ctx, o.db, o.docs, s.options(batch))
	case "inline":
		if _, err := p.Inline(ctx, o.db, o.sql, nil); err != nil {
			return nil, err
		}
	}
	return p.Open(ctx, o.db, o.sql, s.options(batch))
}

func (s childSpec) options(batch int) *projection.Options {
	return with(func(o *projection.Options) {
		o.Partitions, o.Batch, o.OnError = s.Partitions, batch, projection.Retry
	})
}

// child appends and projects until it is killed. Its handlers fail now and then.
func child(told string) error {
	var s childSpec
	if err := json.Unmarshal([]byte(told), &s); err != nil {
		return err
	}
	o, err := s.open()
	if err != nil {
		return err
	}
	db := o.db
	ctx := context.Background()
	rnd := rand.New(rand.NewPCG(s.Seed, 7))
	faults := rand.New(rand.NewPCG(s.Seed, 8))
	failed := make(chan error, 2)
	p := stock("v1", 1, func(Moved) error {
		if s.Kind == "" && s.Partitions == 1 && faults.IntN(40) == 0 {
			return errors.New("now and then")
		}
		return nil
	})
	if s.Kind == "" { // much to do at once, so that it is killed at work
		events := 2000
		if s.Postgres != "" {
			events = 300
		}
		if err := backlog(ctx, db, rnd, events); err != nil {
			return err
		}
	}
	r, err := s.start(ctx, o, p, 1+rnd.IntN(20))
	if err != nil {
		return err
	}
	if s.Kind != "inline" {
		go func() { failed <- r.Run(ctx) }()
	}
	fmt.Println("ready")
	for n := 0; ; n++ {
		select {
		case err := <-failed:
			return err
		default:
		}
		_, err := db.Update(ctx, func(tx *annals.Tx) error {
			for range 1 + rnd.IntN(3) {
				if err := tx.Append(Moved{fmt.Sprint("sku", rnd.IntN(20)), rnd.IntN(100) - 40}, annals.WithTags(fmt.Sprint("n:", rnd.IntN(9)))); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if rnd.IntN(20) == 0 {
			time.Sleep(time.Duration(rnd.IntN(3000)) * time.Microsecond) // so that it is live now and then
		}
	}
}

// backlog appends so many events at once.
func backlog(ctx context.Context, db *annals.DB, rnd *rand.Rand, events int) error {
	_, err := db.Update(ctx, func(tx *annals.Tx) error {
		for range events {
			if err := tx.Append(Moved{fmt.Sprint("sku", rnd.IntN(20)), rnd.IntN(100) - 40}, annals.WithTags(fmt.Sprint("n:", rnd.IntN(9)))); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}
