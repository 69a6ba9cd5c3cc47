package audit_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/audit"
)

// copied is a copy of a table and the transaction after which it was taken.
type copied struct {
	table tableCopy
	xid   uint32
	what  string
}

// TestRewrittenTablesAreExactAtEveryMoment alters tables in ways that rewrite rows
// without a message, while rows change, and compares the tables as of each transaction.
func TestRewrittenTablesAreExactAtEveryMoment(t *testing.T) {
	for _, identity := range []string{"full", "key"} {
		t.Run("replica identity "+identity, func(t *testing.T) {
			w := newWorld(t, server(t), `CREATE TABLE r (id int PRIMARY KEY, n int, s text, big text); ALTER TABLE r ALTER big SET STORAGE EXTERNAL;
				INSERT INTO r SELECT n, n, 'text ' || n, CASE WHEN n % 50 = 0 THEN repeat('b', 5000) END FROM generate_series(1, 700) n`)
			w.setUp(&audit.Setup{KeyIdentity: identity == "key"}, "r")
			w.o.ChunkRows = 100
			w.begun()
			var copies []copied
			for i, sql := range []string{
				"ALTER TABLE r ALTER n TYPE numeric(12,2)",
				"UPDATE r SET s = 'at once' WHERE id % 10 = 0",
				"ALTER TABLE r ADD now timestamptz DEFAULT clock_timestamp()",
				"DELETE FROM r WHERE id % 7 = 0",
				"ALTER TABLE r ALTER s TYPE varchar USING upper(s)",
				"UPDATE r SET id = id + 10000 WHERE id % 11 = 0",
				"INSERT INTO r VALUES (7, 7.5, 'again')",
				"ALTER TABLE r ADD c text DEFAULT 'kept aside', ADD d int",
				"UPDATE r SET d = 1, c = DEFAULT WHERE id % 2 = 0",
				"ALTER TABLE r RENAME s TO title; UPDATE r SET title = title || '!' WHERE id < 20",
				"ALTER TABLE r ALTER big TYPE bytea USING convert_to(big, 'UTF8')",
				"UPDATE r SET d = 2 WHERE id % 50 = 0",
				"ALTER TABLE r DROP now",
				"TRUNCATE r; INSERT INTO r VALUES (1)",
			} {
				if rewrites := regexp.MustCompile(`TYPE|clock_timestamp|TRUNCATE`); rewrites.MatchString(sql) {
					w.rereadDone() // what is rewritten twice before it was read in between cannot be known
				}
				copies = append(copies, copied{xid: w.transaction(sql), what: fmt.Sprintf("statement %d, %s", i, sql)})
				c, err := copyOf(context.Background(), w.utc(), "r")
				if err != nil {
					t.Fatal(err)
				}
				copies[i].table = c
			}
			w.verifiedSoon()
			w.stop()
			k := &killing{world: w, t: t}
			vague := 0
			for _, c := range copies {
				table, err := w.trail().Table(t.Context(), c.table.name, audit.AfterTransaction(c.xid))
				if err == nil && table.Vague && identity == "key" {
					vague++ // old values are not sent, and the trail says so
					continue
				}
				if err != nil || table.Vague {
					t.Errorf("%s: vague, %v", c.what, err)
				}
				k.equal(w.trail(), c.table, audit.AfterTransaction(c.xid), c.what)
			}
			if vague == len(copies) {
				t.Error("nothing is known exactly")
			}
		})
	}
}

// rereadDone waits until what was rewritten is read again.
func (w *world) rereadDone() {
	w.t.Helper()
	w.eventually("everything is read again", func() bool {
		for _, err := range w.trail().Verify(context.Background(), w.url, nil, nil) {
			return err == nil || !strings.Contains(err.Error(), "is being read again")
		}
		return true
	})
}

