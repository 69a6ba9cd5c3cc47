package audit_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/annals-db/annals/audit"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/pgserver"
)

// withStandby returns a server on which a transaction by [world.waits] waits for
// the standby of that name, and no other does.
func withStandby(t *testing.T, name string) *pgserver.Server {
	o := maps.Clone(settings)
	o["synchronous_standby_names"], o["synchronous_commit"] = name, "local"
	return pgserver.ForTest(t, &pgserver.Options{Settings: o})
}

// waits begins a transaction that is sent and not visible until the standby has
// it, or [world.shows]; ended waits for its end.
func (w *world) waits(sql string) (ended func()) {
	conn, end := dial(w.t, w.url), make(chan error, 1)
	go func() {
		_, err := conn.PgConn().Exec(context.Background(), "SET synchronous_commit = 'on'; "+sql).ReadAll()
		end <- err
	}()
	return func() {
		w.t.Helper()
		if err := <-end; err != nil {
			w.t.Fatal(err)
		}
	}
}

// shows has the server wait for no standby any more.
func (w *world) shows() {
	w.exec("ALTER SYSTEM SET synchronous_standby_names = ''")
	w.exec("SELECT pg_reload_conf()")
}

// TestWhatIsSentBeforeItIsVisible has transactions wait for a standby that does
// not come. The stream of changes has them then, and the catalog does not show them to anyone.
func TestWhatIsSentBeforeItIsVisible(t *testing.T) {
	j, k := audit.Name{Schema: "public", Table: "j"}, audit.Name{Schema: "public", Table: "k"}
	for _, c := range []struct {
		name    string
		setup   audit.Setup
		open    bool   // everybody may send messages, so that they are not believed by themselves
		standby string // whom the transaction waits for
		sql     string
		then    string
		tables  map[audit.Name]int
		says    string // the last event of the table
	}{
		{name: "a table is dropped", standby: "nobody", sql: "DROP TABLE k", tables: map[audit.Name]int{j: 1}, says: "TableDropped"},
		{name: "a table is dropped, and capture is the standby", standby: "*", sql: "DROP TABLE k", tables: map[audit.Name]int{j: 1}, says: "TableDropped"},
		{name: "a table is changed, and anyone may say so", open: true, standby: "nobody", sql: "ALTER TABLE k ADD b text DEFAULT 'b'",
			then: "INSERT INTO k VALUES (9)", tables: map[audit.Name]int{j: 1, k: 3}, says: "SchemaChanged"},
		{name: "without an event trigger", setup: audit.Setup{NoEventTrigger: true}, standby: "nobody", sql: "ALTER TABLE k ADD b text DEFAULT 'b'; UPDATE k SET b = 'c' WHERE id = 1",
			then: "INSERT INTO k VALUES (9)", tables: map[audit.Name]int{j: 1, k: 3}, says: "TableDescribed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, withStandby(t, c.standby), `CREATE TABLE j (id int PRIMARY KEY); INSERT INTO j VALUES (1); CREATE TABLE k (id int PRIMARY KEY); INSERT INTO k VALUES (1), (2)`)
			w.setUp(&c.setup, "j", "k")
			if c.open {
				w.exec("GRANT EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text) TO PUBLIC")
			}
			w.begun()
			ended := w.waits("BEGIN; " + c.sql + "; COMMIT")
			if c.standby == "nobody" {
				w.eventually("the transaction waits", func() (is bool) {
					err := w.conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')").Scan(&is)
					return err == nil && is
				})
				w.eventually("the transaction is sent", func() (is bool) {
					err := w.conn.QueryRow(t.Context(), "SELECT sent_lsn >= pg_current_wal_lsn() FROM pg_stat_replication").Scan(&is)
					return err == nil && is
				})
				time.Sleep(200 * time.Millisecond) // capture has it, and asks
				w.shows()
			}
			ended()
			if c.then != "" {
				w.exec(c.then)
			}
			w.rereadDone()
			compared := map[audit.Name]int{}
			for m, err := range w.trail().Verify(t.Context(), w.url, nil, &audit.VerifyOptions{Checked: func(n audit.Name, rows int) { compared[n] = rows }}) {
				t.Errorf("%+v, %v", m, err)
			}
			if !maps.Equal(compared, c.tables) {
				t.Errorf("compared %v", compared)
			}
			if list := w.events("public.k"); len(list) == 0 || !strings.HasPrefix(list[len(list)-1], c.says) {
				t.Errorf("the table's stream is %q", list)
			}
			w.stop()
		})
	}
}

