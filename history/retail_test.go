package history_test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/internal/retail"
	"github.com/annals-db/annals/memstore"
)

// TestProduct asks of a product's sales what first, first --all and bisect promise.
func TestProduct(t *testing.T) {
	f, err := os.Open(filepath.Join(sharedData, "online-retail", "online-retail.csv.gz"))
	if err != nil {
		t.Skipf("Online Retail is not here (%v); its generated twin is TestProductTwin", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	h, sums := product(t, z, "22197")
	if got := sums[len(sums)-1]; got != 56_450 {
		t.Errorf("net sold is %d, want 56450", got)
	}
	sold := func(n int) history.Predicate { return history.Holds(fmt.Sprintf(".sold > %d", n)) }
	first, err := h.First(t.Context(), sold(10_000))
	if err != nil || first.Record.Version != 377 {
		t.Errorf("first over 10,000 at version %d, %v, want 377", first.Record.Version, err)
	}
	if got := flipsOf(t, h, sold(50_250)); !slices.Equal(got, []string{"1403 up", "1405 down", "1407 up"}) {
		t.Errorf("flips over 50,250: %v", got)
	}
	ask(t, h, sums, 50_250)
	ask(t, h, sums, 10_000)
}

func TestProductTwin(t *testing.T) {
	var b bytes.Buffer
	if _, err := retail.Write(&b, 4_000, 5); err != nil {
		t.Fatal(err)
	}
	h, sums := product(t, &b, "22197")
	high := slices.Max(sums)
	for _, n := range []int{0, high / 3, high - 1, high, -1} {
		ask(t, h, sums, n)
	}
}

// product returns the history of a product's sales, and net sold after each version.
func product(t *testing.T, rows io.Reader, code string) (*history.History, []int) {
	t.Helper()
	r := csv.NewReader(rows)
	header, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	of, quantity, invoice := slices.Index(header, "StockCode"), slices.Index(header, "Quantity"), slices.Index(header, "InvoiceNo")
	log := memstore.New(nil)
	t.Cleanup(func() { log.Close() })
	var b driver.Batch
	sums := []int{0}
	for {
		row, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if row[of] != code {
			continue
		}
		n, err := strconv.Atoi(row[quantity])
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, sums[len(sums)-1]+n)
		b.Events = append(b.Events, driver.Event{ID: annals.NewID(), Stream: "product-" + code, Type: "StockMoved",
			Data: fmt.Appendf(nil, `{"quantity":%d,"invoice":%q}`, n, row[invoice])})
	}
	if _, err := log.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return history.Of(log, "product-"+code, jq(t, ".sold += $event.data.quantity | .last = $event.data.invoice")), sums
}

func flipsOf(t *testing.T, h *history.History, p history.Predicate) (list []string) {
	t.Helper()
	for f, err := range h.Flips(t.Context(), p) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%d %s", f.Record.Version, map[bool]string{true: "up", false: "down"}[f.Holds]))
	}
	return list
}

// ask compares every tool's answer about sold > n with the sums.
func ask(t *testing.T, h *history.History, sums []int, n int) {
	t.Helper()
	p := history.Holds(fmt.Sprintf(".sold > %d", n))
	var want []string
	held := false
	for v := 1; v < len(sums); v++ {
		if holds := sums[v] > n; holds != held {
			held = holds
			want = append(want, fmt.Sprintf("%d %s", v, map[bool]string{true: "up", false: "down"}[holds]))
		}
	}
	if got := flipsOf(t, h, p); !slices.Equal(got, want) {
		t.Errorf("over %d: flips %v, want %v", n, got, want)
	}
	first, err := h.First(t.Context(), p)
	if len(want) == 0 && !errors.Is(err, annals.ErrNotFound) || len(want) > 0 && fmt.Sprintf("%d up", first.Record.Version) != want[0] {
		t.Errorf("over %d: first %d, %v, want %v", n, first.Record.Version, err, want)
	}
	b, err := h.Bisect(t.Context(), p, history.Version(0), history.Point{})
	if found := fmt.Sprintf("%d up", b.Record.Version); held && (err != nil || !slices.Contains(want, found)) || !held && !errors.Is(err, annals.ErrNotFound) {
		t.Errorf("over %d: bisect %s, %v, want one of %v", n, found, err, want)
	}
	origins, err := h.Blame(t.Context(), history.Point{}, history.Path{"sold"})
	last := len(sums) - 1
	for last > 1 && sums[last] == sums[last-1] {
		last--
	}
	if err != nil || len(origins) != 1 || int(origins[0].Record.Version) != last {
		t.Errorf("blame %+v, %v, want version %d", origins, err, last)
	}
}
