package pgxtarget_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/projection"
	"github.com/annals-db/annals/projection/pgxtarget"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

func TestMain(m *testing.M) {
	code := m.Run()
	pgserver.StopShared()
	os.Exit(code)
}

type Moved struct {
	SKU      string
	Quantity int
}

func (e Moved) Tags() []string { return []string{"sku:" + e.SKU} }

// stock is wrong by that much on every move.
func stock(version string, wrong int) *projection.Projection[pgx.Tx] {
	return projection.New("stock",
		projection.On(func(ctx context.Context, tx pgx.Tx, e Moved, _ projection.Envelope) error {
			if e.Quantity == 13 {
				return errors.New("unlucky")
			}
			_, err := tx.Exec(ctx, `INSERT INTO `+projection.At(ctx, "stock")+` AS s VALUES ($1, $2, '[1]')
				ON CONFLICT (sku) DO UPDATE SET quantity = s.quantity + excluded.quantity`, e.SKU, e.Quantity+wrong)
			return err
		}),
		projection.Setup(func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `CREATE INDEX ON `+projection.At(ctx, "stock")+` (quantity)`)
			return err
		}),
	).Table("stock", `sku text PRIMARY KEY, quantity numeric NOT NULL, notes json`).Version(version)
}

func TestProjectionByPgx(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	pool, err := pgxpool.New(ctx, pgserver.Shared(t).NewDatabase(t))
	must(t, err)
	defer pool.Close()
	db := annals.New(memstore.New(nil), nil)
	move := func(sku string, n int) annals.Position {
		r, err := db.Update(ctx, func(tx *annals.Tx) error { return tx.Append(Moved{sku, n}) })
		must(t, err)
		return r.Last
	}
	target := pgxtarget.New(pool)
	start := func(version string, wrong int) *projection.Runner {
		r, err := stock(version, wrong).Open(ctx, db, target, &projection.Options{
			Poll: 20 * time.Millisecond, OnError: projection.DeadLetter, Attempts: 1,
		})
		must(t, err)
		run, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); r.Run(run) }()
		t.Cleanup(func() { stop(); <-done })
		return r
	}
	r := start("v1", 0)
	start("v2", 1)
	move("a", 1)
	move("a", 13)
	move("b", 4)
	must(t, r.Wait(ctx, move("a", 5)))
	var got string
	must(t, pool.QueryRow(ctx, "SELECT string_agg(sku || quantity, ' ' ORDER BY sku) FROM stock").Scan(&got))
	if got != "a1 b4" { // what follows a's poison waits
		t.Fatalf("the stock is %q", got)
	}
	control := projection.NewControl(db.Log(), target)
	letters, err := control.Letters(ctx, "stock", "")
	must(t, err)
	if len(letters) != 2 {
		t.Fatalf("letters %+v", letters)
	}
	all, err := control.Compare(ctx, "stock", "v2", 10)
	must(t, err)
	if s := fmt.Sprint(all[0].Differences); s != "[{a map[quantity:1] map[quantity:2]} {b map[quantity:4] map[quantity:5]}]" {
		t.Fatalf("differences %s", s)
	}
	must(t, control.Switch(ctx, "stock", "v2"))
	must(t, pool.QueryRow(ctx, "SELECT string_agg(sku || quantity, ' ' ORDER BY sku) FROM stock").Scan(&got))
	if got != "a2 b5" {
		t.Fatalf("the stock is %q after the switch", got)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
