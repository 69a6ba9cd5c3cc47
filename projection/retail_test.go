package projection_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/internal/retail"
	"github.com/annals-db/annals/projection"
)

const retailData = "../../shared/data/online-retail/online-retail.csv.gz"

// sales appends each row of a shop's history as an event of its product, and
// returns what the rows come to.
func sales(t testing.TB, db *annals.DB, in io.Reader, rows int) (sold map[string]int, sum int) {
	t.Helper()
	r := csv.NewReader(in)
	_, err := r.Read()
	must(t, err)
	sold = map[string]int{}
	var batch driver.Batch
	flush := func() {
		if len(batch.Events) > 0 {
			_, err := db.Log().Append(t.Context(), batch)
			must(t, err)
			batch.Events = nil
		}
	}
	for n := 0; rows == 0 || n < rows; n++ {
		row, err := r.Read()
		if err == io.EOF {
			break
		}
		must(t, err)
		quantity, err := strconv.Atoi(row[3])
		must(t, err)
		data, err := json.Marshal(Moved{row[1], -quantity}) // what is sold leaves the stock
		must(t, err)
		batch.Events = append(batch.Events, driver.Event{ID: annals.NewID(), Stream: "product-" + row[1], Type: "Moved", Data: data})
		sold[row[1]] += quantity
		if sum += quantity; len(batch.Events) == 1000 {
			flush()
		}
	}
	flush()
	return sold, sum
}

// A shop's stock levels are rebuilt beside the live ones: a wrong version
// forgets that a cancelled sale brings its goods back.
func TestRebuildOfAShopsStock(t *testing.T) {
	t.Run("made up", func(t *testing.T) {
		var b bytes.Buffer
		totals, err := retail.Write(&b, 1000, 1)
		must(t, err)
		sold, sum := rebuildStock(t, &b, 0)
		equal(t, "everything sold", sum, totals.Sum)
		equal(t, "what was sold", sold, totals.Sold)
	})
	t.Run("Online Retail", func(t *testing.T) {
		f, err := os.Open(retailData)
		if errors.Is(err, fs.ErrNotExist) {
			t.Skip("the data is not there: ", retailData)
		}
		must(t, err)
		defer f.Close()
		z, err := gzip.NewReader(f)
		must(t, err)
		rows := 2500
		if os.Getenv("ANNALS_RETAIL") == "all" {
			rows = 0
		}
		sold, sum := rebuildStock(t, z, rows)
		if rows == 0 {
			equal(t, "everything sold", sum, 5_176_450)
			equal(t, "85099B sold", sold["85099B"], 47_363)
		}
	})
}

// forgetful does not see goods come back.
func forgetful() *projection.Projection[*sql.Tx] {
	return projection.New("stock",
		projection.On(func(ctx context.Context, tx *sql.Tx, e Moved, _ projection.Envelope) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO `+projection.At(ctx, "stock")+` AS s (sku, quantity, moves) VALUES (?, ?, 1)
				ON CONFLICT (sku) DO UPDATE SET quantity = s.quantity + excluded.quantity, moves = s.moves + 1`, e.SKU, min(e.Quantity, 0))
			return err
		}),
	).Table("stock", stockColumns).Version("v2")
}

func rebuildStock(t *testing.T, in io.Reader, n int) (map[string]int, int) {
	log, err := filestore.Open(t.TempDir()+"/shop", nil)
	must(t, err)
	t.Cleanup(func() { log.Close() })
	db := annals.New(log, nil)
	sold, sum := sales(t, db, in, n)
	read, target := targets[0].open(t)
	control := projection.NewControl(log, target)
	head, err := log.Info(t.Context())
	must(t, err)
	ctx := patient(t)
	timed := func(what string, r running) {
		began := time.Now()
		must(t, r.Wait(ctx, head.Head))
		t.Logf("%s: %d events in %v", what, head.Head, time.Since(began).Round(time.Millisecond))
	}

	timed("v1, live", start(t, stock("v1", 1, nil), db, target, quick))
	timed("v2, beside it", start(t, forgetful(), db, target, quick))
	status(t, control)
	diffs, err := control.Compare(ctx, "stock", "v2", 5)
	must(t, err)
	t.Logf("compare v2: %d rows live, %d in v2, %d differ:", diffs[0].LiveRows, diffs[0].NextRows, diffs[0].Differing)
	for _, d := range diffs[0].Differences {
		t.Logf("  %-8s live %v, v2 %v", d.Key, d.Live["quantity"], d.Next["quantity"])
	}
	equal(t, "rows that differ", diffs[0].Differing, cancelled(t, db))
	must(t, control.Drop(ctx, "stock", "v2"))

	timed("v3, beside it", start(t, stock("v3", 1, nil), db, target, quick))
	diffs, err = control.Compare(ctx, "stock", "v3", 5)
	must(t, err)
	equal(t, "rows that differ in v3", diffs[0].Differing, 0)
	must(t, control.Switch(ctx, "stock", "v3"))
	status(t, control)
	want := map[string]string{}
	for sku, n := range sold {
		want[sku] = strconv.Itoa(-n)
	}
	equal(t, "the stock", rows(t, read, "SELECT sku, quantity FROM stock"), want)
	return sold, sum
}

func status(t *testing.T, control *projection.Control) {
	all, err := control.List(t.Context())
	must(t, err)
	for _, s := range all {
		t.Logf("%s %s: %s, at %d of %d", s.Projection, s.Version, s.State, s.Position, s.Head)
	}
}

// cancelled counts the products of which something came back.
func cancelled(t *testing.T, db *annals.DB) int {
	back := map[string]bool{}
	for r, err := range db.View(t.Context()).Read(annals.Query{}) {
		must(t, err)
		if r.Type != "Moved" {
			continue
		}
		events, err := db.Decode(r)
		must(t, err)
		if e := events[0].(Moved); e.Quantity > 0 {
			back[e.SKU] = true
		}
	}
	return len(back)
}
