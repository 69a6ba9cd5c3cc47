package driver

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// Validate returns the *[InvalidError] or *[LimitError] for which a store must
// refuse b, nil if there is none.
func Validate(b *Batch, l Limits) error {
	switch n := len(b.Events); {
	case n == 0:
		return &InvalidError{-1, "batch", "it has no events"}
	case n > l.BatchEvents:
		return &LimitError{-1, "batch events", l.BatchEvents, n}
	}
	if err := validTime(-1, "time", b.Time); err != nil {
		return err
	}
	total := 0
	for i := range b.Events {
		e := &b.Events[i]
		if err := validEvent(i, e, l); err != nil {
			return err
		}
		size := e.Size()
		if size > l.EventBytes {
			return &LimitError{i, "event bytes", l.EventBytes, size}
		}
		total += size
	}
	if total > l.BatchBytes {
		return &LimitError{-1, "batch bytes", l.BatchBytes, total}
	}
	if err := distinctIDs(b.Events); err != nil {
		return err
	}
	for i, c := range b.Conditions {
		if err := validCondition(i, c, l); err != nil {
			return err
		}
	}
	return nil
}

// Size is the bytes of e that count against [Limits]: payload, names, tags and metadata.
func (e *Event) Size() int {
	size := len(e.Stream) + len(e.Type) + len(e.Encoding) + len(e.Data)
	for _, t := range e.Tags {
		size += len(t)
	}
	for _, p := range e.Metadata {
		size += len(p.Key) + len(p.Value)
	}
	return size
}

func validEvent(i int, e *Event, l Limits) error {
	if e.ID == (ID{}) {
		return &InvalidError{i, "id", "it is zero"}
	}
	if e.Type == "" {
		return &InvalidError{i, "type", "it is empty"}
	}
	if e.Stream == "" && len(e.Tags) == 0 {
		return &InvalidError{i, "stream", "the event has neither a stream nor tags, so nothing could find it again"}
	}
	for _, f := range [...]struct{ name, value string }{{"stream", e.Stream}, {"type", e.Type}, {"encoding", e.Encoding}} {
		if err := validName(i, f.name, f.value, l); err != nil {
			return err
		}
	}
	for n, t := range e.Tags {
		if err := validTag(i, n, e.Tags, t, l); err != nil {
			return err
		}
	}
	for n, p := range e.Metadata {
		if p.Key == "" {
			return &InvalidError{i, "metadata", "a key is empty"}
		}
		if n > 0 && e.Metadata[n-1].Key >= p.Key {
			return &InvalidError{i, "metadata", fmt.Sprintf("key %q is out of order or given twice", p.Key)}
		}
		if err := validName(i, "metadata key", p.Key, l); err != nil {
			return err
		}
		if err := validText(i, "metadata "+p.Key, p.Value); err != nil {
			return err
		}
	}
	return validTime(i, "occurred", e.Occurred)
}

func validTag(i, n int, tags []string, t string, l Limits) error {
	field := func() string { return fmt.Sprintf("tags[%d]", n) }
	if key, value, ok := strings.Cut(t, ":"); !ok || key == "" || value == "" {
		return &InvalidError{i, field(), fmt.Sprintf("%q is not of the form key:value", t)}
	}
	for _, other := range tags[:n] {
		if other == t {
			return &InvalidError{i, field(), fmt.Sprintf("%q is given twice", t)}
		}
	}
	if !validAt(t, l) {
		return validName(i, field(), t, l)
	}
	return nil
}

// validAt reports whether validName has nothing against s.
func validAt(s string, l Limits) bool {
	return len(s) <= l.NameBytes && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

func validName(i int, field, s string, l Limits) error {
	if len(s) > l.NameBytes {
		return &LimitError{i, "bytes in " + field, l.NameBytes, len(s)}
	}
	return validText(i, field, s)
}

func validText(i int, field, s string) error {
	if !utf8.ValidString(s) {
		return &InvalidError{i, field, fmt.Sprintf("%q is not valid UTF-8", s)}
	}
	if strings.IndexByte(s, 0) >= 0 {
		return &InvalidError{i, field, fmt.Sprintf("%q has a NUL", s)}
	}
	return nil
}

var (
	minTime = time.Unix(0, math.MinInt64)
	maxTime = time.Unix(0, math.MaxInt64)
)

// validTime refuses what does not fit 64-bit nanoseconds since 1970.
func validTime(i int, field string, t time.Time) error {
	if !t.IsZero() && (t.Before(minTime) || t.After(maxTime)) {
		return &InvalidError{i, field, fmt.Sprintf("%s is outside %d to %d", t.Format(time.RFC3339), minTime.Year(), maxTime.Year())}
	}
	return nil
}

func distinctIDs(events []Event) error {
	if len(events) < 16 {
		for i := range events {
			for j := range i {
				if events[i].ID == events[j].ID {
					return &InvalidError{i, "id", fmt.Sprintf("%s is given twice in the batch", events[i].ID)}
				}
			}
		}
		return nil
	}
	if rising(events) {
		return nil
	}
	seen := make(map[ID]struct{}, len(events))
	for i := range events {
		if _, ok := seen[events[i].ID]; ok {
			return &InvalidError{i, "id", fmt.Sprintf("%s is given twice in the batch", events[i].ID)}
		}
		seen[events[i].ID] = struct{}{}
	}
	return nil
}

// rising reports whether the IDs rise, as time-ordered ones do.
func rising(events []Event) bool {
	for i := 1; i < len(events); i++ {
		if bytes.Compare(events[i-1].ID[:], events[i].ID[:]) >= 0 {
			return false
		}
	}
	return true
}

func validCondition(i int, c Condition, l Limits) error {
	field := func() string { return fmt.Sprintf("conditions[%d]", i) }
	switch c.Kind {
	case StreamAtKind, StreamAbsentKind, StreamPresentKind:
		switch {
		case c.Stream == "":
			return &InvalidError{-1, field(), "it names no stream"}
		case !validAt(c.Stream, l):
			return validName(-1, field(), c.Stream, l)
		}
		return nil
	case NoneAfterKind:
		return validQuery(field, c.Query)
	}
	return &InvalidError{-1, field(), fmt.Sprintf("unknown kind %d", c.Kind)}
}

// validQuery refuses names that no record can have and no text can keep.
func validQuery(field func() string, q Query) error {
	for n := range q.Items {
		i := &q.Items[n]
		for _, names := range [...][]string{i.Types, i.Tags, i.Streams, {i.Category}} {
			for _, name := range names {
				if !utf8.ValidString(name) {
					return &InvalidError{-1, field(), fmt.Sprintf("its query names %q, which is not valid UTF-8", name)}
				}
			}
		}
	}
	return nil
}
