package audit_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/annals-db/annals/audit"
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

// TestVerifyOfAllComparesTheTablesOfItsMoment verifies while capture is behind,
// so that the trail does not have yet what became of the tables.
func TestVerifyOfAllComparesTheTablesOfItsMoment(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE one (id int PRIMARY KEY); INSERT INTO one VALUES (1); CREATE TABLE two (id int PRIMARY KEY)`)
	w.setUp(nil, "one", "two")
	w.url = lagging(t, w.url, 300*time.Millisecond)
	w.begun()
	w.exec("ALTER TABLE one RENAME TO uno; INSERT INTO uno VALUES (2); DROP TABLE two")
	compared := map[audit.Name]int{}
	for m, err := range w.trail().Verify(t.Context(), w.url, nil, &audit.VerifyOptions{Checked: func(n audit.Name, rows int) { compared[n] = rows }}) {
		t.Fatalf("%+v, %v", m, err)
	}
	if want := map[audit.Name]int{{Schema: "public", Table: "uno"}: 2}; !maps.Equal(compared, want) {
		t.Errorf("compared %v", compared)
	}
	w.stop()
}

func TestVerifySaysWhichTableIsNotThere(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE a (id int PRIMARY KEY); CREATE SCHEMA s; CREATE TABLE s.b (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY); INSERT INTO c VALUES (1)`)
	w.setUp(&audit.Setup{NoEventTrigger: true}, "a", "s.b", "c")
	w.caughtUp()
	w.exec("DROP TABLE a; DROP SCHEMA s CASCADE") // without an event trigger the trail never has it
	w.caughtUp()
	c := audit.Name{Schema: "public", Table: "c"}
	for _, names := range [][]audit.Name{nil, {{Schema: "public", Table: "a"}, {Schema: "s", Table: "b"}, c}} {
		var found []string
		o := &audit.VerifyOptions{Checked: func(n audit.Name, rows int) { found = append(found, fmt.Sprintf("%s: %d rows", n, rows)) }}
		for m, err := range w.trail().Verify(t.Context(), w.url, names, o) {
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, fmt.Sprintf("%s: %s", m.Table, m.Reason))
		}
		slices.Sort(found)
		if want := []string{"public.a: the live database has no such table", "public.c: 1 rows", "s.b: the live database has no such table"}; !slices.Equal(found, want) {
			t.Errorf("of %v: %q", names, found)
		}
	}
}

// TestVerifyNeedsNoWritersToGetThere verifies again after the first time has
// pruned pages, which is in the server's log and is not flushed by itself for long.
func TestVerifyNeedsNoWritersToGetThere(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE k (id int PRIMARY KEY, n int); INSERT INTO k SELECT n, 0 FROM generate_series(1, 2000) n`)
	w.setUp(nil, "k")
	w.begun()
	for range 3 {
		w.exec("UPDATE k SET n = n + 1 WHERE id % 3 = 0")
		for range 2 {
			for m, err := range w.trail().Verify(t.Context(), w.url, nil, &audit.VerifyOptions{Wait: 10 * time.Second}) {
				t.Fatalf("%+v, %v", m, err)
			}
		}
	}
	w.stop()
}

// TestVerifyBesideCaptureThatComesAndGoes has capture run again and again for a
// moment, as a job does that catches up, so that the slot is in use now and then.
func TestVerifyBesideCaptureThatComesAndGoes(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE k (id int PRIMARY KEY)`)
	w.setUp(nil, "k")
	w.caughtUp()
	w.o.Until = w.lsn() // everything is in the trail, so that each ends when it has begun
	ctx, cancel := context.WithCancel(t.Context())
	var jobs sync.WaitGroup
	jobs.Go(func() {
		for ctx.Err() == nil {
			if err := audit.Capture(ctx, w.url, w.log, &w.o); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	})
	for range 20 {
		w.exec("CREATE SEQUENCE x; DROP SEQUENCE x") // of which the stream has nothing
		for m, err := range w.trail().Verify(t.Context(), w.url, nil, &audit.VerifyOptions{Wait: 10 * time.Second}) {
			t.Fatalf("%+v, %v", m, err)
		}
	}
	cancel()
	jobs.Wait()
}
