package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/bench/internal/measure"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/projection"
	"github.com/annals-db/annals/sqlitestore"
	_ "github.com/ncruces/go-sqlite3/driver"
)

// The rows that measure projections.

func projectionRows() []row {
	return []row{
		liveRow("live delivery, append acknowledged to handler, in memory", false),
		liveRow("live delivery, the same within a SQLite transaction", true),
		catchUpRow(),
		readModelRow(),
		inlineRow("appends to sqlitestore with an inline read model, 1 writer", 1),
		inlineRow("the same, 64 writers", 64),
	}
}

// nothing is a read model that takes no work.
type nothing struct{}

// noted calls fn at each record and does nothing else.
func noted(fn func()) *projection.Projection[*nothing] {
	return projection.New("noted", projection.OnRecord(annals.Query{}, func(context.Context, *nothing, annals.Record) error {
		fn()
		return nil
	}))
}

// runProjection opens p, calls fn while it runs, and returns what fn returned.
func runProjection[T any](p *projection.Projection[T], db *annals.DB, target projection.Target[T], fn func(ctx context.Context, r *projection.Runner) error) error {
	ctx, stop := context.WithCancel(context.Background())
	r, err := p.Open(ctx, db, target, nil)
	if err != nil {
		stop()
		return err
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = r.Run(ctx) }()
	err = fn(ctx, r)
	stop()
	<-ended
	return err
}

// liveRow compares how long after its acknowledgement an event is with its
// handler, and with a goroutine that is told its position by channel and reads it.
func liveRow(name string, inSQLite bool) row {
	return row{name, "under 1 ms over a channel hand-off and a read", func(e env) (result, error) {
		dir, remove := e.scratch("live")
		defer remove()
		log, err := filestore.Open(filepath.Join(dir, "log"), nil)
		if err != nil {
			return result{}, err
		}
		defer log.Close()
		db := annals.New(log, nil)
		const events = 1000
		p := newProducer(0, 1)
		delays := func(delivered <-chan time.Time, acknowledged func(driver.Position)) (float64, error) {
			var took []float64
			for range events {
				r, err := log.Append(context.Background(), p.next())
				if err != nil {
					return 0, err
				}
				at := time.Now()
				acknowledged(r.Last)
				took = append(took, max(0, (<-delivered).Sub(at).Seconds()))
			}
			return measure.Median(took), nil
		}
		var missed error
		read := func(at driver.Position) {
			for _, err := range log.Read(context.Background(), driver.Query{}, driver.ReadOptions{After: at - 1, UpTo: at}) {
				missed = errors.Join(missed, err)
			}
		}
		c, err := measure.Compare(e.rounds,
			func() (float64, error) {
				told, delivered := make(chan driver.Position), make(chan time.Time)
				go func() {
					for at := range told {
						read(at)
						delivered <- time.Now()
					}
				}()
				defer close(told)
				return delays(delivered, func(at driver.Position) { told <- at })
			},
			func() (median float64, err error) {
				delivered := make(chan time.Time, 1)
				live := func(ctx context.Context, r *projection.Runner) error {
					info, err := log.Info(ctx)
					if err == nil {
						err = r.Wait(ctx, info.Head) // what was delivered before is not counted
					}
					for len(delivered) > 0 {
						<-delivered
					}
					if err == nil {
						median, err = delays(delivered, func(driver.Position) {})
					}
					return err
				}
				note := func() {
					select {
					case delivered <- time.Now():
					default: // still catching up
					}
				}
				if !inSQLite {
					return median, runProjection(noted(note), db,
						projection.NewMemory[nothing](log, nil, &projection.MemoryOptions{SnapshotEvery: -1}), live)
				}
				read, err := openSQLite(filepath.Join(dir, "read.db"))
				if err != nil {
					return 0, err
				}
				defer read.Close()
				p := projection.New("live", projection.OnRecord(annals.Query{}, func(context.Context, *sql.Tx, annals.Record) error {
					note()
					return nil
				}))
				err = runProjection(p, db, projection.SQLite(read), live)
				return median, err
			})
		err = errors.Join(err, missed)
		more := c.Ours - c.Base
		return result{measure.Duration(c.Ours), measure.Duration(c.Base), "+" + measure.Duration(max(more, 0)), more < time.Millisecond.Seconds()}, err
	}}
}

func openSQLite(path string) (*sql.DB, error) {
	return sql.Open("sqlite3", "file:"+filepath.ToSlash(path)+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)")
}

func catchUpRow() row {
	return row{"catch-up of a projection with an empty handler", "0.5 of a full scan", func(e env) (result, error) {
		const aim = 0.5
		dir, remove := e.scratch("catchup")
		defer remove()
		log, err := filestore.Open(dir, nil)
		if err != nil {
			return result{}, err
		}
		defer log.Close()
		events := min(e.events, 1_000_000)
		if err := fill(log, events); err != nil {
			return result{}, err
		}
		c, err := measure.Compare(e.rounds,
			func() (float64, error) {
				began := time.Now()
				err := readAll(log, driver.Query{}, events)
				return float64(events) / time.Since(began).Seconds(), err
			},
			func() (float64, error) {
				var took time.Duration
				began := time.Now()
				err := runProjection(noted(func() {}), annals.New(log, nil),
					projection.NewMemory[nothing](log, nil, &projection.MemoryOptions{SnapshotEvery: -1}),
					func(ctx context.Context, r *projection.Runner) error {
						defer func() { took = time.Since(began) }()
						return r.Wait(ctx, driver.Position(events))
					})
				return float64(events) / took.Seconds(), err
			})
		return atLeast(measure.PerSecond(c.Ours), measure.PerSecond(c.Base), c.Ratio, aim), err
	}}
}

