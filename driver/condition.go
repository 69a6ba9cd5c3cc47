package driver

import (
	"fmt"
	"strings"
)

// ConditionKind says what a [Condition] requires.
type ConditionKind uint8

// The kinds of condition. The numbers are part of the stored form.
const (
	NoneAfterKind     ConditionKind = 1 // no record matching Query lies after After
	StreamAtKind      ConditionKind = 2 // Stream is at exactly Version; 0 means absent
	StreamAbsentKind  ConditionKind = 3 // Stream has no record
	StreamPresentKind ConditionKind = 4 // Stream has at least one record
)

// Condition is what an append requires of the log. Make one with [NoneAfter],
// [StreamAt], [StreamAbsent] or [StreamPresent].
type Condition struct {
	Kind    ConditionKind
	Stream  string   // for the stream kinds
	Version uint64   // for StreamAtKind
	Query   Query    // for NoneAfterKind
	After   Position // for NoneAfterKind: strictly greater positions are looked at; 0 looks at all
}

// NoneAfter requires that no record matching q lies after p (strictly
// greater). With p = 0 no record may match at all.
func NoneAfter(q Query, p Position) Condition {
	return Condition{Kind: NoneAfterKind, Query: q, After: p}
}

// StreamAt requires that stream is at version v, its last record's version.
// Version 0 requires that it is absent.
func StreamAt(stream string, v uint64) Condition {
	return Condition{Kind: StreamAtKind, Stream: stream, Version: v}
}

// StreamAbsent requires that stream has no record.
func StreamAbsent(stream string) Condition {
	return Condition{Kind: StreamAbsentKind, Stream: stream}
}

// StreamPresent requires that stream has at least one record.
func StreamPresent(stream string) Condition {
	return Condition{Kind: StreamPresentKind, Stream: stream}
}

// String says what c requires, in words.
func (c Condition) String() string {
	switch c.Kind {
	case StreamAtKind:
		return fmt.Sprintf("stream %q at version %d", c.Stream, c.Version)
	case StreamAbsentKind:
		return fmt.Sprintf("stream %q absent", c.Stream)
	case StreamPresentKind:
		return fmt.Sprintf("stream %q present", c.Stream)
	case NoneAfterKind:
		return fmt.Sprintf("no event matching %s after position %d", c.Query, c.After)
	}
	return fmt.Sprintf("condition of unknown kind %d", c.Kind)
}

// String returns q in words, "everything" for a query without items.
func (q Query) String() string {
	if q.All() {
		return "everything"
	}
	items := make([]string, len(q.Items))
	for n, i := range q.Items {
		var parts []string
		add := func(name, sep string, values []string) {
			if len(values) > 0 {
				parts = append(parts, name+" "+strings.Join(values, sep))
			}
		}
		add("type", "|", i.Types)
		add("tags", "&", i.Tags)
		add("stream", "|", i.Streams)
		if i.Category != "" {
			parts = append(parts, "category "+i.Category)
		}
		for _, id := range i.IDs {
			parts = append(parts, "id "+id.String())
		}
		items[n] = strings.Join(parts, ", ")
	}
	return "(" + strings.Join(items, " or ") + ")"
}
