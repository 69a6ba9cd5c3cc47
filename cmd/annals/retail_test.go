package main

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/annals-db/annals/internal/retail"
)

const retailData = "../../../shared/data/online-retail/online-retail.csv.gz"

// TestRetail does the main job on real input: all of Online Retail, one stream
// per stock code, its state now and in the past, a second import, a flipped bit.
func TestRetail(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	if _, err := os.Stat(retailData); err != nil {
		t.Skipf("the Online Retail data is not here (%v); its generated twin is TestRetailTwin", err)
	}
	mainJob(t, retailData, wanted{541_909, 56_450, 20_797, 5_176_450, 2_292_167})
}

func TestRetailTwin(t *testing.T) {
	var b bytes.Buffer
	sum, err := retail.Write(&b, 10_000, 11)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "retail.csv")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	mainJob(t, name, wanted{sum.Rows, sum.Sold["22197"], sum.SoldMid["22197"], sum.Sum, sum.SumMid})
}

type wanted struct{ events, sold, soldMid, sum, sumMid int }

func mainJob(t *testing.T, csv string, want wanted) {
	store := filepath.Join(t.TempDir(), "retail.db")
	load := []string{"import", "csv", csv, "--stream", "product-{{.StockCode}}", "--type", "StockMoved", "--time", "{{.InvoiceDate}}",
		"--data", `{"invoice":{{json .InvoiceNo}},"quantity":{{int .Quantity}},"price":{{number .UnitPrice}},"customer":{{json .CustomerID}}}`}
	for i, added := range []int{want.events, 0} {
		out, _ := annals(t, exitDone, store, load...)
		var got struct {
			Rows, Added, Known, Rejected int
			PerSecond                    int `json:"per_second"`
			Seconds                      float64
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil || got.Rows != want.events || got.Added != added || got.Known != want.events-added || got.Rejected != 0 {
			t.Fatalf("import %d: got %s, %v", i+1, out, err)
		}
		t.Logf("import %d: %d rows, %d added, %.2f s, %d rows/s", i+1, got.Rows, got.Added, got.Seconds, got.PerSecond)
	}
	fold := []string{"--fold", ".sold += $event.data.quantity"}
	for _, c := range []struct {
		of   []string
		want int
	}{
		{[]string{"product-22197"}, want.sold},
		{[]string{"product-22197", "--as-of", "2011-06-30"}, want.soldMid},
		{[]string{"--category", "product"}, want.sum},
		{[]string{"--category", "product", "--as-of", "2011-06-30"}, want.sumMid},
	} {
		begin := time.Now()
		out, _ := annals(t, exitDone, store, append(append([]string{"state"}, c.of...), fold...)...)
		var got struct{ Sold int }
		if err := json.Unmarshal([]byte(out), &got); err != nil || got.Sold != c.want {
			t.Errorf("state %s: got %s, %v, want %d", strings.Join(c.of, " "), out, err, c.want)
		}
		t.Logf("state %s: %d in %s", strings.Join(c.of, " "), got.Sold, time.Since(begin).Round(time.Millisecond))
	}
	out, _ := annals(t, exitDone, store, "verify")
	if !strings.Contains(out, `"ok":true`) {
		t.Errorf("verify: got %s", out)
	}
	flipped(t, store)
}

// flipped flips a bit of a segment and lets verify find it.
func flipped(t *testing.T, store string) {
	files, err := filepath.Glob(filepath.Join(store, "log", "*.seg"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no segments: %v", err)
	}
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 0))
	name := files[rnd.IntN(len(files))]
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(data, "\x00"))
	at := rnd.IntN(used)
	data[at] ^= 1 << rnd.IntN(8)
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	_, errOut := annals(t, exitVerify, store, "verify")
	t.Logf("seed %d, a bit of byte %d of %s: %s", seed, at, filepath.Base(name), strings.TrimSpace(errOut))
	if !regexp.MustCompile(`position \d+`).MatchString(errOut) {
		t.Errorf("no position in %s", errOut)
	}
}

// annals runs one command on a store and checks its exit code.
func annals(t *testing.T, code int, store string, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	if got := run(append(args, "--store", "file:"+store, "-o", "jsonl"), strings.NewReader(""), &out, &errOut); got != code {
		t.Fatalf("annals %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out.String(), errOut.String())
	}
	return out.String(), errOut.String()
}
