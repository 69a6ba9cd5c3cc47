package memstore

import (
	"slices"
	"time"

	"github.com/annals-db/annals/driver"
)

// cloneEvent copies e, so that the caller owns its memory again. (Strings need
// no copy: Go's cannot change.)
func cloneEvent(e *driver.Event) driver.Event {
	c := *e
	c.Data = slices.Clone(e.Data)
	c.Tags = slices.Clone(e.Tags)
	c.Metadata = slices.Clone(e.Metadata)
	c.Occurred = utc(e.Occurred)
	return c
}

func cloneConditions(conditions []driver.Condition) []driver.Condition {
	if len(conditions) == 0 {
		return nil
	}
	out := make([]driver.Condition, len(conditions))
	for i, c := range conditions {
		out[i] = cloneCondition(c)
	}
	return out
}

func cloneCondition(c driver.Condition) driver.Condition {
	c.Query.Items = slices.Clone(c.Query.Items)
	for i := range c.Query.Items {
		item := &c.Query.Items[i]
		item.Types = slices.Clone(item.Types)
		item.Tags = slices.Clone(item.Tags)
		item.Streams = slices.Clone(item.Streams)
		item.IDs = slices.Clone(item.IDs)
	}
	return c
}

// utc returns t as UTC without a monotonic reading; the zero time stays zero.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.Unix(0, t.UnixNano()).UTC()
}
