package audit_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
)

// TestVerifyIsExactWhileRowsChange verifies again and again while writers go on;
// transactions that the live snapshot does not show yet are in the trail already.
func TestVerifyIsExactWhileRowsChange(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE busy (id int PRIMARY KEY, n int); INSERT INTO busy SELECT n, 0 FROM generate_series(1, 200) n`)
	w.setUp(nil, "busy")
	w.begun()
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for i := range 3 {
		conn, rnd := dial(t, w.url), rand.New(rand.NewPCG(uint64(i), 1))
		writers.Go(func() {
			for ctx.Err() == nil {
				id := 1 + rnd.IntN(200)
				sql := "UPDATE busy SET n = n + 1 WHERE id = $1"
				if rnd.IntN(5) == 0 {
					sql = "WITH gone AS (DELETE FROM busy WHERE id = $1) INSERT INTO busy SELECT max(id) + 1000, 0 FROM busy WHERE id > $1"
				}
				_, _ = conn.Exec(context.WithoutCancel(ctx), sql, id) // one that loses to another fails
			}
		})
	}
	for range 5 {
		w.verified()
	}
	cancel()
	writers.Wait()
	w.verified()
}
