package driver

import "slices"

// Query selects records: those that match any of its items. A query without
// items selects every record.
type Query struct {
	Items []Item `json:"items,omitempty"`
}

// Item is one alternative of a [Query]. Every field that is not empty must
// match; an item with no field set matches every record.
type Item struct {
	Types    []string `json:"types,omitempty"`    // any of these types
	Tags     []string `json:"tags,omitempty"`     // all of these tags
	Streams  []string `json:"streams,omitempty"`  // any of these streams
	Category string   `json:"category,omitempty"` // any stream of this category, see [Category]
	IDs      []ID     `json:"ids,omitempty"`      // any of these event IDs
}

// All reports whether q selects every record by its form alone.
func (q Query) All() bool {
	if len(q.Items) == 0 {
		return true
	}
	return slices.ContainsFunc(q.Items, Item.all)
}

func (i Item) all() bool {
	return len(i.Types) == 0 && len(i.Tags) == 0 && len(i.Streams) == 0 && i.Category == "" && len(i.IDs) == 0
}

// Matches reports whether q selects e.
func (q Query) Matches(e *Event) bool {
	if len(q.Items) == 0 {
		return true
	}
	for i := range q.Items {
		if q.Items[i].Matches(e) {
			return true
		}
	}
	return false
}

// Matches reports whether i selects e.
func (i *Item) Matches(e *Event) bool {
	if len(i.Types) > 0 && !slices.Contains(i.Types, e.Type) {
		return false
	}
	if len(i.Streams) > 0 && (e.Stream == "" || !slices.Contains(i.Streams, e.Stream)) {
		return false
	}
	if i.Category != "" && (e.Stream == "" || Category(e.Stream) != i.Category) {
		return false
	}
	if len(i.IDs) > 0 && !slices.Contains(i.IDs, e.ID) {
		return false
	}
	for _, t := range i.Tags {
		if !slices.Contains(e.Tags, t) {
			return false
		}
	}
	return true
}
