package retail_test

import (
	"bytes"
	"encoding/csv"
	"strconv"
	"testing"

	"github.com/annals-db/annals/internal/retail"
)

func TestWrite(t *testing.T) {
	var one, two bytes.Buffer
	totals, err := retail.Write(&one, 5000, 7)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := retail.Write(&two, 5000, 7); err != nil || !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Errorf("the same seed gives other rows, %v", err)
	}
	lines, err := csv.NewReader(&one).ReadAll()
	if err != nil || len(lines) != 5001 || totals.Rows != 5000 {
		t.Fatalf("got %d lines, %v", len(lines), err)
	}
	sum, mid, twice, last := 0, 0, 0, ""
	for i, l := range lines[1:] {
		q, _ := strconv.Atoi(l[3])
		sum += q
		if l[4] < "2011-07-01" {
			mid += q
		}
		if l[4] < last {
			t.Errorf("row %d is out of order", i+1)
		}
		last = l[4]
		if i > 0 && l[1] == lines[i][1] && l[0] == lines[i][0] && l[3] == lines[i][3] {
			twice++
		}
	}
	if sum != totals.Sum || mid != totals.SumMid || twice == 0 || mid == sum {
		t.Errorf("summed up to %d and %d (%d twice), said %d and %d", sum, mid, twice, totals.Sum, totals.SumMid)
	}
}
