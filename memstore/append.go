package memstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/annals-db/annals/driver"
)

const durability = "memory"

// Append appends b whole or not at all.
func (s *Store) Append(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return driver.Receipt{}, err
	}
	if err := driver.Validate(&b, s.limits); err != nil {
		return driver.Receipt{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return driver.Receipt{}, driver.ErrClosed
	}
	if first, err := s.known(b.Events); first != 0 || err != nil {
		return s.repeat(first, len(b.Events)), err
	}
	for i, c := range b.Conditions {
		if err := s.check(i, c); err != nil {
			return driver.Receipt{}, err
		}
	}
	at, err := s.timeOf(b.Time)
	if err != nil {
		return driver.Receipt{}, err
	}
	return s.add(b, at), nil
}

// known returns the first position of the batch that holds exactly these
// events, 0 if none of their IDs is known, and an *IDError for all between.
func (s *Store) known(events []driver.Event) (driver.Position, error) {
	var first driver.Position // of the record that has the first event's ID
	unknown := 0
	for i := range events {
		p, ok := s.index.ids[events[i].ID]
		if !ok {
			unknown++
			continue
		}
		if !driver.SameContent(&s.records[p-1].Event, &events[i]) {
			return 0, &driver.IDError{ID: events[i].ID, Position: p, Reason: "it holds other content"}
		}
		if i == 0 {
			first = p
		}
	}
	if unknown == len(events) {
		return 0, nil
	}
	if unknown == 0 && slices.EqualFunc(s.batch(first), events, sameID) {
		return first, nil
	}
	for i := range events {
		if p, ok := s.index.ids[events[i].ID]; ok {
			reason := "only a part of the batch is known"
			if unknown == 0 {
				reason = "it was appended in another batch or order"
			}
			return 0, &driver.IDError{ID: events[i].ID, Position: p, Reason: reason}
		}
	}
	return 0, nil
}

func sameID(r driver.Record, e driver.Event) bool { return r.ID == e.ID }

// batch returns the records of the batch that begins at p, none if no batch begins there.
func (s *Store) batch(p driver.Position) []driver.Record {
	rest := s.records[p-1:]
	for n := range rest {
		if rest[n].Batch != p {
			return rest[:n]
		}
	}
	return rest
}

// repeat returns the receipt that the n records from first on were given, the
// zero one if first is 0.
func (s *Store) repeat(first driver.Position, n int) driver.Receipt {
	if first == 0 {
		return driver.Receipt{}
	}
	r := receipt(s.records[first-1:][:n])
	r.Repeated = true
	return r
}

// check returns the error of condition i, nil if it holds.
func (s *Store) check(i int, c driver.Condition) error {
	conflict := &driver.ConflictError{Condition: cloneCondition(c), Index: i, Head: s.head()}
	if c.Kind == driver.NoneAfterKind {
		if c.After > s.head() {
			return &driver.PositionError{What: fmt.Sprintf("position %d", c.After), Head: s.head()}
		}
		for p := range s.index.candidates(c.Query, c.After, s.head(), false) {
			if c.Query.Matches(&s.records[p-1].Event) {
				conflict.Position = p
				return conflict
			}
		}
		return nil
	}
	version := uint64(len(s.index.streams[c.Stream]))
	holds := false
	switch c.Kind {
	case driver.StreamAtKind:
		holds = version == c.Version
	case driver.StreamAbsentKind:
		holds = version == 0
	case driver.StreamPresentKind:
		holds = version > 0
	}
	if holds {
		return nil
	}
	conflict.Version = version
	return conflict
}

// timeOf returns the log's time of the next batch: as given, else by the
// clock, but never before the head's.
func (s *Store) timeOf(given time.Time) (time.Time, error) {
	head := s.headTime()
	if !given.IsZero() {
		if given.Before(head) {
			return time.Time{}, &driver.InvalidError{Index: -1, Field: "time", Reason: fmt.Sprintf(
				"%s is before the log's head, %s", given.Format(time.RFC3339Nano), head.Format(time.RFC3339Nano))}
		}
		return utc(given), nil
	}
	if now := utc(s.clock()); now.After(head) {
		return now, nil
	}
	return head, nil
}

// add makes the batch part of the log.
func (s *Store) add(b driver.Batch, at time.Time) driver.Receipt {
	first := s.head() + 1
	for i := range b.Events {
		r := driver.Record{Event: cloneEvent(&b.Events[i]), Position: s.head() + 1, Time: at, Batch: first}
		if i == 0 {
			r.Conditions = cloneConditions(b.Conditions)
		}
		r.Version = s.index.add(&r)
		s.records = append(s.records, r)
	}
	close(s.grown)
	s.grown = make(chan struct{})
	return receipt(s.records[first-1:])
}

func receipt(records []driver.Record) driver.Receipt {
	r := driver.Receipt{
		First:      records[0].Position,
		Last:       records[len(records)-1].Position,
		Time:       records[0].Time,
		Versions:   make([]uint64, len(records)),
		Durability: durability,
	}
	for i := range records {
		r.Versions[i] = records[i].Version
	}
	return r
}
