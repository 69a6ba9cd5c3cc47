package pgxtarget_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/projection"
	"github.com/annals-db/annals/projection/pgxtarget"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A server that is killed under a projection is no fault of the events: the
// projection goes on when it is back, though its policy is to stop.
func TestServerIsKilledUnderAProjection(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	server := pgserver.ForTest(t, nil)
	pool, err := pgxpool.New(ctx, server.NewDatabase(t))
	must(t, err)
	defer pool.Close()
	db := annals.New(memstore.New(nil), nil)
	r, err := Levels.Open(ctx, db, pgxtarget.New(pool), &projection.Options{Batch: 5, Partitions: 2, Poll: 50 * time.Millisecond})
	must(t, err)
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- r.Run(run) }()

	want, last := map[string]int{}, annals.Position(0)
	append := func(n int) {
		for i := range n {
			sku := fmt.Sprint("sku", i%7)
			last, err = move(ctx, db, sku, i)
			must(t, err)
			want[sku] += i
		}
	}
	for range 2 {
		append(300)
		must(t, r.Wait(ctx, last-250)) // it is at work
		must(t, server.Kill())
		append(100)
		must(t, server.Restart())
	}
	must(t, r.Wait(ctx, last))
	got := map[string]int{}
	rows, err := pool.Query(ctx, "SELECT sku, quantity FROM levels")
	must(t, err)
	for rows.Next() {
		var sku string
		var n int
		must(t, rows.Scan(&sku, &n))
		got[sku] = n
	}
	must(t, rows.Err())
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("the read model is %v, want %v", got, want)
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("Run ended with %v", err)
	}
}
