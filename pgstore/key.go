package pgstore

import (
	"slices"
	"strings"

	"github.com/annals-db/annals/driver"
)

// The ways to records: which index a key is looked up in.
const (
	byTag = iota + 1
	byID
	byStream
	byType
	byCategory
	byPosition // every record
)

// key finds records by one index; what else must hold of them are literals of
// arrays, nil for nothing.
type key struct {
	path                 int
	value                string
	types, tags, streams *string
	category, ids        *string
}

// keysOf returns the keys whose records together are those that q matches.
// What can be in no record, such as text that is not UTF-8, gives none.
func keysOf(q driver.Query) (keys []key) {
	if q.All() {
		return []key{{path: byPosition}}
	}
	for n := range q.Items {
		keys = append(keys, keysOfItem(&q.Items[n])...)
	}
	return keys
}

func keysOfItem(i *driver.Item) []key {
	var k key
	types, streams := slices.DeleteFunc(slices.Clone(i.Types), notText), slices.DeleteFunc(slices.Clone(i.Streams), notText)
	streams = slices.DeleteFunc(streams, func(s string) bool { return s == "" })
	if len(i.Types) > 0 && len(types) == 0 || len(i.Streams) > 0 && len(streams) == 0 || slices.ContainsFunc(i.Tags, notText) || notText(i.Category) {
		return nil
	}
	ids := make([]string, len(i.IDs))
	for n, id := range i.IDs {
		ids[n] = id.String()
	}
	values := []string{i.Category}
	k.types, k.tags, k.streams, k.ids = literal(types), literal(i.Tags), literal(streams), literal(ids)
	if i.Category != "" {
		k.category = &i.Category
	}
	switch {
	case len(ids) > 0:
		k.path, values, k.ids = byID, ids, nil
	case len(i.Tags) > 0:
		k.path, values, k.tags = byTag, i.Tags[:1], literal(i.Tags[1:])
	case len(streams) > 0:
		k.path, values, k.streams = byStream, streams, nil
	case i.Category != "":
		k.path, k.category = byCategory, nil
	default:
		k.path, values, k.types = byType, types, nil
	}
	values = slices.Compact(slices.Sorted(slices.Values(values)))
	keys := make([]key, len(values))
	for n, v := range values {
		keys[n] = k
		keys[n].value = v
	}
	return keys
}

func notText(s string) bool { return !text(s) }

// literal returns values as a literal of a text array, nil if there are none.
func literal(values []string) *string {
	if len(values) == 0 {
		return nil
	}
	var b strings.Builder
	for n, v := range values {
		b.WriteByte("{,"[min(n, 1)])
		b.WriteByte('"')
		for i := 0; i < len(v); i++ {
			if v[i] == '"' || v[i] == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(v[i])
		}
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return new(b.String())
}
