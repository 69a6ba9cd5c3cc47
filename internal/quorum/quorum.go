// Package quorum is how a store has what it appends ordered by a cluster before
// it takes it. Package replica gives an [Order] to the file store of its node.
package quorum

import (
	"errors"
	"sync/atomic"

	"github.com/annals-db/annals/driver"
)

// ErrNotLeading is returned by an append to a store whose node does not, or no
// longer, decide what comes next. Where the append was under way it may yet be
// in the log; whoever decides next knows.
var ErrNotLeading = errors.New("this node does not sequence the log")

// Order is what stands between the judging of a group and its being taken.
type Order struct {
	// Publish hands over the records of a group, whole batches that begin at the
	// position behind the last, and returns without waiting. wait returns nil
	// once they are in the log for good. After any error the store no longer leads.
	Publish func(records []driver.Record) (wait func() error)
	// GroupBytes is about how much goes into a group of several batches.
	// Defaults to the store's own measure.
	GroupBytes int
	// Leading says whether the store judges appends; else it takes only imports.
	// The store sets it to false when an order has failed.
	Leading atomic.Bool
	// Failed, if not nil, is called then.
	Failed func()
}

// Fail notes that an order has failed.
func (o *Order) Fail() {
	o.Leading.Store(false)
	if o.Failed != nil {
		o.Failed()
	}
}
