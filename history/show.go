package history

import (
	"context"
	"fmt"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
)

// Shown is everything that is known about one event.
type Shown struct {
	Record        annals.Record
	Batch         []annals.Record    // all events of its append, in order
	Conditions    []driver.Condition // what the append's decision had read
	Before, After any                // the state of its stream around it, as JSON values; nil without a stream
	Changes       []Change
	Cause         *annals.Record  // the event it was done because of, nil if none is said or it is not in the log
	Effects       []annals.Record // the events done because of it
}

// Show returns everything that is known about the event of a version.
func (h *History) Show(ctx context.Context, version uint64) (*Shown, error) {
	if _, err := h.resolve(ctx, Version(version)); err != nil {
		return nil, err
	}
	if version == 0 {
		return nil, &driver.PositionError{What: fmt.Sprintf("version 0 of %q", h.stream)}
	}
	var s Shown
	var inner error
	err := h.each(ctx, version, nil, func(r run, rec annals.Record) bool {
		if rec.Version == version-1 {
			s.Before, inner = r.value()
			r.changes()
		}
		if rec.Version == version {
			if version == 1 {
				s.Before, inner = h.stateAt(ctx, 0)
			}
			s.Record, s.Changes = rec, r.changes()
			var err error
			s.After, err = r.value()
			inner = firstError(inner, err)
		}
		return inner == nil
	})
	if err := firstError(err, inner); err != nil {
		return nil, err
	}
	return &s, s.surround(ctx, h.log)
}

// ShowAt returns everything that is known about the event at a position; with
// a stream, its states are those that f gives.
func ShowAt(ctx context.Context, log driver.Log, p annals.Position, f Fold) (*Shown, error) {
	rec, err := recordAt(ctx, log, p)
	if err != nil {
		return nil, err
	}
	if rec.Stream != "" {
		return Of(log, rec.Stream, f).Show(ctx, rec.Version)
	}
	s := &Shown{Record: rec}
	return s, s.surround(ctx, log)
}

func recordAt(ctx context.Context, log driver.Log, p annals.Position) (annals.Record, error) {
	info, err := log.Info(ctx)
	if err != nil {
		return annals.Record{}, err
	}
	if p < 1 || p > info.Head {
		return annals.Record{}, &driver.PositionError{What: fmt.Sprintf("position %d", p), Head: info.Head}
	}
	for r, err := range log.Read(ctx, driver.Query{}, driver.ReadOptions{After: p - 1, UpTo: p}) {
		return r, err
	}
	return annals.Record{}, &driver.CorruptError{Position: p, Reason: "the log yields no record"}
}

// surround finds the batch, the cause and the effects of s.Record.
func (s *Shown) surround(ctx context.Context, log driver.Log) error {
	for r, err := range log.Read(ctx, driver.Query{}, driver.ReadOptions{After: s.Record.Batch - 1}) {
		if err != nil {
			return err
		}
		if r.Batch != s.Record.Batch {
			break
		}
		s.Batch = append(s.Batch, r)
	}
	if len(s.Batch) > 0 {
		s.Conditions = s.Batch[0].Conditions
	}
	links, err := readLinks(ctx, log)
	if err != nil {
		return err
	}
	if cause, ok := links.record(s.Record.Metadata.Value("causation")); ok {
		rec, err := recordAt(ctx, log, cause)
		if err != nil {
			return err
		}
		s.Cause = &rec
	}
	for _, p := range links.effects[s.Record.ID] {
		rec, err := recordAt(ctx, log, p)
		if err != nil {
			return err
		}
		s.Effects = append(s.Effects, rec)
	}
	return nil
}