const (
	sold       = `sku TEXT PRIMARY KEY, quantity INTEGER NOT NULL`
	soldUpsert = ` (sku, quantity) VALUES (?, ?) ON CONFLICT (sku) DO UPDATE SET quantity = quantity + excluded.quantity`
)

// readModelRow compares a read model in SQLite with the same upserts in the
// same batches, of events that are in memory decoded.
func readModelRow() row {
	return row{"a read model in SQLite, upserts in transactions of 1,000", "0.7 of the same upserts by hand", func(e env) (result, error) {
		const aim, batch = 0.7, 1000
		dir, remove := e.scratch("readmodel")
		defer remove()
		log, err := filestore.Open(filepath.Join(dir, "log"), nil)
		if err != nil {
			return result{}, err
		}
		defer log.Close()
		events := min(e.events/5, 100_000)
		if err := fill(log, events); err != nil {
			return result{}, err
		}
		ctx := context.Background()
		type line struct {
			sku      string
			quantity int
		}
		var lines []line
		for r, err := range log.Read(ctx, driver.Query{}, driver.ReadOptions{}) {
			if err != nil {
				return result{}, err
			}
			var q quantityDecreased
			if err := json.Unmarshal(r.Data, &q); err != nil {
				return result{}, err
			}
			lines = append(lines, line{r.Stream, q.Quantity})
		}
		n := 0
		c, err := measure.Compare(e.rounds,
			func() (float64, error) {
				n++
				db, err := openSQLite(filepath.Join(dir, fmt.Sprintf("hand%d.db", n)))
				if err != nil {
					return 0, err
				}
				defer db.Close()
				if _, err := db.Exec("CREATE TABLE sold (" + sold + ")"); err != nil {
					return 0, err
				}
				began := time.Now()
				for chunk := range slices.Chunk(lines, batch) {
					tx, err := db.BeginTx(ctx, nil)
					if err != nil {
						return 0, err
					}
					for _, l := range chunk {
						if _, err := tx.ExecContext(ctx, "INSERT INTO sold"+soldUpsert, l.sku, l.quantity); err != nil {
							return 0, err
						}
					}
					if err := tx.Commit(); err != nil {
						return 0, err
					}
				}
				return float64(events) / time.Since(began).Seconds(), nil
			},
			func() (float64, error) {
				db, err := openSQLite(filepath.Join(dir, fmt.Sprintf("ours%d.db", n)))
				if err != nil {
					return 0, err
				}
				defer db.Close()
				began := time.Now()
				err = runProjection(soldProjection(), annals.New(log, nil), projection.SQLite(db),
					func(ctx context.Context, r *projection.Runner) error { return r.Wait(ctx, driver.Position(events)) })
				return float64(events) / time.Since(began).Seconds(), err
			})
		return atLeast(measure.PerSecond(c.Ours), measure.PerSecond(c.Base), c.Ratio, aim), err
	}}
}

// soldEvent is what producers append, as a Go type.
type soldEvent struct {
	SKU      string
	Quantity int
	Price    int64
	Reason   string
}

var _ = annals.Declare[soldEvent]("QuantityDecreased")

func soldProjection() *projection.Projection[*sql.Tx] {
	return projection.New("sold", projection.On(func(ctx context.Context, tx *sql.Tx, e soldEvent, env projection.Envelope) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO "+projection.At(ctx, "sold")+soldUpsert, env.Stream, e.Quantity)
		return err
	})).Table("sold", sold)
}

// inlineRow is what an inline projection costs appends.
func inlineRow(name string, writers int) row {
	return row{name, "what it costs against none", func(e env) (result, error) {
		dir, remove := e.scratch("inline")
		defer remove()
		n := 0
		rate := func(inline bool) (float64, error) {
			n++
			log, err := sqlitestore.Open(filepath.Join(dir, fmt.Sprintf("log%d.db", n)), nil)
			if err != nil {
				return 0, err
			}
			defer log.Close()
			if inline {
				remove, err := soldProjection().Inline(context.Background(), annals.New(log, nil), projection.SQLite(log.DB()), nil)
				if err != nil {
					return 0, err
				}
				defer remove()
			}
			producers := make([]*producer, writers)
			for w := range producers {
				producers[w] = newProducer(w, 1)
			}
			return measure.Rate(e.window, writers, func(w int) (int, error) {
				_, err := log.Append(context.Background(), producers[w].next())
				return 1, err
			})
		}
		c, err := measure.Compare(e.rounds, func() (float64, error) { return rate(false) }, func() (float64, error) { return rate(true) })
		return atLeast(measure.PerSecond(c.Ours), measure.PerSecond(c.Base), c.Ratio, 0), err
	}}
}
