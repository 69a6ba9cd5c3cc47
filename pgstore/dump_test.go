package pgstore_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/pgstore"
)

func TestDumpAndRestoreKeepEverything(t *testing.T) {
	for _, format := range []string{"custom", "plain"} {
		t.Run(format, func(t *testing.T) {
			ctx, from, to := newContext(t), newURL(t), newURL(t)
			s := openStore(t, from, &pgstore.Options{Schema: "büro"})
			for i := range 20 {
				e := event("", "C", "k:w")
				e.Data, e.Encoding = []byte{0, 255, byte(i), '\\', '\n'}, "cbor"
				e.Metadata = driver.NewMetadata(map[string]string{"actor": "ann\n\\", "ключ": "значение"})
				mustAppend(t, s, driver.Batch{Events: []driver.Event{event("a-1", "A", "k:v"), e}, Conditions: []driver.Condition{driver.StreamAt("a-1", uint64(i))}})
			}
			if _, err := s.State().Save(ctx, "checkpoint", []byte{1, 0, 2}, 0); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "dump")
			tool(t, "pg_dump", "--format", format, "--schema", `"büro"`, "--file", file, "--dbname", from)
			if format == "custom" {
				tool(t, "pg_restore", "--exit-on-error", "--dbname", to, file)
			} else {
				tool(t, "psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--output", "/dev/null", "--file", file, "--dbname", to)
			}
			r := openStore(t, to, &pgstore.Options{Schema: "büro", MustExist: true})
			sameLog(t, s, r)
			before, _ := s.Info(ctx)
			after, err := r.Info(ctx)
			if err != nil || before != after {
				t.Errorf("Info is %+v, was %+v (%v)", after, before, err)
			}
			if v, rev, err := r.State().Load(ctx, "checkpoint"); string(v) != "\x01\x00\x02" || err != nil {
				t.Errorf("the state has %q at %d and %v", v, rev, err)
			} else if again, err := r.State().Save(ctx, "checkpoint", v, rev); err != nil || again == rev {
				t.Errorf("Save returned revision %d and %v", again, err)
			}
			for err := range r.Verify(ctx, nil) {
				t.Error(err)
			}
			if got := mustAppend(t, r, driver.Batch{Events: []driver.Event{event("a-1", "A")}, Conditions: []driver.Condition{driver.StreamAt("a-1", 20)}}); got.First != 41 {
				t.Errorf("the log goes on at %d", got.First)
			}
		})
	}
}

// tool runs a program of PostgreSQL's.
func tool(t testing.TB, name string, args ...string) {
	t.Helper()
	path, err := pgserver.Bin(name)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}
