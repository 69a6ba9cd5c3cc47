package merkle

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
)

func plain() driver.Record {
	return driver.Record{
		Event: driver.Event{
			ID: uuid.MustParse("018f4e3a-7b1c-7def-8123-456789abcdef"), Stream: "item-laptop", Type: "ItemCreated",
			Data: []byte(`{"Name":"Laptop","Quantity":10}`), Occurred: time.Unix(1_700_000_000, 5).UTC(),
		},
		Position: 1, Version: 1, Time: time.Unix(1_700_000_001, 7).UTC(), Batch: 1,
	}
}

func full() driver.Record {
	r := plain()
	r.Position, r.Version, r.Encoding = 12, 3, "cbor+zstd"
	r.Tags = []string{"item:laptop", "region:eu"}
	r.Metadata = driver.Metadata{{Key: "actor", Value: "ann"}, {Key: "reason", Value: "stock-taking"}}
	r.Batch = 12
	r.Conditions = []driver.Condition{
		driver.StreamAt("item-laptop", 2),
		driver.NoneAfter(driver.Query{Items: []driver.Item{{
			Types: []string{"A", "B"}, Tags: []string{"item:laptop"}, Streams: []string{"s-1"}, Category: "item", IDs: []driver.ID{r.ID},
		}}}, 9),
	}
	return r
}

func TestLeafStaysWhatItWas(t *testing.T) {
	p, f := plain(), full()
	for _, c := range []struct {
		name   string
		record *driver.Record
		want   string
	}{
		{"plain", &p, "5ac7b9a7fd8ae0f5e3333d1a15f721d2c1302f59258d6bc31a05704d930b52af"},
		{"full", &f, "d399aeae228ad1e56e19096b7bf588f2232705ed340855b777ff37e8735de89d"},
	} {
		var h Hasher
		if got := h.Leaf(c.record); hex.EncodeToString(got[:]) != c.want {
			t.Errorf("leaf of the %s record is %x, not %s", c.name, got, c.want)
		}
	}
}

// The bytes of the plain record, put together by hand from the table.
func TestLeafBytesFollowTheTable(t *testing.T) {
	r := plain()
	want := strings.Join([]string{
		"01", "0000000000000001", "0000000b" + hex.EncodeToString([]byte("item-laptop")), "0000000000000001",
		"0000000b" + hex.EncodeToString([]byte("ItemCreated")), "00000000", "018f4e3a7b1c7def8123456789abcdef",
		"17979cfe71c4ca07", "17979cfe362a0005", "00000000", "00000000", "0000000000000001", "00000000",
	}, "")
	if got := hex.EncodeToString(appendRecord(nil, &r)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestLeafChangesWithEveryField(t *testing.T) {
	changes := map[string]func(r *driver.Record){
		"nothing":           func(*driver.Record) {},
		"position":          func(r *driver.Record) { r.Position++ },
		"stream":            func(r *driver.Record) { r.Stream += "2" },
		"version":           func(r *driver.Record) { r.Version++ },
		"type":              func(r *driver.Record) { r.Type += "2" },
		"stream and type":   func(r *driver.Record) { r.Stream, r.Type = "item-laptopItem", "Created" },
		"encoding":          func(r *driver.Record) { r.Encoding = "cbor" },
		"data":              func(r *driver.Record) { r.Data = []byte("{}") },
		"id":                func(r *driver.Record) { r.ID[15]++ },
		"time":              func(r *driver.Record) { r.Time = r.Time.Add(1) },
		"occurred":          func(r *driver.Record) { r.Occurred = r.Occurred.Add(1) },
		"no occurred":       func(r *driver.Record) { r.Occurred = time.Time{} },
		"tags":              func(r *driver.Record) { r.Tags = []string{"item:laptop"} },
		"order of tags":     func(r *driver.Record) { r.Tags = []string{"region:eu", "item:laptop"} },
		"metadata":          func(r *driver.Record) { r.Metadata = r.Metadata[:1] },
		"metadata value":    func(r *driver.Record) { r.Metadata = driver.Metadata{r.Metadata[0], {Key: "reason", Value: ""}} },
		"batch":             func(r *driver.Record) { r.Batch-- },
		"conditions":        func(r *driver.Record) { r.Conditions = r.Conditions[:1] },
		"condition kind":    func(r *driver.Record) { r.Conditions[0].Kind = driver.StreamPresentKind },
		"condition stream":  func(r *driver.Record) { r.Conditions[0].Stream = "item-phone" },
		"condition version": func(r *driver.Record) { r.Conditions[0].Version++ },
		"condition after":   func(r *driver.Record) { r.Conditions[1].After++ },
		"item types":        func(r *driver.Record) { r.Conditions[1].Query.Items[0].Types = nil },
		"item tags":         func(r *driver.Record) { r.Conditions[1].Query.Items[0].Tags = nil },
		"item streams":      func(r *driver.Record) { r.Conditions[1].Query.Items[0].Streams = nil },
		"tags for streams": func(r *driver.Record) {
			i := &r.Conditions[1].Query.Items[0]
			i.Tags, i.Streams = i.Streams, i.Tags
		},
		"item category": func(r *driver.Record) { r.Conditions[1].Query.Items[0].Category = "" },
		"item ids":      func(r *driver.Record) { r.Conditions[1].Query.Items[0].IDs = nil },
	}
	var h Hasher
	seen := map[Hash]string{}
	for name, change := range changes {
		r := full()
		change(&r)
		leaf := h.Leaf(&r)
		if other, ok := seen[leaf]; ok {
			t.Errorf("changing %s gives the leaf of changing %s", name, other)
		}
		seen[leaf] = name
	}
}

func TestLeafTakesTheTimeWhereNoOccurredIsGiven(t *testing.T) {
	var h Hasher
	r := plain()
	r.Occurred = time.Time{}
	without := h.Leaf(&r)
	r.Occurred = r.Time.In(time.FixedZone("elsewhere", 3600))
	if h.Leaf(&r) != without {
		t.Error("an occurred equal to the time, in another zone, gives another leaf")
	}
}

func TestLeafAllocatesNothing(t *testing.T) {
	var h Hasher
	r := full()
	h.Leaf(&r)
	if n := testing.AllocsPerRun(100, func() { h.Leaf(&r) }); n != 0 {
		t.Errorf("%v allocations per leaf", n)
	}
}

func BenchmarkLeaf(b *testing.B) {
	var h Hasher
	r := full()
	r.Data = make([]byte, 250)
	for b.Loop() {
		h.Leaf(&r)
	}
}
