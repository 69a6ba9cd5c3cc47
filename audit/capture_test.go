package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/annals-db/annals/audit"
	"github.com/annals-db/annals/driver"
)

// events returns the events of a stream, each as type and data.
func (w *world) events(stream string) (list []string) {
	w.t.Helper()
	for r, err := range w.log.Read(context.Background(), driver.Query{Items: []driver.Item{{Streams: []string{stream}}}}, driver.ReadOptions{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		list = append(list, r.Type+" "+string(r.Data))
	}
	return list
}

func (w *world) wantEvents(stream string, want ...string) {
	w.t.Helper()
	if got := w.events(stream); !slices.Equal(got, want) {
		w.t.Errorf("stream %s has\n  %s\nwant\n  %s", stream, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// verified compares the trail with the live tables.
func (w *world) verified(tables ...audit.Name) {
	w.t.Helper()
	if w.cancel == nil {
		w.start()
		defer w.stop()
	}
	checked := 0
	for m, err := range w.trail().Verify(context.Background(), w.url, tables, &audit.VerifyOptions{Checked: func(audit.Name, int) { checked++ }}) {
		if err != nil {
			w.t.Fatal(err)
		}
		text, _ := json.Marshal(m)
		w.t.Errorf("%s: %s", m.Table, text)
	}
	if checked == 0 {
		w.t.Error("no table was compared")
	}
}

func TestEveryChangeIsAnEventOfItsRow(t *testing.T) {
	for _, identity := range []string{"full", "key"} {
		t.Run("replica identity "+identity, func(t *testing.T) {
			w := newWorld(t, server(t), `CREATE TABLE item (id int PRIMARY KEY, name text, price numeric(12,3)); INSERT INTO item VALUES (1, 'found', 1.10)`)
			w.setUp(&audit.Setup{KeyIdentity: identity == "key"}, "item")
			w.caughtUp()
			w.exec("INSERT INTO item VALUES (2, 'two', 99999999.999)")
			w.exec("UPDATE item SET price = 1.20 WHERE id = 1")
			w.exec("UPDATE item SET name = NULL, price = price WHERE id = 2")
			w.exec("UPDATE item SET id = 3, name = 'three' WHERE id = 2")
			w.exec("DELETE FROM item WHERE id = 3")
			w.exec("BEGIN; INSERT INTO item VALUES (4, 'four', 4); TRUNCATE item; INSERT INTO item VALUES (5, '', 5); COMMIT")
			w.caughtUp()
			w.wantEvents("public.item-1",
				`RowFound {"after":{"id":"1","name":"found","price":"1.100"}}`,
				`RowUpdated {"after":{"id":"1","name":"found","price":"1.200"},"before":{"price":"1.100"}}`,
				`RowTruncated {"before":{"id":"1","name":"found","price":"1.200"}}`)
			w.wantEvents("public.item-2",
				`RowInserted {"after":{"id":"2","name":"two","price":"99999999.999"}}`,
				`RowUpdated {"after":{"id":"2","name":null,"price":"99999999.999"},"before":{"name":"two"}}`,
				`RowDeleted {"before":{"id":"2","name":null,"price":"99999999.999"},"moved_to":"public.item-3"}`)
			w.wantEvents("public.item-3",
				`RowInserted {"after":{"id":"3","name":"three","price":"99999999.999"},"moved_from":"public.item-2"}`,
				`RowDeleted {"before":{"id":"3","name":"three","price":"99999999.999"}}`)
			w.wantEvents("public.item-4",
				`RowInserted {"after":{"id":"4","name":"four","price":"4.000"}}`,
				`RowTruncated {"before":{"id":"4","name":"four","price":"4.000"}}`)
			w.wantEvents("public.item-5", `RowInserted {"after":{"id":"5","name":"","price":"5.000"}}`)
			w.verified()
		})
	}
}

func TestVerifyKnowsWhetherTheTrailIsBehind(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY)`)
	w.setUp(nil, "a")
	w.caughtUp()
	verify := func() error {
		for _, err := range w.trail().Verify(t.Context(), w.url, nil, &audit.VerifyOptions{Wait: 100 * time.Millisecond}) {
			return err
		}
		return nil
	}
	w.exec("INSERT INTO other VALUES (1)") // it does not matter to the trail
	if err := verify(); err != nil {
		t.Errorf("nothing is missing, but: %v", err)
	}
	w.exec("INSERT INTO a VALUES (1)")
	if err := verify(); !errors.Is(err, driver.ErrUnavailable) {
		t.Errorf("a change is missing, but: %v", err)
	}
}

func TestATransactionIsOneAppendOnTheConditionOfTheOneBefore(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)`)
	w.setUp(nil, "a", "b")
	w.caughtUp()
	var xid uint32
	if err := w.conn.QueryRow(context.Background(), "WITH x AS (INSERT INTO a VALUES (1), (2)), y AS (INSERT INTO b VALUES (3)) SELECT pg_current_xact_id()::xid").Scan(&xid); err != nil {
		t.Fatal(err)
	}
	w.caughtUp()
	var batch []driver.Record
	for r, err := range w.log.Read(t.Context(), driver.Query{}, driver.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Metadata.Value("xid") == fmt.Sprint(xid) || len(batch) > 0 && r.Batch == batch[0].Batch {
			batch = append(batch, r)
		}
	}
	if len(batch) != 4 {
		t.Fatalf("the transaction is %d events, want 3 and the one that closes it", len(batch))
	}
	last := batch[3]
	if last.Type != "TransactionCommitted" || !slices.Contains(last.Tags, fmt.Sprintf("xid:%d", xid)) {
		t.Errorf("the last is %s %q", last.Type, last.Tags)
	}
	var m struct {
		System, LSN string
		Timeline    int
		Events      int
	}
	if err := json.Unmarshal(last.Data, &m); err != nil {
		t.Fatal(err)
	}
	if m.Events != 3 || m.Timeline != 1 || m.System == "" || m.LSN == "" || last.Stream != "annals.audit-"+m.System {
		t.Errorf("it says %+v in stream %s", m, last.Stream)
	}
	if want := driver.StreamAt(last.Stream, last.Version-1); len(batch[0].Conditions) != 1 || batch[0].Conditions[0].String() != want.String() {
		t.Errorf("its condition is %v, want %s", batch[0].Conditions, want)
	}
	for _, r := range batch[:3] {
		if r.Batch != batch[0].Position || r.Occurred.IsZero() || r.Metadata.Value("lsn") != m.LSN {
			t.Errorf("event %+v", r)
		}
	}
}

func TestValuesKeepTheirTextForm(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
		CREATE TABLE v (id uuid, part text, n numeric, f float8, r real, b bytea, t timestamptz, i interval, a text[], m mood, p positive, j jsonb, x bit(3), g point, o bool, c money, PRIMARY KEY (part, id))`)
	w.setUp(nil, "v")
	w.exec(`SET datestyle = 'German'; SET timezone = 'Asia/Tokyo'; SET extra_float_digits = 0; SET bytea_output = 'escape'; SET intervalstyle = 'iso_8601'`)
	insert := `INSERT INTO v VALUES ('0b8f6e2c-1111-4222-8333-444455556666', $1, 123456789012345678901234567890.123456789000, 0.1, 'NaN', '\x00ff', '2024-02-29 12:00:00.123456+00', '1 day 02:03:04', '{"a,b",NULL,"\"q"}', 'happy', 7, '{"k": 1.00}', '101', '(1,2)', true, 12.5)`
	w.exec(insert, "a,b%\n")
	w.caughtUp()
	w.exec(insert, "")
	w.caughtUp()
	data := `"n":"123456789012345678901234567890.123456789000","f":"0.1","r":"NaN","b":"\\x00ff","t":"2024-02-29 12:00:00.123456+00","i":"1 day 02:03:04","a":"{\"a,b\",NULL,\"\\\"q\"}","m":"happy","p":"7","j":"{\"k\": 1.00}","x":"101","g":"(1,2)","o":"t","c":"$12.50"}}`
	w.wantEvents("public.v-a%2Cb%25%0A,0b8f6e2c-1111-4222-8333-444455556666", `RowFound {"after":{"id":"0b8f6e2c-1111-4222-8333-444455556666","part":"a,b%\n",`+data)
	w.wantEvents("public.v-,0b8f6e2c-1111-4222-8333-444455556666", `RowInserted {"after":{"id":"0b8f6e2c-1111-4222-8333-444455556666","part":"",`+data)
	w.verified()
}

func TestValuesThatWereNotSentAreResolved(t *testing.T) {
	for _, identity := range []string{"full", "key"} {
		t.Run("replica identity "+identity, func(t *testing.T) {
			w := newWorld(t, server(t), `CREATE TABLE doc (id int PRIMARY KEY, n int, body text); ALTER TABLE doc ALTER body SET STORAGE EXTERNAL`)
			w.setUp(&audit.Setup{KeyIdentity: identity == "key"}, "doc")
			w.exec("INSERT INTO doc VALUES (1, 1, repeat('x', 20000))")
			w.caughtUp()
			w.exec("INSERT INTO doc VALUES (2, 1, repeat('y', 30000)); UPDATE doc SET n = 2")
			w.exec("BEGIN; INSERT INTO doc VALUES (3, 1, repeat('z', 30000)); UPDATE doc SET n = 3 WHERE id = 3; UPDATE doc SET id = 4 WHERE id = 3; COMMIT")
			w.caughtUp()
			w.exec("UPDATE doc SET n = n + 10") // by another Capture, which knows nothing in memory
			w.caughtUp()
			last := w.events("public.doc-4")
			if want := `RowUpdated {"after":{"id":"4","n":"13","body":"` + strings.Repeat("z", 30000) + `"},"before":{"n":"3"}}`; last[len(last)-1] != want {
				t.Errorf("the last event is %.100s", last[len(last)-1])
			}
			w.verified()
		})
	}
}

func TestALargeTransactionIsInvisibleUntilItIsClosed(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE big (id int PRIMARY KEY, t text)`)
	w.setUp(nil, "big")
	w.caughtUp()
	w.exec("BEGIN; SELECT annals.actor('ann', 'bulk'); INSERT INTO big SELECT n, 'one' FROM generate_series(1, 25000) n; COMMIT")
	w.exec("INSERT INTO big VALUES (0, 'after')")
	// A log that breaks in the middle of the transaction.
	whole := w.log
	broken := &breaking{Log: whole, left: 2}
	w.log = broken
	if err := w.capture(); !errors.Is(err, errBroken) {
		t.Fatalf("capture: %v", err)
	}
	w.log = whole
	table := audit.Name{Schema: "public", Table: "big"}
	got, err := w.trail().Table(t.Context(), table, audit.Point{})
	if err != nil || got.Len() != 0 {
		t.Fatalf("while it is not closed the table has %d rows, %v", got.Len(), err)
	}
	if n := len(w.events("public.big-1")); n != 1 {
		t.Fatalf("the log has %d events of a row, want that of the part", n)
	}
	w.caughtUp()
	got, err = w.trail().Table(t.Context(), table, audit.Point{})
	if err != nil || got.Len() != 25001 {
		t.Fatalf("once it is closed the table has %d rows, %v", got.Len(), err)
	}
	w.exec("TRUNCATE big")
	w.caughtUp()
	if got := w.events("public.big-25000"); !strings.HasPrefix(got[len(got)-1], "RowTruncated") {
		t.Errorf("the row's history ends with %q", got[len(got)-1])
	}
	w.verified()
}

var errBroken = errors.New("the log broke")

// breaking is a log that fails all appends after some.
type breaking struct {
	driver.Log
	left int
}

func (b *breaking) Append(ctx context.Context, batch driver.Batch) (driver.Receipt, error) {
	if b.left--; b.left < 0 {
		return driver.Receipt{}, errBroken
	}
	return b.Log.Append(ctx, batch)
}

func TestTheFirstSnapshotBeginsAnewWhenItWasInterrupted(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE s (id int PRIMARY KEY); INSERT INTO s SELECT generate_series(1, 5000)`)
	w.setUp(nil, "s")
	whole := w.log
	for _, left := range []int{1, 2, 4} {
		w.log = &breaking{Log: whole, left: left}
		if err := w.capture(); !errors.Is(err, errBroken) {
			t.Fatalf("capture: %v", err)
		}
		w.log = whole
		if _, err := w.trail().Table(t.Context(), audit.Name{Schema: "public", Table: "s"}, audit.Point{}); !errors.Is(err, driver.ErrNotFound) {
			t.Fatalf("before the snapshot is complete there is a table, %v", err)
		}
		w.exec(fmt.Sprintf("DELETE FROM s WHERE id <= %d", 100*left))
	}
	w.caughtUp()
	table, err := w.trail().Table(t.Context(), audit.Name{Schema: "public", Table: "s"}, audit.Point{})
	if err != nil || table.Len() != 4600 {
		t.Errorf("%d rows, %v", table.Len(), err)
	}
	w.verified()
}

// slowly is a log that takes long to find one record.
type slowly struct{ driver.Log }

func (l slowly) Read(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
	if o.UpTo > 0 && o.UpTo == o.After+1 {
		time.Sleep(10 * time.Millisecond)
	}
	return l.Log.Read(ctx, q, o)
}

func TestAServerIsToldThatCaptureLivesWhileATruncateTakesLong(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE k (id int PRIMARY KEY); INSERT INTO k SELECT generate_series(1, 600)`)
	w.setUp(nil, "k")
	w.log = slowly{w.log}
	w.url += "&wal_sender_timeout=3s"
	w.o.Once = true // a connection that the server ends is an error
	w.caughtUp()
	w.exec("TRUNCATE k")
	w.caughtUp()
	if got := w.events("public.k-600"); len(got) != 2 || !strings.HasPrefix(got[1], "RowTruncated") {
		t.Errorf("the last row has %q", got)
	}
}

func TestTimeLimitsOfTheDatabaseAreForItsApplications(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE k (id int PRIMARY KEY); INSERT INTO k SELECT generate_series(1, 100000)`)
	w.setUp(nil, "k")
	w.exec("DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET statement_timeout = 1'; END $$")
	w.caughtUp()
}

func TestAMessageThatAnybodySendsDoesNotStopCapture(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE k (id int PRIMARY KEY)`)
	w.setUp(nil, "k")
	w.caughtUp()
	for _, more := range []string{`{}`, `{"schema":"public","name":"k","columns":[{"name":"x","type":"text","number":1}],"key":["y"]}`} {
		w.exec("SELECT pg_logical_emit_message(true, 'annals.ddl', (jsonb_build_object('table', 'public.k'::regclass::oid::bigint) || '" + more + "')::text)")
	}
	w.exec("INSERT INTO k VALUES (1)")
	w.caughtUp()
	w.verified()
}

// reading counts how often a log is read.
type reading struct {
	driver.Log
	times atomic.Int64
}

func (r *reading) Read(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
	r.times.Add(1)
	return r.Log.Read(ctx, q, o)
}

func TestATruncateReadsItsRowsTogether(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE big (id int PRIMARY KEY, v text); INSERT INTO big SELECT n, repeat(n::text, 30000) FROM generate_series(1, 200) n`)
	log := &reading{Log: w.log}
	w.log = log
	w.setUp(nil, "big")
	w.caughtUp()
	w.exec("UPDATE big SET v = 'short' WHERE id % 2 = 0; ALTER TABLE big ADD n int")
	w.exec("BEGIN; INSERT INTO big VALUES (500, 'of this transaction'); UPDATE big SET n = 7 WHERE id = 100; DELETE FROM big WHERE id = 2; TRUNCATE big; COMMIT")
	before := log.times.Load()
	w.caughtUp()
	if n := log.times.Load() - before; n > 100 {
		t.Errorf("to truncate 200 rows, the log is read %d times", n)
	}
	for stream, want := range map[string]string{
		"public.big-3":   `RowTruncated {"before":{"id":"3","v":"` + strings.Repeat("3", 30000) + `","n":null}}`,
		"public.big-100": `RowTruncated {"before":{"id":"100","v":"short","n":"7"}}`,
		"public.big-500": `RowTruncated {"before":{"id":"500","v":"of this transaction","n":null}}`,
		"public.big-2":   `RowDeleted {"before":{"id":"2","v":"short","n":null}}`,
	} {
		if got := w.events(stream); len(got) == 0 || got[len(got)-1] != want {
			t.Errorf("stream %s ends with %.100q", stream, got)
		}
	}
	w.verified()
}
