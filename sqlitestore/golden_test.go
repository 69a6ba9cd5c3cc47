package sqlitestore_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/sqlitestore"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("%s differs (run with -update and look at the difference):\n%s", name, got)
	}
}

// fixed makes the same small log every time: of everything that a record may have.
func fixed(t *testing.T, path string) *sqlitestore.Store {
	t.Helper()
	now := time.Date(2024, 2, 29, 12, 0, 0, 123456789, time.UTC)
	s := open(t, path, &sqlitestore.Options{
		LogID: uuid.MustParse("0198c0de-0000-4000-8000-000000000000"),
		Clock: func() time.Time { now = now.Add(time.Second); return now },
	})
	n := byte(0)
	id := func() driver.ID {
		n++
		return driver.ID{0x01, 0x98, 0xc0, 0xde, 0, 0, 0x70, 0, 0x80, 15: n}
	}
	ctx := testContext(t)
	for _, b := range []driver.Batch{
		{Events: []driver.Event{{ID: id(), Stream: "item-laptop", Type: "ItemCreated", Data: []byte(`{"name":"Laptop","quantity":10}`)}}, Conditions: []driver.Condition{driver.StreamAbsent("item-laptop")}},
		{
			Events: []driver.Event{
				{ID: id(), Stream: "item-laptop", Type: "QuantityDecreased", Data: []byte(`{"amount":3}`), Tags: []string{"order:7", "customer:ann"}, Metadata: driver.NewMetadata(map[string]string{"actor": "ann", "reason": "ü\n"})},
				{ID: id(), Type: "OrderPlaced", Tags: []string{"order:7"}, Data: []byte{0xa1, 0x00}, Encoding: "cbor", Occurred: time.Date(1969, 12, 31, 23, 59, 59, 5, time.UTC)},
			},
			Conditions: []driver.Condition{driver.StreamAt("item-laptop", 1), driver.NoneAfter(tagged("order:7"), 1)},
		},
		{Events: []driver.Event{{ID: id(), Stream: "shop", Type: "Opened", Data: []byte(`null`)}}},
	} {
		if _, err := s.Append(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.State().Save(ctx, "checkpoint/stock", []byte(`{"position":4}`), 0); err != nil {
		t.Fatal(err)
	}
	return s
}

// dump is the rows of query, a line each.
func dump(t *testing.T, s *sqlitestore.Store, query string) string {
	t.Helper()
	rows, err := s.DB().Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for rows.Next() {
		values, places := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			places[i] = &values[i]
		}
		if err := rows.Scan(places...); err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				v = "x'" + hex.EncodeToString(b) + "'"
			}
			fmt.Fprintf(&out, " %s=%v", names[i], v)
		}
		out.WriteByte('\n')
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// content is everything in the file of a log.
func content(t *testing.T, s *sqlitestore.Store) string {
	t.Helper()
	var out strings.Builder
	for _, table := range []string{"annals_log", "annals_keys", "annals_records", "annals_postings", "annals_tree", "annals_state", "annals_events", "annals_streams"} {
		fmt.Fprintf(&out, "%s\n%s", table, dump(t, s, `SELECT * FROM `+table+` ORDER BY 1, 2`))
	}
	root, err := s.TreeHead(testContext(t), head(t, s))
	fmt.Fprintf(&out, "tree head %x %v\n", root, err)
	return out.String()
}

func TestTheSchemaIsAsItWas(t *testing.T) {
	s := open(t, newFile(t), nil)
	golden(t, "schema.txt", strings.ReplaceAll(dump(t, s, `SELECT type, name, sql FROM sqlite_schema ORDER BY type, name`), "\t", "  "))
}

func TestALogIsWrittenAsItWas(t *testing.T) {
	golden(t, "v1.txt", content(t, fixed(t, newFile(t))))
}

// testdata/v1.db was written by the first version.
func TestAFileOfTheFirstVersionReadsAsItWasWritten(t *testing.T) {
	path := newFile(t)
	if *update {
		s := fixed(t, filepath.Join(t.TempDir(), "v1.db"))
		if err := os.Remove("testdata/v1.db"); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if _, err := s.Backup(testContext(t), "testdata/v1.db"); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile("testdata/v1.db")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, path, &sqlitestore.Options{MustExist: true})
	golden(t, "v1.txt", content(t, s))
	equal(t, "records", records(t, s, driver.Query{}), records(t, fixed(t, newFile(t)), driver.Query{}))
	equal(t, "faults", faults(t, s), []error(nil))
	equal(t, "next position", appendTo(t, s, event("item-laptop")).Versions, []uint64{3})
}

// The command sqlite3 of SQLite's own reads the log beside its writer, and
// leaves it as it is.
func TestTheSQLiteToolReadsALogInUse(t *testing.T) {
	tool, err := exec.LookPath("sqlite3")
	if err != nil {
		t.Fatalf("this test runs SQLite's own command line tool; install the package sqlite3: %v", err)
	}
	s := fixed(t, newFile(t))
	ask := func(query string) string {
		t.Helper()
		out, err := exec.Command(tool, s.Path(), query).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", query, err, out)
		}
		return strings.ReplaceAll(string(out), "\r\n", "\n")
	}
	equal(t, "events", ask(`SELECT position, stream, version, type, time, occurred, tags, data, metadata FROM annals_events WHERE position <= 2`),
		`1|item-laptop|1|ItemCreated|2024-02-29T12:00:01.123456789Z|||{"name":"Laptop","quantity":10}|`+"\n"+
			`2|item-laptop|2|QuantityDecreased|2024-02-29T12:00:02.123456789Z||["order:7","customer:ann"]|{"amount":3}|{"actor":"ann","reason":"ü\n"}`+"\n")
	equal(t, "occurred", ask(`SELECT occurred FROM annals_events WHERE position = 3`), "1969-12-31T23:59:59.000000005Z\n")
	equal(t, "streams", ask(`SELECT stream, category, version, position FROM annals_streams`), "item-laptop|item|2|2\nshop|shop|1|4\n")
	equal(t, "check", ask(`PRAGMA integrity_check`), "ok\n")
	appendTo(t, s, event("item-laptop"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	equal(t, "events after the writer has ended", ask(`SELECT count(*) FROM annals_events`), "5\n")
	again := open(t, s.Path(), nil)
	equal(t, "faults", faults(t, again), []error(nil))
	var dumped bytes.Buffer
	cmd := exec.Command(tool, s.Path(), ".dump")
	cmd.Stdout = &dumped
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	restored := filepath.Join(t.TempDir(), "restored.db")
	cmd = exec.Command(tool, restored)
	cmd.Stdin = &dumped
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("restore from a dump: %v: %s", err, out)
	}
	r := open(t, restored, &sqlitestore.Options{MustExist: true})
	equal(t, "content restored from a dump", content(t, r), content(t, again))
	equal(t, "faults", faults(t, r), []error(nil))
}
