package fold

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/annals-db/annals/driver"
)

// AsOccurred yields those of records that had occurred by t, in the order in
// which they occurred, and of those at one time in order of position. A record
// that does not say when it occurred did so when the log took it. All of them
// are held in memory.
func AsOccurred(records iter.Seq2[driver.Record, error], t time.Time) iter.Seq2[driver.Record, error] {
	return func(yield func(driver.Record, error) bool) {
		var list []driver.Record
		for rec, err := range records {
			if err != nil {
				yield(rec, err)
				return
			}
			if !occurred(&rec).After(t) {
				list = append(list, rec)
			}
		}
		slices.SortStableFunc(list, func(a, b driver.Record) int {
			return cmp.Or(occurred(&a).Compare(occurred(&b)), cmp.Compare(a.Position, b.Position))
		})
		for _, rec := range list {
			if !yield(rec, nil) {
				return
			}
		}
	}
}

func occurred(r *driver.Record) time.Time {
	if r.Occurred.IsZero() {
		return r.Time
	}
	return r.Occurred
}
