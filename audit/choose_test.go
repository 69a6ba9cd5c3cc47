package audit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/annals-db/annals/audit"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
)

func public(table string) audit.Name { return audit.Name{Schema: "public", Table: table} }

// A table that cannot be captured is left out and taken in again, and the others go on.
func TestATableIsLeftOutAndTakenInAgain(t *testing.T) {
	for _, c := range []struct{ name, broken, mended, says string }{
		{"its key is on a new column", "ALTER TABLE bad DROP COLUMN id; INSERT INTO bad VALUES ('unnamed'); ALTER TABLE bad ADD n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "", "primary key"},
		{"it has an identity that names no rows", "ALTER TABLE bad REPLICA IDENTITY USING INDEX bad_u_key; DELETE FROM bad WHERE id = 2", "ALTER TABLE bad REPLICA IDENTITY FULL", "its replica identity is an index"},
		{"a row is too large", "UPDATE bad SET u = repeat('x', 20000) WHERE id = 1", "UPDATE bad SET u = 'small' WHERE id = 1", "over the limit of 10000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, server(t), `CREATE TABLE bad (u text NOT NULL, id int PRIMARY KEY); ALTER TABLE bad ADD CONSTRAINT bad_u_key UNIQUE (u);
				INSERT INTO bad SELECT 'u' || n, n FROM generate_series(1, 250) n; CREATE TABLE good (id int PRIMARY KEY)`)
			w.log = memstore.New(&memstore.Options{Limits: driver.Limits{EventBytes: 10_000, BatchBytes: 200_000, BatchEvents: 100, NameBytes: 1024}})
			if strings.Contains(c.broken, "repeat") {
				w.exec("ALTER TABLE bad DROP CONSTRAINT bad_u_key")
			}
			w.setUp(nil, "bad", "good")
			w.caughtUp()
			before := w.transaction("UPDATE bad SET u = 'before' WHERE id = 3")
			w.exec(c.broken)
			w.exec("INSERT INTO good VALUES (1)")
			w.wantRefused("public.bad", c.says, `--leave-out '"public"."bad"'`, `--take-in '"public"."bad"'`)
			w.wantRefused("public.bad", c.says) // and again

			w.o.LeaveOut, w.o.Why = []audit.Name{public("bad")}, "ticket 7"
			w.caughtUp()
			w.caughtUp() // it is left out once
			w.o.LeaveOut, w.o.Why = nil, ""
			w.exec("INSERT INTO good VALUES (2); DELETE FROM bad WHERE u = 'u9'; TRUNCATE good; INSERT INTO good VALUES (3)")
			w.caughtUp()
			w.verified(public("good"))
			stream := w.events("public.bad")
			if last := stream[len(stream)-1]; !strings.HasPrefix(last, "TableLeftOut") || !strings.Contains(last, `"reason":"ticket 7"`) || !strings.Contains(last, `"from":"0/`) {
				t.Errorf("of the table the trail says %q", last)
			}
			if got := w.events("public.bad-9"); len(got) != 2 || got[1] != `RowLeftOut {"before":{"u":"u9","id":"9"}}` {
				t.Errorf("of a row the trail says %q", got)
			}
			if table, err := w.trail().Table(t.Context(), public("bad"), audit.AfterTransaction(before)); err != nil || table.Len() != 250 {
				t.Errorf("before, the table has %v rows, %v", table, err)
			}
			for what, err := range map[string]error{
				"the table":  second(w.trail().Table(t.Context(), public("bad"), audit.Point{})),
				"a row":      second(w.trail().Blame(t.Context(), public("bad"), []string{"9"}, audit.Point{})),
				"difference": second(w.trail().Difference(t.Context(), public("bad"), audit.AfterTransaction(before), audit.Point{})),
			} {
				if !errors.Is(err, driver.ErrNotFound) {
					t.Errorf("of %s that is left out the answer is %v", what, err)
				}
			}
			if names, err := w.trail().Tables(t.Context(), audit.Point{}); err != nil || fmt.Sprint(names) != "[public.good]" {
				t.Errorf("the tables are %v, %v", names, err)
			}

			if out, err := w.trail().LeftOut(t.Context()); err != nil || fmt.Sprint(out) != "[public.bad]" {
				t.Errorf("left out are %v, %v", out, err)
			}
			ends := 0
			for c, err := range w.trail().Changes(t.Context(), audit.Filter{Table: public("bad")}) {
				if err != nil {
					t.Fatal(err)
				}
				if c.Type == audit.RowLeftOut {
					ends++
				}
			}
			if ends < 249 {
				t.Errorf("of 250 rows %d are said to be left out", ends)
			}

			w.exec(c.mended)
			w.o.TakeIn = []audit.Name{public("bad")}
			w.caughtUp()
			w.exec("DELETE FROM bad WHERE u = 'u10'; INSERT INTO bad (u) OVERRIDING SYSTEM VALUE SELECT 'new' WHERE false")
			w.caughtUp() // it is taken in once
			w.verified()
			w.o.TakeIn = nil
			w.exec("DELETE FROM bad WHERE u = 'u11'")
			w.caughtUp()
			w.verified()
			for _, err := range w.trail().Changes(t.Context(), audit.Filter{}) {
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

// What is left out stays so under another name, and while capture runs it is taken
// in behind the changes that were made up to then.
func TestATableThatIsLeftOutIsRenamed(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO a VALUES (1)`)
	w.setUp(nil, "a", "b")
	w.o.LeaveOut, w.o.Why = []audit.Name{public("a")}, "of no interest"
	w.begun()
	w.exec("INSERT INTO a VALUES (2); ALTER TABLE a RENAME TO c; INSERT INTO c VALUES (3); INSERT INTO b VALUES (1)")
	w.verifiedSoon()
	w.stop()
	if got := w.events("public.c"); len(got) != 0 {
		t.Errorf("under its new name the trail has it as %q", got)
	}
	w.o.LeaveOut, w.o.TakeIn = nil, []audit.Name{public("c")}
	w.begun()
	w.eventually("it is taken in", func() bool { return len(w.events("public.c")) > 0 })
	w.exec("INSERT INTO c VALUES (4)")
	w.verifiedSoon()
	w.stop()
	w.o.TakeIn = nil
	w.exec("DELETE FROM c WHERE id = 1")
	w.caughtUp()
	w.verified()
	w.o.TakeIn = []audit.Name{public("nothing")}
	w.wantRefused("table public.nothing", "it is not in publication annals")
}

// A table that is published later is read as it is, without a change of it.
func TestATableThatIsPublishedLaterIsRead(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE later (id int PRIMARY KEY); INSERT INTO later SELECT generate_series(1, 2500); CREATE TABLE keyless (id int)`)
	w.setUp(nil, "a")
	w.caughtUp()
	w.setUp(nil, "a", "later")
	w.exec("ALTER PUBLICATION annals ADD TABLE keyless") // which holds up nothing as long as it does not change
	w.caughtUp()
	w.verified()
	if table, err := w.trail().Table(t.Context(), public("later"), audit.Point{}); err != nil || table.Len() != 2500 {
		t.Errorf("the table has %v rows, %v", table, err)
	}
	w.exec("ALTER TABLE keyless ADD n int; INSERT INTO keyless VALUES (1)")
	w.wantRefused("table public.keyless", "no primary key", "--leave-out")
	w.o.LeaveOut, w.o.Why = []audit.Name{public("keyless"), public("there is none")}, "it has no key"
	w.caughtUp()
	w.o.LeaveOut = nil
	w.exec("INSERT INTO keyless VALUES (2); DELETE FROM later WHERE id = 1")
	w.caughtUp()
	w.verified()
}

// Where no row changes while a table has no key, nothing has to be left out.
func TestAKeyOnANewColumnInSteps(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE k (id int PRIMARY KEY, v text); INSERT INTO k VALUES (1, 'a'), (2, 'b')`)
	w.setUp(nil, "k")
	w.caughtUp()
	w.exec("ALTER TABLE k DROP COLUMN id")
	w.exec("ALTER TABLE k ADD n int GENERATED ALWAYS AS IDENTITY")
	w.exec("ALTER TABLE k ADD PRIMARY KEY (n)")
	w.exec("UPDATE k SET v = 'c' WHERE n = 1")
	w.caughtUp()
	w.verified()
	w.exec("BEGIN; ALTER TABLE k DROP COLUMN n; ALTER TABLE k ADD PRIMARY KEY (v); INSERT INTO k VALUES ('d'); COMMIT")
	w.caughtUp()
	w.verified()
	stream := w.events("public.k")
	if last := stream[len(stream)-1]; !strings.Contains(last, "DROP COLUMN n") || !strings.Contains(last, "ADD PRIMARY KEY (v)") {
		t.Errorf("the last change of the table is %s", last)
	}

	// While capture looks it has no key, and then it has one.
	w.exec("ALTER TABLE k DROP COLUMN v, ADD a int")
	w.wantRefused("table public.k", "no primary key")
	w.exec("UPDATE k SET a = 1 WHERE false; ALTER TABLE k ADD b int GENERATED ALWAYS AS IDENTITY PRIMARY KEY")
	w.caughtUp()
	w.verified()

	// Capture is stopped between the commands.
	w.exec("ALTER TABLE k DROP COLUMN b, ADD c int GENERATED ALWAYS AS IDENTITY")
	between := w.lsn()
	w.exec("ALTER TABLE k ADD PRIMARY KEY (c)")
	w.o.Until = between
	if err := audit.Capture(t.Context(), w.url, w.log, &w.o); err != nil {
		t.Fatal(err)
	}
	w.exec("INSERT INTO k (a) VALUES (5)")
	w.caughtUp()
	w.verified()
}

// A table is taken in, and then its schema is renamed, of which the stream has no description.
func TestTheSchemaOfATableThatIsTakenInIsRenamed(t *testing.T) {
	w := newWorld(t, server(t), `CREATE SCHEMA a; CREATE TABLE a.k (id int PRIMARY KEY); CREATE TABLE j (id int PRIMARY KEY)`)
	w.setUp(nil, "a.k", "j")
	k := audit.Name{Schema: "a", Table: "k"}
	w.o.LeaveOut, w.o.Why = []audit.Name{k}, "of no interest"
	w.caughtUp()
	w.exec("INSERT INTO a.k VALUES (1)")
	w.o.LeaveOut, w.o.TakeIn = nil, []audit.Name{k}
	w.begun()
	w.eventually("it is taken in", func() bool { return len(w.events("a.k")) > 2 })
	w.exec("ALTER SCHEMA a RENAME TO b")
	w.exec("INSERT INTO b.k VALUES (2)")
	w.verifiedSoon()
	w.stop()
	if names, err := w.trail().Tables(t.Context(), audit.Point{}); err != nil || fmt.Sprint(names) != "[b.k public.j]" {
		t.Errorf("the tables are %v, %v", names, err)
	}
}

// Another table gets the name of one that is left out, and stays in the trail; the other stays out.
func TestATableInThePlaceOfOneThatIsLeftOut(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO b VALUES (1)`)
	w.setUp(nil, "a", "b")
	w.o.LeaveOut, w.o.Why = []audit.Name{public("a")}, "of no interest"
	w.begun()
	w.eventually("it is left out", func() bool { return len(w.events("public.a")) > 1 })
	w.exec("ALTER TABLE a RENAME TO c; ALTER TABLE b RENAME TO a")
	w.exec("INSERT INTO a VALUES (2); INSERT INTO c VALUES (1)")
	w.verifiedSoon()
	w.stop()
	w.o.LeaveOut = nil
	w.exec("INSERT INTO a VALUES (3); INSERT INTO c VALUES (2)")
	w.caughtUp()
	w.verified()
	if names, err := w.trail().Tables(t.Context(), audit.Point{}); err != nil || fmt.Sprint(names) != "[public.a]" {
		t.Errorf("the tables are %v, %v", names, err)
	}
}
