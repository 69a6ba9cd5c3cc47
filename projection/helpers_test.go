package projection_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/projection"
	"github.com/jackc/pgx/v5/stdlib"
	_ "github.com/ncruces/go-sqlite3/driver"
)

func TestMain(m *testing.M) {
	if told := os.Getenv(childVariable); told != "" {
		if err := child(told); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	pgserver.StopShared()
	os.Exit(code)
}

// Item is what goes in and out of the shop.
type Item struct {
	annals.Entity
	Quantity int
}

// Moved is an event of an item.
type Moved struct {
	SKU      string
	Quantity int
}

var items = annals.NewModel("item", annals.On(func(i *Item, e Moved) { i.Quantity += e.Quantity }))

// move records a movement and returns its position.
func move(t testing.TB, db *annals.DB, sku string, quantity int) annals.Position {
	t.Helper()
	r, err := db.Update(t.Context(), func(tx *annals.Tx) error {
		i, err := items.Load(tx, sku)
		if errors.Is(err, annals.ErrNotFound) {
			i, err = items.Create(tx, sku)
		}
		if err != nil {
			return err
		}
		return i.Record(Moved{sku, quantity})
	})
	must(t, err)
	return r.Last
}

const stockColumns = `sku TEXT PRIMARY KEY, quantity INTEGER NOT NULL, moves INTEGER NOT NULL`

// stock counts what is there of each item. factor is 1 where it is right.
func stock(version string, factor int, before func(Moved) error) *projection.Projection[*sql.Tx] {
	return projection.New("stock",
		projection.On(func(ctx context.Context, tx *sql.Tx, e Moved, env projection.Envelope) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO `+projection.At(ctx, "stock")+` AS s (sku, quantity, moves) VALUES ($1, $2, 1)
				ON CONFLICT (sku) DO UPDATE SET quantity = s.quantity + excluded.quantity, moves = s.moves + 1`, e.SKU, e.Quantity*factor)
			if err == nil && before != nil {
				err = before(e)
			}
			return err
		}),
	).Table("stock", stockColumns).Version(version)
}

// target is a database to project into.
type target struct {
	name string
	open func(t testing.TB) (*sql.DB, *projection.SQL)
}

var targets = []target{
	{"sqlite", func(t testing.TB) (*sql.DB, *projection.SQL) {
		db := openSQLite(t, filepath.Join(t.TempDir(), "read.db"))
		return db, projection.SQLite(db)
	}},
	{"postgres", func(t testing.TB) (*sql.DB, *projection.SQL) {
		db := openPostgres(t)
		return db, projection.Postgres(db)
	}},
}

func openSQLite(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sqlite(path)
	must(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

func sqlite(path string) (*sql.DB, error) {
	return sql.Open("sqlite3", "file:"+filepath.ToSlash(path)+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)")
}

func openPostgres(t testing.TB) *sql.DB {
	t.Helper()
	db := stdlib.OpenDB(*pgConfig(t))
	t.Cleanup(func() { db.Close() })
	return db
}

// each runs a test on every kind of database.
func each(t *testing.T, fn func(t *testing.T, read *sql.DB, target *projection.SQL)) {
	for _, tg := range targets {
		t.Run(tg.name, func(t *testing.T) {
			read, target := tg.open(t)
			fn(t, read, target)
		})
	}
}

func memory(t testing.TB) *annals.DB { return annals.New(memstore.New(nil), nil) }

var quick = &projection.Options{Poll: 20 * time.Millisecond, Backoff: func(int) time.Duration { return time.Millisecond }}

func with(change func(*projection.Options)) *projection.Options {
	o := *quick
	change(&o)
	return &o
}

// running is a runner that runs.
type running struct {
	*projection.Runner
	stop func() error // and returns what Run returned
}

// start opens p and runs it until the test ends.
func start[T any](t testing.TB, p *projection.Projection[T], db *annals.DB, target projection.Target[T], o *projection.Options) running {
	t.Helper()
	r, err := p.Open(t.Context(), db, target, o)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	var result error
	go func() { defer close(ended); result = r.Run(ctx) }()
	stop := sync.OnceValue(func() error { cancel(); <-ended; return result })
	t.Cleanup(func() { stop() })
	return running{r, stop}
}

// patient is a context for what takes as long as the machine makes it.
func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// ended waits until Run has returned by itself.
func ended(t testing.TB, r running) error {
	t.Helper()
	err := r.Wait(patient(t), 1<<62)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Fatal("it runs on")
	}
	return err
}

// rows returns a table by its first column.
func rows(t testing.TB, db *sql.DB, query string) map[string]string {
	t.Helper()
	got := map[string]string{}
	list, err := db.QueryContext(t.Context(), query)
	must(t, err)
	defer list.Close()
	cols, err := list.Columns()
	must(t, err)
	for list.Next() {
		values := make([]any, len(cols))
		for i := range values {
			values[i] = new(string)
		}
		must(t, list.Scan(values...))
		line := ""
		for _, v := range values[1:] {
			line += " " + *v.(*string)
		}
		got[*values[0].(*string)] = line[1:]
	}
	must(t, list.Err())
	return got
}

const allStock = "SELECT sku, quantity, moves FROM stock"

// folded is what the stock is by a clean fold of the log.
func folded(t testing.TB, db *annals.DB) map[string]string {
	t.Helper()
	info, err := db.Log().Info(t.Context())
	must(t, err)
	return foldedTo(t, db, info.Head)
}

// foldedTo is the same at a position.
func foldedTo(t testing.TB, db *annals.DB, to annals.Position) map[string]string {
	t.Helper()
	if to == 0 {
		return map[string]string{}
	}
	type sum struct{ quantity, moves int }
	sums := map[string]sum{}
	for r, err := range db.View(t.Context()).At(to).Read(annals.Query{}) {
		must(t, err)
		if r.Type != "Moved" {
			continue
		}
		events, err := db.Decode(r)
		must(t, err)
		e := events[0].(Moved)
		s := sums[e.SKU]
		sums[e.SKU] = sum{s.quantity + e.Quantity, s.moves + 1}
	}
	want := map[string]string{}
	for sku, s := range sums {
		want[sku] = fmt.Sprint(s.quantity, s.moves)
	}
	return want
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s is %v, want %v", what, got, want)
	}
}

// eventually waits until ok holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: it has not come to be", what)
		}
	}
}
