// Package retail makes up the history of a small shop, in the form of the UCI
// Online Retail data: one row for each line of an invoice, some of them
// cancelled, some rows twice, some without a customer. The demo imports it, and
// tests check what comes out against [Totals], which is summed up beside it.
package retail

import (
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"time"
)

// Columns is the header.
var Columns = []string{"InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"}

// Begin and Middle are the first day of the history and the day as of which
// [Totals] sums up besides.
var (
	Begin  = time.Date(2010, 12, 1, 8, 26, 0, 0, time.UTC)
	Middle = time.Date(2011, 6, 30, 0, 0, 0, 0, time.UTC)
	end    = time.Date(2011, 12, 9, 12, 50, 0, 0, time.UTC)
)

// Totals is what a history comes to.
type Totals struct {
	Rows    int
	Sold    map[string]int // net quantity by stock code
	SoldMid map[string]int // the same at the end of [Middle]
	Sum     int            // net quantity of everything
	SumMid  int
}

type product struct{ code, name, price string }

var products = []product{
	{"22197", "POPCORN HOLDER", "0.85"},
	{"84077", "WORLD WAR 2 GLIDERS ASSTD DESIGNS", "0.29"},
	{"85099B", "JUMBO BAG RED RETROSPOT", "2.08"},
	{"85123A", "WHITE HANGING HEART T-LIGHT HOLDER", "2.55"},
	{"21212", "PACK OF 72 RETROSPOT CAKE CASES", "0.55"},
	{"22423", `REGENCY CAKESTAND "3 TIER"`, "12.75"},
	{"POST", "POSTAGE", "18.00"},
	{"23084", "RABBIT NIGHT LIGHT, WITH BATTERIES", "2.08"},
}

var countries = []string{"United Kingdom", "France", "EIRE", "Germany"}

// Write writes a history of that many rows as CSV, the same for the same seed.
func Write(w io.Writer, rows int, seed uint64) (Totals, error) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	t := Totals{Sold: map[string]int{}, SoldMid: map[string]int{}}
	out := csv.NewWriter(w)
	if err := out.Write(Columns); err != nil {
		return t, err
	}
	middle := Middle.AddDate(0, 0, 1)
	step := end.Sub(Begin) / time.Duration(max(rows, 1))
	for t.Rows < rows {
		at := Begin.Add(step * time.Duration(t.Rows)).Truncate(time.Minute)
		for _, line := range invoice(rnd, 536365+t.Rows, at) {
			if t.Rows == rows {
				break
			}
			if err := out.Write(line); err != nil {
				return t, err
			}
			q, err := strconv.Atoi(line[3])
			if err != nil {
				return t, err
			}
			t.Rows++
			t.Sum += q
			t.Sold[line[1]] += q
			if at.Before(middle) {
				t.SumMid += q
				t.SoldMid[line[1]] += q
			}
		}
	}
	out.Flush()
	return t, out.Error()
}

// invoice returns the lines of one invoice.
func invoice(rnd *rand.Rand, number int, at time.Time) [][]string {
	no, sign := strconv.Itoa(number), 1
	if rnd.IntN(12) == 0 {
		no, sign = "C"+no, -1
	}
	customer := fmt.Sprintf("%d.0", 12346+rnd.IntN(500))
	if rnd.IntN(4) == 0 {
		customer = ""
	}
	country := countries[min(rnd.IntN(8), 3)]
	var lines [][]string
	for range 1 + rnd.IntN(6) {
		p := products[rnd.IntN(len(products))]
		quantity := strconv.Itoa(sign * (1 + rnd.IntN(24)))
		line := []string{no, p.code, p.name, quantity, at.Format(time.DateTime), p.price, customer, country}
		lines = append(lines, line)
		if rnd.IntN(50) == 0 {
			lines = append(lines, line) // a row of equal content is a different row
		}
	}
	return lines
}
