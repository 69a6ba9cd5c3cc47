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

func (w *world) wantRefused(says ...string) {
	w.t.Helper()
	err := w.capture()
	var refused *audit.RefusedError
	if !errors.As(err, &refused) {
		w.t.Errorf("capture: %v, want that it is refused", err)
		return
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			w.t.Errorf("capture: %v, want that it says %q", err, s)
		}
	}
}

func TestARowOverTheLimitIsRefusedByName(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE l (id int PRIMARY KEY, v text)`)
	w.log = memstore.New(&memstore.Options{Limits: driver.Limits{EventBytes: 10_000, BatchBytes: 200_000, BatchEvents: 100, NameBytes: 1024}})
	w.setUp(nil, "l")
	w.caughtUp()
	w.exec("INSERT INTO l SELECT n, repeat('x', 100) FROM generate_series(1, 1000) n") // many parts
	w.exec("INSERT INTO l VALUES (2000, repeat('y', 20000))")
	w.wantRefused("row public.l-2000", "event bytes, over the limit of 10000")
	table, err := w.trail().Table(t.Context(), audit.Name{Schema: "public", Table: "l"}, audit.Point{})
	if err != nil || table.Len() != 1000 {
		t.Errorf("what came before has %v rows, %v", table, err)
	}
}

func TestATextThatIsNoUTF8IsRefusedByName(t *testing.T) {
	s := server(t)
	first := newWorld(t, s, `CREATE DATABASE ascii ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`)
	w := newWorld(t, s, "")
	w.url = strings.Replace(first.url, first.url[strings.LastIndex(first.url, "/"):], "/ascii", 1)
	w.conn = dial(t, w.url)
	w.exec("CREATE TABLE a (id int PRIMARY KEY, v text)")
	w.setUp(nil, "a")
	w.caughtUp()
	w.exec(`INSERT INTO a VALUES (1, E'\xff')`)
	w.wantRefused("no text form in UTF-8", "0xff")
	if err := first.conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestATableThatLosesItsKeyStopsCapture(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE k (id int PRIMARY KEY)`)
	w.setUp(nil, "k")
	w.caughtUp()
	w.exec("ALTER TABLE k DROP CONSTRAINT k_pkey")
	w.wantRefused("table public.k", "no primary key")
	w.exec("INSERT INTO k VALUES (1)")
	w.exec("ALTER TABLE k ADD PRIMARY KEY (id)")
	w.caughtUp()
	w.verifiedSoon() // as the refusal says
}

func TestRowsThatChangesDoNotName(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE g (a int, id int GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY); CREATE TABLE k (id int PRIMARY KEY, b int NOT NULL UNIQUE); INSERT INTO k VALUES (1, 1), (2, 2)`)
	findings, err := audit.Check(t.Context(), w.url, []audit.Name{{Schema: "public", Table: "g"}}, nil)
	if err != nil || !strings.Contains(fmt.Sprint(audit.Missing(findings)), "its primary key has a generated column") {
		t.Errorf("a key that is not in the stream is found to be %v, %v", audit.Missing(findings), err)
	}
	w.setUp(nil, "k")
	w.caughtUp()
	w.exec("ALTER TABLE k REPLICA IDENTITY USING INDEX k_pkey")
	w.exec("UPDATE k SET id = 3 WHERE b = 1")
	w.caughtUp()
	w.verified()
	w.exec("ALTER TABLE k REPLICA IDENTITY USING INDEX k_b_key")
	w.exec("DELETE FROM k WHERE id = 2")
	w.wantRefused("table public.k", "its replica identity is an index without its primary key")
}

func TestOneTrailInOneLog(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE one (id int PRIMARY KEY)`)
	w.setUp(nil, "one")
	w.caughtUp()
	w.o.Slot = "another"
	w.wantRefused("slot another", "the trail is kept by slot "+w.slot)
}
