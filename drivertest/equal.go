package drivertest

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/annals-db/annals/driver"
)

// equal fails the test if got is not want.
func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

// same fails the test if got is not field by field the same as want.
func same(t *testing.T, got, want []driver.Record) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if d := difference(got[i], want[i]); d != "" {
			t.Errorf("record %d of %d: %s", i+1, len(want), d)
			return
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %d records (%v), want %d (%v)", len(got), positions(got), len(want), positions(want))
	}
}

func positions(records []driver.Record) []driver.Position {
	out := make([]driver.Position, len(records))
	for i, r := range records {
		out[i] = r.Position
	}
	return out
}

// difference names the first field in which a is not b, "" if there is none.
// A nil and an empty slice are the same.
func difference(a, b driver.Record) string {
	fields := []struct {
		name string
		a, b any
	}{
		{"position", a.Position, b.Position},
		{"id", a.ID, b.ID},
		{"stream", a.Stream, b.Stream},
		{"version", a.Version, b.Version},
		{"type", a.Type, b.Type},
		{"encoding", a.Encoding, b.Encoding},
		{"data", string(a.Data), string(b.Data)},
		{"tags", fmt.Sprintf("%q", a.Tags), fmt.Sprintf("%q", b.Tags)},
		{"metadata", fmt.Sprintf("%q", a.Metadata), fmt.Sprintf("%q", b.Metadata)},
		{"time", instant(a.Time), instant(b.Time)},
		{"occurred", instant(a.Occurred), instant(b.Occurred)},
		{"batch", a.Batch, b.Batch},
		{"conditions", conditionText(a.Conditions), conditionText(b.Conditions)},
	}
	for _, f := range fields {
		if f.a != f.b {
			return fmt.Sprintf("%s is %q, want %q", f.name, fmt.Sprint(f.a), fmt.Sprint(f.b))
		}
	}
	return ""
}

// instant tells times apart by their nanosecond and their location.
func instant(t time.Time) string {
	if t.IsZero() {
		return "zero"
	}
	return fmt.Sprintf("%d %s", t.UnixNano(), t.Location())
}

// conditionText tells conditions apart by every field.
func conditionText(conditions []driver.Condition) string {
	s := ""
	for _, c := range conditions {
		s += fmt.Sprintf("[%d %q %d after %d", c.Kind, c.Stream, c.Version, c.After)
		for _, i := range c.Query.Items {
			s += fmt.Sprintf(" (%q %q %q %q %s)", i.Types, i.Tags, i.Streams, i.Category, i.IDs)
		}
		s += "]"
	}
	return s
}

// sameReceipt fails the test if got is not want, Repeated aside.
func sameReceipt(t *testing.T, got, want driver.Receipt) {
	t.Helper()
	if d := receiptDifference(got, want); d != "" {
		t.Errorf("receipt: %s", d)
	}
}

func receiptDifference(got, want driver.Receipt) string {
	switch {
	case got.First != want.First || got.Last != want.Last:
		return fmt.Sprintf("positions %d to %d, want %d to %d", got.First, got.Last, want.First, want.Last)
	case instant(got.Time) != instant(want.Time):
		return fmt.Sprintf("time %s, want %s", instant(got.Time), instant(want.Time))
	case fmt.Sprint(got.Versions) != fmt.Sprint(want.Versions):
		return fmt.Sprintf("versions %d, want %d", got.Versions, want.Versions)
	case got.Durability != want.Durability:
		return fmt.Sprintf("durability %q, want %q", got.Durability, want.Durability)
	}
	return ""
}