// TestATableThatIsPublishedWhileItIsWritten has the trail keep what was written by a
// transaction before the table was published, and was committed after it was read.
func TestATableThatIsPublishedWhileItIsWritten(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE j (id int PRIMARY KEY); INSERT INTO j VALUES (1); CREATE TABLE k (id int PRIMARY KEY, v text); INSERT INTO k VALUES (1, 'old'), (2, 'old')`)
	w.exec("ALTER TABLE k REPLICA IDENTITY FULL")
	w.setUp(nil, "j")
	w.begun()
	tx, err := dial(t, w.url).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "UPDATE k SET v = 'new' WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	w.exec("ALTER PUBLICATION annals ADD TABLE k")
	k := audit.Name{Schema: "public", Table: "k"}
	w.eventually("the table is in the trail", func() bool {
		names, err := w.trail().Tables(t.Context(), audit.Point{})
		return err == nil && slices.Contains(names, k)
	})
	time.Sleep(300 * time.Millisecond) // what is read meanwhile has 'old'
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.verifiedSoon()
	w.stop()
}

// TestAValueThatWasNotSentIsNotReadFromBefore has a table read again while a
// change that did not send a large value is sent and not visible: what is read is older than the change.
func TestAValueThatWasNotSentIsNotReadFromBefore(t *testing.T) {
	w := newWorld(t, withStandby(t, "nobody"), `CREATE TABLE k (id int PRIMARY KEY, n int, big text);
		INSERT INTO k SELECT id, 0, (SELECT string_agg(md5((n + id)::text), '') FROM generate_series(1, 200) n) FROM generate_series(1, 60) id`)
	w.setUp(&audit.Setup{KeyIdentity: true}, "k")
	w.url, w.o.ChunkRows = lagging(t, w.url, 100*time.Millisecond), 5 // so that it is read for a second or more
	w.begun()
	w.exec("ALTER TABLE k ALTER big TYPE varchar(20000) USING 'x' || big")
	w.exec("DELETE FROM k WHERE id = 3")
	ended := w.waits("UPDATE k SET n = 1 WHERE id = 58; UPDATE k SET id = 3, n = 3 WHERE id = 59")
	w.eventually("the change is in the trail", func() bool { return len(w.events("public.k-58")) > 1 })
	time.Sleep(2 * time.Second) // the row is read
	w.shows()
	ended()
	w.verifiedSoon()
	w.stop()
}

// TestVerifyDoesNotTakeAReadingForWhatItDoesNotShow verifies when a table was
// read again, and a row of it was told by a change that is sent and not visible.
func TestVerifyDoesNotTakeAReadingForWhatItDoesNotShow(t *testing.T) {
	w := newWorld(t, withStandby(t, "nobody"), `CREATE TABLE k (id int PRIMARY KEY, n int, v text); INSERT INTO k SELECT id, 0, id FROM generate_series(1, 60) id`)
	w.setUp(nil, "k")
	w.url, w.o.ChunkRows = lagging(t, w.url, 100*time.Millisecond), 5 // so that it is read for a second or more
	w.begun()
	w.exec("ALTER TABLE k ALTER v TYPE varchar(20000) USING 'x' || v")
	w.exec("DELETE FROM k WHERE id = 3")
	ended := w.waits("UPDATE k SET n = 1 WHERE id = 58")
	w.eventually("the change is in the trail", func() bool { return len(w.events("public.k-58")) > 1 })
	w.eventually("the table was read again", func() bool { return len(w.events("public.k-60")) > 1 })
	time.Sleep(500 * time.Millisecond) // which is said
	for m, err := range w.trail().Verify(t.Context(), w.url, nil, nil) {
		if !errors.Is(err, driver.ErrUnavailable) {
			t.Errorf("%+v, %v", m, err)
		}
	}
	w.shows()
	ended()
	w.verifiedSoon()
	w.stop()
}
