package audit_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/annals-db/annals/audit"
)

// TestRandomChangesOfTablesAndRows has several connections change rows and tables at random, in
// long transactions too, while capture is stopped and started, and verifies in the end.
// ANNALS_AUDIT_SEED chooses the seed and ANNALS_AUDIT_LOAD how long it lasts. Schemas are not
// renamed: ALTER SCHEMA locks no table, so that a command under way on one tells of it under the old name.
func TestRandomChangesOfTablesAndRows(t *testing.T) {
	duration := min(load(t), time.Hour)
	if os.Getenv("ANNALS_AUDIT_LOAD") == "" {
		duration = 4 * time.Second
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("ANNALS_AUDIT_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("ANNALS_AUDIT_SEED=%d", seed)
	w := newWorld(t, server(t), "CREATE SCHEMA s0; CREATE SCHEMA s1; CREATE TABLE s0.p (id int PRIMARY KEY, n int, big text) PARTITION BY RANGE (id)")
	var tables []string
	for _, schema := range []string{"s0", "s1"} {
		for i := range 3 {
			name := fmt.Sprintf("%s.t%d", schema, i)
			w.exec(fmt.Sprintf("CREATE TABLE %s (id int PRIMARY KEY, n int, big text); INSERT INTO %s SELECT n, n, 'first' FROM generate_series(1, 20) n", name, name))
			tables = append(tables, name)
		}
	}
	w.exec("CREATE TABLE s0.part PARTITION OF s0.p FOR VALUES FROM (0) TO (1000)")
	tables = append(tables, "s0.part")
	w.setUp(&audit.Setup{KeyIdentity: seed%2 == 0}, tables...)
	w.o.ChunkRows, w.o.CacheBytes = 7, 20_000
	w.begun()

	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()
	var clients sync.WaitGroup
	for i := range 4 {
		c := &client{rnd: rand.New(rand.NewPCG(seed, uint64(i+1)))}
		conn := dial(t, w.url)
		clients.Go(func() {
			run := func(sql string) bool {
				_, err := conn.PgConn().Exec(context.WithoutCancel(ctx), sql).ReadAll()
				return err == nil // one that loses to another, or of a table that is not there, fails
			}
			run("SET lock_timeout = '300ms'")
			for ctx.Err() == nil {
				if c.rnd.IntN(3) > 0 {
					run(c.statement())
					continue
				}
				run("BEGIN")
				for range 1 + c.rnd.IntN(6) {
					run("SAVEPOINT a")
					if !run(c.statement()) || c.rnd.IntN(5) == 0 {
						run("ROLLBACK TO a")
					}
					if c.rnd.IntN(8) == 0 {
						time.Sleep(time.Duration(c.rnd.IntN(200)) * time.Millisecond)
					}
				}
				run([]string{"COMMIT", "COMMIT", "COMMIT", "ROLLBACK"}[c.rnd.IntN(4)])
			}
		})
	}
	rnd := rand.New(rand.NewPCG(seed, 0))
	for ctx.Err() == nil {
		time.Sleep(time.Duration(rnd.IntN(800)) * time.Millisecond)
		switch rnd.IntN(3) {
		case 0:
			w.stop()
			time.Sleep(time.Duration(rnd.IntN(500)) * time.Millisecond)
			w.start()
		case 1:
			select {
			case err := <-w.ended:
				w.cancel = nil
				t.Fatalf("capture ended: %v", err)
			default:
			}
		}
	}
	clients.Wait()
	w.stop()
	w.caughtUp()
	w.caughtUp()
	w.verified()
}

// client makes up statements.
type client struct{ rnd *rand.Rand }

func (c *client) table() string {
	if c.rnd.IntN(7) == 0 {
		return "s0.part"
	}
	return fmt.Sprintf("s%d.t%d", c.rnd.IntN(2), c.rnd.IntN(3))
}

func (c *client) statement() string {
	t, id := c.table(), c.rnd.IntN(40)
	bare := t[strings.IndexByte(t, '.')+1:]
	big := fmt.Sprintf("(SELECT string_agg(md5((n + %d)::text), '') FROM generate_series(1, 100) n)", c.rnd.IntN(1000))
	if c.rnd.IntN(12) > 0 {
		return []string{
			fmt.Sprintf("INSERT INTO %s VALUES (%d, 0, %s) ON CONFLICT (id) DO UPDATE SET n = excluded.n", t, id, big),
			fmt.Sprintf("INSERT INTO %s VALUES (%d, 0, %s)", t, id, big),
			fmt.Sprintf("UPDATE %s SET n = n::int + 1 WHERE id BETWEEN %d AND %d + 5", t, id, id),
			fmt.Sprintf("UPDATE %s SET n = n::int + 1 WHERE id = %d", t, id),
			fmt.Sprintf("UPDATE %s SET big = %s WHERE id = %d", t, big, id),
			fmt.Sprintf("UPDATE %s SET id = %d WHERE id = %d", t, c.rnd.IntN(40), id),
			fmt.Sprintf("DELETE FROM %s WHERE id = %d", t, id),
		}[c.rnd.IntN(7)]
	}
	return []string{
		fmt.Sprintf("TRUNCATE %s", t),
		fmt.Sprintf("ALTER TABLE %s ADD c%d text DEFAULT 'c'", t, c.rnd.IntN(2)),
		fmt.Sprintf("ALTER TABLE %s DROP c%d", t, c.rnd.IntN(2)),
		fmt.Sprintf("ALTER TABLE %s ALTER n TYPE %s", t, []string{"int", "numeric(10,2)", "text"}[c.rnd.IntN(3)]+" USING n::numeric::int"),
		fmt.Sprintf("ALTER TABLE %s RENAME TO t%d", t, c.rnd.IntN(3)),
		fmt.Sprintf("ALTER TABLE %s RENAME TO x; ALTER TABLE %s RENAME TO %s; ALTER TABLE %s.x RENAME TO t%d", t, t[:3]+"t0", bare, t[:2], c.rnd.IntN(3)),
		fmt.Sprintf("ALTER TABLE %s SET SCHEMA s%d", t, c.rnd.IntN(2)),
		fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY %s", t, []string{"FULL", "DEFAULT"}[c.rnd.IntN(2)]),
		fmt.Sprintf("ALTER PUBLICATION annals DROP TABLE %s", t),
		fmt.Sprintf("ALTER PUBLICATION annals ADD TABLE %s", t),
		fmt.Sprintf("ALTER PUBLICATION annals DROP TABLE %s; DELETE FROM %s WHERE id < 20; ALTER PUBLICATION annals ADD TABLE %s", t, t, t),
		fmt.Sprintf("DROP TABLE %s; CREATE TABLE %s (id int PRIMARY KEY, n int, big text); ALTER PUBLICATION annals ADD TABLE %s; INSERT INTO %s VALUES (1, 1, 'anew')", t, t, t, t),
		fmt.Sprintf("ALTER TABLE s%d.p ADD d%d int DEFAULT 5", c.rnd.IntN(2), c.rnd.IntN(3)),
		fmt.Sprintf("ALTER TABLE s%d.p ALTER n TYPE %s", c.rnd.IntN(2), []string{"int USING n::int", "bigint USING n::bigint"}[c.rnd.IntN(2)]),
	}[c.rnd.IntN(14)]
}