func TestAMomentThatCannotBeKnownIsSaid(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE r (id int PRIMARY KEY, n int); INSERT INTO r VALUES (1, 1)`)
	w.setUp(nil, "r")
	w.caughtUp()
	between := w.transaction("ALTER TABLE r ALTER n TYPE numeric(12,2)")
	w.exec("ALTER TABLE r ALTER n TYPE text")
	w.caughtUp()
	name := audit.Name{Schema: "public", Table: "r"}
	if table, err := w.trail().Table(t.Context(), name, audit.AfterTransaction(between)); err != nil || !table.Vague {
		t.Errorf("between two rewrites the table is %+v, %v", table, err)
	}
	if table, err := w.trail().Table(t.Context(), name, audit.Point{}); err != nil || table.Vague {
		t.Errorf("in the end the table is %+v, %v", table, err)
	}
}

// utc returns the connection with the settings under which text forms are kept.
func (w *world) utc() *pgx.Conn {
	w.exec("SET timezone = 'UTC'")
	return w.conn
}

// transaction runs statements in one transaction and returns its ID.
func (w *world) transaction(sql string) (xid uint32) {
	w.t.Helper()
	ctx := context.Background()
	err := pgx.BeginFunc(ctx, w.conn, func(tx pgx.Tx) error {
		if _, err := tx.Conn().PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			return err
		}
		return tx.QueryRow(ctx, "SELECT pg_current_xact_id()::xid").Scan(&xid)
	})
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return xid
}

// verifiedSoon verifies once what was rewritten is read again.
func (w *world) verifiedSoon() {
	w.t.Helper()
	w.rereadDone()
	w.verified()
}

func TestWithoutAnEventTriggerATableIsReadAgainWhenItNextChanges(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE e (id int PRIMARY KEY, a text); INSERT INTO e SELECT n, 'a' FROM generate_series(1, 50) n`)
	w.setUp(&audit.Setup{NoEventTrigger: true}, "e")
	w.begun()
	w.exec("ALTER TABLE e ADD b text DEFAULT 'b'; ALTER TABLE e RENAME a TO z")
	w.exec("UPDATE e SET z = 'changed' WHERE id = 3")
	w.verifiedSoon()
	found := false
	for _, text := range w.events("public.e") {
		found = found || strings.Contains(text, `"seen_by":"relation"`)
	}
	if !found {
		t.Errorf("the table's stream does not say how the change was seen: %q", w.events("public.e"))
	}
	w.exec("ALTER TABLE e DROP b; DELETE FROM e WHERE id = 1")
	w.verifiedSoon()
}

func TestAKeyThatIsChangedInSteps(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE k (id int PRIMARY KEY, b int NOT NULL); INSERT INTO k VALUES (1, 1), (2, 2)`)
	w.setUp(nil, "k")
	w.caughtUp()
	w.exec("ALTER TABLE k DROP CONSTRAINT k_pkey")
	between := w.transaction("INSERT INTO k VALUES (1, 2), (3, 3); DELETE FROM k WHERE id = 1 AND b = 1; INSERT INTO k VALUES (1, 4)")
	w.exec("ALTER TABLE k ADD PRIMARY KEY (id, b)")
	w.exec("BEGIN; ALTER TABLE k DROP CONSTRAINT k_pkey; UPDATE k SET b = id * 10 + b; ALTER TABLE k ADD PRIMARY KEY (b); COMMIT")
	w.start() // only now: the table is not any more what the stream of changes says
	w.verifiedSoon()
	table, err := w.trail().Table(t.Context(), audit.Name{Schema: "public", Table: "k"}, audit.AfterTransaction(between))
	if err != nil || !table.Vague {
		t.Errorf("without a key the table is %+v, %v", table, err)
	}
}

func TestWithoutAnEventTriggerATableInThePlaceOfAnotherIsSeen(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE k (id int PRIMARY KEY, n int); INSERT INTO k VALUES (1, 1), (2, 2)`)
	w.setUp(&audit.Setup{NoEventTrigger: true}, "k")
	w.begun()
	another := func(name string) string {
		return fmt.Sprintf("CREATE TABLE public.%[1]s (id int PRIMARY KEY, n int); ALTER TABLE %[1]s REPLICA IDENTITY FULL; ALTER PUBLICATION annals ADD TABLE %[1]s;", name)
	}
	w.exec("DROP TABLE k;" + another("k") + "INSERT INTO k VALUES (2, 3)")
	w.verifiedSoon()
	w.exec("BEGIN;" + another("l") + "INSERT INTO l VALUES (4, 4); ALTER TABLE k RENAME TO old; ALTER TABLE l RENAME TO k; ALTER PUBLICATION annals DROP TABLE old; COMMIT")
	w.exec("INSERT INTO k VALUES (5, 5)")
	w.verifiedSoon()
}

