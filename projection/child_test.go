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
	_ "github.com/jackc/pgx/v5/stdlib"
)

// childVariable makes the test binary a process that appends to a log and
// projects it, until it is killed.
const childVariable = "ANNALS_PROJECTION_CHILD"

// childSpec is what it is to do.
type childSpec struct {
	Dir        string // of the log, and of the read model in SQLite
	Postgres   string // URL of the read model's database instead
	Seed       uint64
	Partitions int
}

func (s childSpec) open() (*annals.DB, *sql.DB, *projection.SQL, error) {
	log, err := filestore.Open(filepath.Join(s.Dir, "log"), nil)
	if err != nil {
		return nil, nil, nil, err
	}
	db := annals.New(log, nil)
	if s.Postgres != "" {
		read, err := sql.Open("pgx", s.Postgres)
		return db, read, projection.Postgres(read), err
	}
	read, err := sqlite(filepath.Join(s.Dir, "read.db"))
	return db, read, projection.SQLite(read), err
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
	db, _, target, err := s.open()
	if err != nil {
		return err
	}
	ctx := context.Background()
	rnd := rand.New(rand.NewPCG(s.Seed, 7))
	faults := rand.New(rand.NewPCG(s.Seed, 8))
	failed := make(chan error, 2)
	p := stock("v1", 1, func(Moved) error {
		if s.Partitions == 1 && faults.IntN(40) == 0 {
			return errors.New("now and then")
		}
		return nil
	})
	go func() { failed <- p.Run(ctx, db, target, s.options(1+rnd.IntN(20))) }()
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
