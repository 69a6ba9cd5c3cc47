package declared_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/projection"
	"github.com/annals-db/annals/projection/declared"
)

func TestMain(m *testing.M) {
	code := m.Run()
	pgserver.StopShared()
	os.Exit(code)
}

func declare(t testing.TB, text string) *declared.Declaration {
	t.Helper()
	var d declared.Declaration
	if err := json.Unmarshal([]byte(text), &d, json.RejectUnknownMembers(true)); err != nil {
		t.Fatal(err)
	}
	return &d
}

func appendEvent(t testing.TB, log driver.Log, stream, kind, data string) {
	t.Helper()
	e := driver.Event{ID: uuid.New(), Stream: stream, Type: kind, Data: []byte(data)}
	if _, err := log.Append(context.Background(), driver.Batch{Events: []driver.Event{e}}); err != nil {
		t.Fatal(err)
	}
}

// catchUp runs a version until it has handled everything, and returns the
// error with which it ended before.
func catchUp(t testing.TB, v *declared.Version, target *declared.Target, log driver.Log) error {
	t.Helper()
	r, err := v.Open(t.Context(), target, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	info, err := log.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	waited := r.Wait(ctx, info.Head)
	cancel()
	if err := <-ended; waited != nil {
		return err
	}
	return nil
}

func open(t testing.TB, url string, log driver.Log) *declared.Target {
	t.Helper()
	target, err := declared.OpenTarget(t.Context(), url, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { target.Close() })
	return target
}

// databases are the targets with tables: URL, and the driver and name to look at them.
var databases = map[string]func(t *testing.T) (url, driver, name string){
	"sqlite": func(t *testing.T) (string, string, string) {
		path := filepath.Join(t.TempDir(), "a b%20c?.db")
		return "sqlite:" + path, "sqlite3", "file:" + strings.NewReplacer("%", "%25", "?", "%3f", " ", "%20").Replace(path)
	},
	"postgres": func(t *testing.T) (string, string, string) {
		url := pgserver.Shared(t).NewDatabase(t)
		return url, "pgx", url
	},
}

func TestRowsAreWhatTheFoldMakesOfTheEventsOfTheirKey(t *testing.T) {
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			url, drv, dsn := database(t)
			log := memstore.New(nil)
			want := map[string]int{}
			rnd := rand.New(rand.NewPCG(1, 2))
			for range 300 {
				key := fmt.Sprintf("p%d", rnd.IntN(20))
				n := rnd.IntN(100) - 30
				want[key] += n
				appendEvent(t, log, "product-"+key, "Moved", fmt.Sprintf(`{"n":%d}`, n))
			}
			appendEvent(t, log, "product-p3", "Gone", `{}`)
			delete(want, "p3")
			d := declare(t, `{"target":"`+strings.ReplaceAll(url, `\`, `\\`)+`","query":["category=product"],"key":"sku","by":"$event.stream | ltrimstr(\"product-\")",
				"columns":{"n":"integer","half":"number","name":"text","low":"boolean","last":"json"},"partitions":3,
				"fold":"if $event.type == \"Gone\" then null else .n += $event.data.n | .half = .n / 2 | .name = $event.stream | .low = (.n < 0) | .last = $event.data end"}`)
			versions, err := d.Versions("stock", "")
			if err != nil {
				t.Fatal(err)
			}
			if err := catchUp(t, versions[0], open(t, url, log), log); err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open(drv, dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			rows, err := db.Query(`SELECT sku, n, half, name, low, last FROM stock`)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			got := 0
			for rows.Next() {
				var key, name, last string
				var n int
				var half float64
				var low bool
				if err := rows.Scan(&key, &n, &half, &name, &low, &last); err != nil {
					t.Fatal(err)
				}
				if got++; n != want[key] || half != float64(n)/2 || name != "product-"+key || low != (n < 0) || !strings.HasPrefix(last, `{"n":`) {
					t.Errorf("%s has %d, %v, %q, %t, %s, want %d", key, n, half, name, low, last, want[key])
				}
			}
			if err := rows.Err(); err != nil || got != len(want) {
				t.Errorf("%d rows, want %d (%v)", got, len(want), err)
			}
		})
	}
}

func TestAStateThatFitsNoRowIsAnErrorOfItsEvent(t *testing.T) {
	for fold, want := range map[string]string{
		`.n = 1.5`:                   "column n of \"item-1\": 1.5 is not an integer",
		`.n = 9223372036854775808`:   "is not an integer of 64 bits",
		`.n = "1"`:                   `"1" is not an integer`,
		`.m = 1`:                     `has a field "m", for which there is no column`,
		`[1]`:                        "is not an object",
		`error("no")`:                "no",
		`.n = $event.data.a.b.c.d.e`: "expected an object",
	} {
		log := memstore.New(nil)
		appendEvent(t, log, "item-1", "T", `{"a":1}`)
		url, _, _ := databases["sqlite"](t)
		text, err := json.Marshal(map[string]any{"target": url, "columns": map[string]string{"n": "integer"}, "attempts": 1, "fold": fold})
		if err != nil {
			t.Fatal(err)
		}
		versions, err := declare(t, string(text)).Versions("stock", "")
		if err != nil {
			t.Fatal(err)
		}
		err = catchUp(t, versions[0], open(t, url, log), log)
		var stopped *projection.EventError
		if !errors.As(err, &stopped) || stopped.Position != 1 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", fold, err, want)
		}
	}
}

func TestBigIntegersStayExact(t *testing.T) {
	log := memstore.New(nil)
	appendEvent(t, log, "item-1", "T", `{"n":9007199254740993}`)
	appendEvent(t, log, "item-1", "T", `{"n":1}`)
	url, drv, dsn := databases["sqlite"](t)
	versions, err := declare(t, `{"target":"sqlite:x","columns":{"n":"integer"},"fold":".n += $event.data.n"}`).Versions("stock", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := catchUp(t, versions[0], open(t, url, log), log); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open(drv, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int64
	if err := db.QueryRow(`SELECT n FROM stock`).Scan(&n); err != nil || n != 9007199254740994 {
		t.Errorf("%d, %v", n, err)
	}
}

func TestDocumentsAreWhatTheFoldMakes(t *testing.T) {
	log := memstore.New(nil)
	appendEvent(t, log, "item-1", "T", `{"a":1}`)
	appendEvent(t, log, "item-2", "T", `{"a":2}`)
	appendEvent(t, log, "item-1", "T", `{"b":[3]}`)
	versions, err := declare(t, `{}`).Versions("items", "") // the merge
	if err != nil {
		t.Fatal(err)
	}
	if err := catchUp(t, versions[0], open(t, "documents:", log), log); err != nil {
		t.Fatal(err)
	}
	docs, err := projection.NewDocuments(log)
	if err != nil {
		t.Fatal(err)
	}
	all := projection.NewCollection[map[string]any]("items")
	err = docs.View(t.Context(), func(tx *projection.Docs) error {
		one, err := all.Get(tx, "item-1")
		if fmt.Sprint(one) != "map[a:1 b:[3]]" {
			t.Errorf("item-1 is %v", one)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestADeclarationThatIsWrongIsAnErrorWithItsField(t *testing.T) {
	for text, want := range map[string]string{
		`{"table":"Stock"}`:                              "projections.x.table: ",
		`{"key":"a-b"}`:                                  "projections.x.key: ",
		`{"columns":{"n":"integer"}}`:                    "projections.x.columns: documents have no columns",
		`{"target":"sqlite:a"}`:                          "projections.x.columns: a table needs columns",
		`{"target":"sqlite:"}`:                           "projections.x.target: ",
		`{"target":"sqlite:a","columns":{"key":"text"}}`: "projections.x.columns: key is the column of the key",
		`{"target":"sqlite:a","columns":{"A":"text"}}`:   "projections.x.columns: ",
		`{"fold":".","fold_file":"a"}`:                   "projections.x.fold: give fold or fold_file, not both",
		`{"by":".["}`:                                    "projections.x.by: ",
		`{"partitions":-1}`:                              "projections.x.partitions: ",
		`{"versions":{"2":{}}}`:                          "projections.x.versions.2: ",
	} {
		_, err := declare(t, text).Versions("x", "")
		var wrong *declared.Error
		if !errors.As(err, &wrong) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