func TestATableThatIsGoneBeforeItIsLookedAtStopsNothing(t *testing.T) {
	for _, o := range []audit.Setup{{}, {NoEventTrigger: true}} {
		w := newWorld(t, server(t), `CREATE TABLE k (id int PRIMARY KEY)`)
		w.setUp(&o, "k")
		w.caughtUp()
		w.exec("CREATE TABLE public.brief (id int PRIMARY KEY, n int); ALTER TABLE brief REPLICA IDENTITY FULL; ALTER PUBLICATION annals ADD TABLE brief")
		w.exec("INSERT INTO brief VALUES (1, NULL), (2, 2)")
		w.exec("DROP TABLE brief; INSERT INTO k VALUES (3)")
		w.caughtUp()
		w.verified(audit.Name{Schema: "public", Table: "k"})
		if got := w.events("public.brief-2,2"); len(got) == 0 || !strings.HasPrefix(got[0], "RowInserted") {
			t.Errorf("its row has %q", got)
		}
	}
}

func TestTablesThatComeGoAndAreRenamed(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE one (id int PRIMARY KEY, v text); INSERT INTO one VALUES (1, 'x'), (2, 'y'); CREATE TABLE two (id int PRIMARY KEY); INSERT INTO two VALUES (1), (2)`)
	w.setUp(nil, "one")
	w.begun()
	public := func(s string) audit.Name { return audit.Name{Schema: "public", Table: s} }
	before := w.transaction("UPDATE one SET v = 'z' WHERE id = 1")
	w.exec("ALTER TABLE one RENAME TO uno")
	w.exec("UPDATE uno SET v = 'w' WHERE id = 1")
	w.setUp(nil, "uno", "two") // two is published while capture goes on
	w.exec("INSERT INTO two VALUES (3)")
	w.verifiedSoon()
	w.exec("ALTER TABLE uno DROP CONSTRAINT one_pkey, ADD PRIMARY KEY (v)") // rows have other names
	w.exec("UPDATE uno SET id = 7 WHERE v = 'w'")
	w.verifiedSoon()
	w.exec("DROP TABLE two")
	w.exec("INSERT INTO uno VALUES (9, 'nine')")
	w.verifiedSoon()
	if names, err := w.trail().Tables(t.Context(), audit.Point{}); err != nil || !slices.Equal(names, []audit.Name{public("uno")}) {
		t.Errorf("the tables are %v, %v", names, err)
	}
	if got := w.events("public.two-3"); len(got) != 2 || !strings.HasPrefix(got[1], "RowTruncated") {
		t.Errorf("a row of a dropped table has %q", got)
	}
	old, err := w.trail().Table(t.Context(), public("one"), audit.AfterTransaction(before))
	if err != nil || old.Len() != 2 {
		t.Errorf("under its old name it had %v, %v", old, err)
	}
}

// TestRowsAreReadAgainBehindTheWatermarkOnly delays the stream of changes, so
// that what is read of a table is ahead of it.
func TestRowsAreReadAgainBehindTheWatermarkOnly(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE m (id int PRIMARY KEY, n int); INSERT INTO m SELECT n, 0 FROM generate_series(1, 60) n`)
	w.setUp(nil, "m")
	direct := w.url
	w.url = lagging(t, direct, 300*time.Millisecond)
	w.o.ChunkRows = 5
	w.begun()
	xid := w.transaction("ALTER TABLE m ALTER n TYPE numeric(12,2)")
	c, err := copyOf(t.Context(), w.conn, "m")
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(8, 8))
	for range 300 {
		id := 1 + rnd.IntN(60)
		if id%2 == 0 {
			w.exec("UPDATE m SET n = n + 1 WHERE id = $1", id)
		} else {
			w.exec("INSERT INTO m SELECT max(id) + 1, 5 FROM m")
		}
	}
	w.verifiedSoon()
	w.stop()
	(&killing{world: w, t: t}).equal(w.trail(), c, audit.AfterTransaction(xid), "just after the rewrite")
}

// lagging returns the URL of a way to a server on which the stream of changes,
// and nothing else, comes late.
func lagging(t *testing.T, url string, late time.Duration) string {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	to := net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			var replicates atomic.Bool
			go pass(server, client, func(b []byte) time.Duration {
				if bytes.Contains(b, []byte("START_REPLICATION")) {
					replicates.Store(true)
				}
				return 0
			})
			go pass(client, server, func([]byte) time.Duration {
				if replicates.Load() {
					return late
				}
				return 0
			})
		}
	}()
	return strings.Replace(url, to, l.Addr().String(), 1)
}

