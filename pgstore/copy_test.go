package pgstore_test

import (
	"reflect"
	"testing"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
)

// copyOf returns the same log in memory.
func copyOf(t testing.TB, log driver.Log) *memstore.Store {
	t.Helper()
	m := memstore.New(nil)
	records := readAll(t, log)
	for len(records) > 0 {
		b := driver.Batch{Time: records[0].Time, Conditions: records[0].Conditions}
		n := 0
		for n < len(records) && records[n].Batch == records[0].Batch {
			b.Events = append(b.Events, records[n].Event)
			n++
		}
		mustAppend(t, m, b)
		records = records[n:]
	}
	return m
}

// sameLog checks that two logs have the same records and the same tree head.
func sameLog(t testing.TB, a, b driver.Log) {
	t.Helper()
	x, y := readAll(t, a), readAll(t, b)
	if len(x) != len(y) {
		t.Fatalf("%d records and %d", len(x), len(y))
	}
	for i := range x {
		if !reflect.DeepEqual(x[i], y[i]) {
			t.Fatalf("position %d is %+v in one and %+v in the other", i+1, x[i], y[i])
		}
	}
	p := driver.Position(len(x))
	g, err := a.(driver.Hasher).TreeHead(newContext(t), p)
	if err != nil {
		t.Fatal(err)
	}
	h, err := b.(driver.Hasher).TreeHead(newContext(t), p)
	if err != nil {
		t.Fatal(err)
	}
	if g != h {
		t.Errorf("tree heads %x and %x", g, h)
	}
}
