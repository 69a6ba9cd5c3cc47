package drivertest

import (
	"fmt"

	"github.com/annals-db/annals/driver"
)

var versionTests = []test{
	{"the version of a stream is that of its last record, 0 where there is none", func(e *env) {
		v := capability[driver.Versioner](e)
		is := func(stream string, want uint64) {
			e.Helper()
			if got, err := v.StreamVersion(e.ctx, stream); err != nil || got != want {
				e.Errorf("StreamVersion(%q) returned %d and %v, want %d", stream, got, err, want)
			}
		}
		is("item-1", 0)
		for i := range 200 { // beyond one segment of a small one
			e.append(e.events(fmt.Sprintf("item-%d", i%7), 1+i%3)...)
		}
		want := map[string]uint64{}
		for _, r := range e.all() {
			want[r.Stream] = r.Version
		}
		for stream, version := range want {
			is(stream, version)
		}
		is("item-7", 0)
		is("item", 0)
	}},
	{"the version is never older than a receipt", func(e *env) {
		v := capability[driver.Versioner](e)
		for i := range 50 {
			r := e.append(e.events("item-1", 2)...)
			if got, err := v.StreamVersion(e.ctx, "item-1"); err != nil || got != r.Versions[1] {
				e.Fatalf("after append %d StreamVersion returned %d and %v, the receipt said %d", i, got, err, r.Versions[1])
			}
		}
	}},
}