// pass copies from one connection to the other, each piece as late as delay says.
func pass(to, from net.Conn, delay func([]byte) time.Duration) {
	type piece struct {
		due  time.Time
		data []byte
	}
	pieces := make(chan piece, 10_000)
	go func() {
		defer to.Close()
		for p := range pieces {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				from.Close()
			}
		}
	}()
	defer close(pieces)
	for {
		b := make([]byte, 32<<10)
		n, err := from.Read(b)
		if n > 0 {
			pieces <- piece{time.Now().Add(delay(b[:n])), b[:n]}
		}
		if err != nil {
			return
		}
	}
}

// Where the server sends no old values, a row may be changed before it is read
// again, and the values that did not change are then in no message.
func TestValuesThatWereNotSentOfRowsThatAreReadAgain(t *testing.T) {
	for _, c := range []struct {
		name, sql string
		knows     int // events of the row that is there in the end
	}{
		{"a row that is not known", "ALTER TABLE k RENAME TO l; UPDATE l SET n = 2", 2},
		{"twice", "ALTER TABLE k RENAME TO l; UPDATE l SET n = 2; UPDATE l SET n = 3", 3},
		{"its key changes", "ALTER TABLE k RENAME TO l; UPDATE l SET id = 2", 2},
		{"its key changes, and it changes", "ALTER TABLE k RENAME TO l; UPDATE l SET id = 2; UPDATE l SET n = 2", 3},
		{"in the transaction that renames", "BEGIN; ALTER TABLE k RENAME TO l; UPDATE l SET n = 2; UPDATE l SET n = 3; COMMIT", 3},
		{"a type that changes", "ALTER TABLE k RENAME TO l; ALTER TABLE l ALTER big TYPE varchar USING upper(big); UPDATE l SET n = 2; UPDATE l SET n = 3", 3},
		{"a type of known rows that changes", "ALTER TABLE k ALTER big TYPE varchar USING upper(big); UPDATE k SET n = 2; UPDATE k SET n = 3", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, server(t), `CREATE TABLE k (id int PRIMARY KEY, n int, big text); INSERT INTO k SELECT 1, 1, string_agg(md5(n::text), '') FROM generate_series(1, 500) n`)
			w.setUp(&audit.Setup{KeyIdentity: true}, "k")
			w.caughtUp()
			for _, sql := range strings.Split(c.sql, "; ") {
				w.exec(sql)
			}
			w.caughtUp()
			w.verified()
			if n := len(w.events("public.k-1")) - 1 + len(w.events("public.l-1")) + len(w.events("public.l-2")); n < c.knows {
				t.Errorf("%d events of the row", n)
			}
			w.exec("UPDATE " + strings.Fields(c.sql[strings.LastIndex(c.sql, "UPDATE "):])[1] + " SET n = 4")
			w.caughtUp()
			w.verified()
		})
	}
}

// What the trail knows of a row is of its last change, also of one that came with all old values.
func TestAnIdentityThatChanges(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE k (id int PRIMARY KEY, n int, big text); ALTER TABLE k ALTER big SET STORAGE EXTERNAL; INSERT INTO k SELECT n, 1, repeat('a', 3000) FROM generate_series(1, 3) n`)
	w.setUp(&audit.Setup{KeyIdentity: true}, "k")
	w.begun()
	w.exec("UPDATE k SET n = 2")
	w.exec("ALTER TABLE k REPLICA IDENTITY FULL")
	w.exec("UPDATE k SET big = repeat('b', 3000) WHERE id = 1")
	w.exec("DELETE FROM k WHERE id = 3; INSERT INTO k VALUES (3, 2, repeat('b', 3000))")
	w.exec("BEGIN; UPDATE k SET big = repeat('c', 3000) WHERE id = 2; ALTER TABLE k REPLICA IDENTITY DEFAULT; UPDATE k SET n = 3 WHERE id = 2; COMMIT")
	w.exec("UPDATE k SET n = 3 WHERE id <> 2")
	w.verifiedSoon()
	w.stop()
}

// A command on a partitioned table, or one that others inherit from, changes tables that it does not name.
func TestTablesThatChangeWithTheirParent(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE p (id int PRIMARY KEY, n int) PARTITION BY RANGE (id); CREATE TABLE q PARTITION OF p FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
		CREATE TABLE part PARTITION OF q FOR VALUES FROM (0) TO (50); INSERT INTO p VALUES (1, 1); CREATE TABLE i (id int PRIMARY KEY, n int); CREATE TABLE child (PRIMARY KEY (id)) INHERITS (i); INSERT INTO child VALUES (1, 1)`)
	w.setUp(nil, "part", "i", "child")
	w.begun()
	for _, sql := range []string{"ADD c text DEFAULT 'c'", "RENAME n TO m", "ALTER m TYPE numeric(10,2)", "ADD d timestamptz DEFAULT clock_timestamp()", "DROP c"} {
		w.exec("ALTER TABLE p " + sql)
		w.exec("ALTER TABLE i " + sql)
		w.verifiedSoon()
	}
	w.exec("ALTER TABLE p DETACH PARTITION q; ALTER TABLE p ADD e int; UPDATE q SET m = 2; ALTER TABLE child NO INHERIT i; ALTER TABLE i ADD e int")
	w.verifiedSoon()
	w.stop()
}

