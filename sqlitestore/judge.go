package sqlitestore

import (
	"fmt"
	"slices"

	"github.com/annals-db/annals/driver"
)

// known returns the first receipt of the batch that holds exactly these
// events, with Repeated set; the zero one if none of their IDs is known; and an
// *IDError for all between.
func (w *writer) known(events []driver.Event) (driver.Receipt, error) {
	var at []driver.Position // of each event; nil while none is known
	for i := range events {
		p, err := w.c.positionOfID(events[i].ID)
		if err != nil {
			return driver.Receipt{}, corruption(1, err)
		}
		if p == 0 {
			continue
		}
		r, err := w.c.at(p)
		if err != nil {
			return driver.Receipt{}, err
		}
		if r.ID != events[i].ID {
			return driver.Receipt{}, &driver.CorruptError{Position: p, Place: "annals_ids", Reason: "the index names it for an ID that it does not have"}
		}
		if !driver.SameContent(&r.Event, &events[i]) {
			return driver.Receipt{}, &driver.IDError{ID: r.ID, Position: p, Reason: "it holds other content"}
		}
		if at == nil {
			at = make([]driver.Position, len(events))
		}
		at[i] = p
	}
	if at == nil {
		return driver.Receipt{}, nil
	}
	return w.repeated(events, at)
}

// repeated returns the receipt of the batch that is at the positions at, 0
// where an event is not known.
func (w *writer) repeated(events []driver.Event, at []driver.Position) (driver.Receipt, error) {
	reason := "it was appended in another batch or order"
	if slices.Contains(at, 0) {
		reason = "only a part of the batch is known"
	} else {
		r, same, err := w.receiptOf(at)
		if err != nil || same {
			return r, err
		}
	}
	i := slices.IndexFunc(at, func(p driver.Position) bool { return p != 0 })
	return driver.Receipt{}, &driver.IDError{ID: events[i].ID, Position: at[i], Reason: reason}
}

// receiptOf returns the receipt that the batch at these positions was given,
// same false if they are not a batch in its order.
func (w *writer) receiptOf(at []driver.Position) (r driver.Receipt, same bool, err error) {
	first, last := at[0], at[0]+driver.Position(len(at))-1
	r = driver.Receipt{First: first, Last: last, Durability: durability, Repeated: true}
	for i, p := range at {
		if p != first+driver.Position(i) {
			return r, false, nil
		}
		rec, err := w.c.at(p)
		if err != nil || rec.Batch != first {
			return r, false, err
		}
		r.Time = rec.Time
		r.Versions = append(r.Versions, rec.Version)
	}
	if last < w.head {
		next, err := w.c.at(last + 1)
		return r, err == nil && next.Batch != first, err
	}
	return r, true, nil
}

// check returns the error of condition i, nil if it holds.
func (w *writer) check(i int, c *driver.Condition) error {
	conflict := &driver.ConflictError{Index: i, Head: w.head}
	if c.Kind == driver.NoneAfterKind {
		p, err := w.match(c)
		if err != nil || p == 0 {
			return err
		}
		conflict.Position = p
	} else {
		p, _, err := w.find(streamKind, c.Stream)
		if err != nil {
			return corruption(1, err)
		}
		switch version := p.count; {
		case c.Kind == driver.StreamAtKind && version == c.Version,
			c.Kind == driver.StreamAbsentKind && version == 0,
			c.Kind == driver.StreamPresentKind && version > 0:
			return nil
		default:
			conflict.Version = version
		}
	}
	conflict.Condition = clone(c)
	return conflict
}

// match returns the position of a record beyond c.After that matches, 0 if
// there is none.
func (w *writer) match(c *driver.Condition) (driver.Position, error) {
	switch {
	case c.After > w.head:
		return 0, &driver.PositionError{What: fmt.Sprintf("position %d", c.After), Head: w.head}
	case c.After == w.head:
		return 0, nil
	case c.Query.All():
		return c.After + 1, nil
	}
	s, err := w.c.choose(c.Query, driver.ReadOptions{After: c.After, UpTo: w.head}, w.find)
	if err != nil {
		return 0, corruption(c.After+1, err)
	}
	p, _, err := s.next(w.c)
	return p, corruption(c.After+1, err)
}

// clone copies c, whose memory is the caller's again soon.
func clone(c *driver.Condition) driver.Condition {
	out := *c
	out.Query.Items = slices.Clone(c.Query.Items)
	for i := range out.Query.Items {
		item := &out.Query.Items[i]
		item.Types = slices.Clone(item.Types)
		item.Tags = slices.Clone(item.Tags)
		item.Streams = slices.Clone(item.Streams)
		item.IDs = slices.Clone(item.IDs)
	}
	return out
}