func TestSchemasThatAreRenamed(t *testing.T) {
	for _, open := range []bool{false, true} {
		w := newWorld(t, server(t), `CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE a.k (id int PRIMARY KEY); CREATE TABLE b.k (id int PRIMARY KEY); INSERT INTO a.k VALUES (1), (2); INSERT INTO b.k VALUES (2), (3)`)
		w.setUp(nil, "a.k", "b.k")
		if open {
			w.exec("GRANT EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text) TO PUBLIC")
		}
		w.caughtUp()
		w.exec("BEGIN; ALTER SCHEMA a RENAME TO c; INSERT INTO c.k VALUES (4); ALTER SCHEMA b RENAME TO a; ALTER SCHEMA c RENAME TO b; COMMIT")
		w.caughtUp()
		w.caughtUp() // what was not believed is looked for
		w.verified()
		w.exec("ALTER SCHEMA a RENAME TO z")
		w.caughtUp()
		w.verified()
		names, err := w.trail().Tables(t.Context(), audit.Point{})
		if want := []audit.Name{{Schema: "b", Table: "k"}, {Schema: "z", Table: "k"}}; err != nil || !slices.Equal(names, want) {
			t.Errorf("the tables are %v, %v", names, err)
		}
	}
}

// A table is published, changed and renamed while capture is away, so that there is none of its name when it is looked at.
func TestATableThatIsRenamedBeforeItIsLookedAt(t *testing.T) {
	for _, o := range []audit.Setup{{KeyIdentity: true}, {KeyIdentity: true, NoEventTrigger: true}} {
		w := newWorld(t, server(t), `CREATE TABLE j (id int PRIMARY KEY); CREATE TABLE k (id int PRIMARY KEY, n int, big text); ALTER TABLE k ALTER big SET STORAGE EXTERNAL; INSERT INTO k SELECT n, 1, repeat('b', 5000) FROM generate_series(1, 2) n`)
		w.setUp(&o, "j")
		w.caughtUp()
		w.exec("ALTER PUBLICATION annals ADD TABLE k")
		w.exec("UPDATE k SET n = 2 WHERE id = 1")
		w.exec("ALTER TABLE k RENAME TO l; CREATE TABLE public.k (id int PRIMARY KEY, n int, big text)")
		w.exec("UPDATE l SET n = 3 WHERE id = 1")
		w.caughtUp()
		w.verified(public("l"))
		if got := w.events("public.l-2"); len(got) != 1 {
			t.Errorf("a row that did not change has %q", got)
		}
	}
}

// A truncate waits for the reading of rows that have no event yet, and comes right behind it.
func TestATableThatIsTruncatedWhileItIsReadAgain(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE m (id int PRIMARY KEY, v text)`)
	w.setUp(nil, "m")
	w.o.ChunkRows = 20_000
	w.begun()
	for range 5 {
		w.exec("INSERT INTO m SELECT n, repeat('v', 200) FROM generate_series(1, 10000) n")
		w.exec("ALTER TABLE m RENAME TO o; ALTER TABLE o RENAME TO m")
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
			var read bool
			if err := w.conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'm'::regclass AND mode = 'AccessShareLock' AND granted AND pid <> pg_backend_pid())").Scan(&read); err != nil {
				t.Fatal(err)
			}
			if read {
				break
			}
		}
		w.exec("TRUNCATE m")
		w.verifiedSoon()
	}
	w.stop()
}
