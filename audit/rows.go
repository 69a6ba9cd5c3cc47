package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/annals-db/annals/driver"
)

// rows is what the trail knows of rows: the last event of each, with those of
// late in memory. It is asked where messages do not have all old values.
type rows struct {
	log        driver.Log
	skip       func(group string) bool // groups that never were
	tableAt    func(stream string, p driver.Position) *table
	settle     func(context.Context) error
	young, old map[string]known
	bytes, max int
}

// known is what is known of a row.
type known struct {
	after []byte   // the values, as JSON; nil if there is no such row
	table *table   // as the columns were then
	stale []string // columns whose values may not be what they were then
}

func (k *rows) put(stream string, v known) {
	if k.young == nil {
		k.young = map[string]known{}
	}
	k.young[stream] = v
	k.bytes += len(stream) + len(v.after) + 100
	if k.bytes > k.max/2 {
		k.young, k.old, k.bytes = map[string]known{}, k.young, 0
	}
}

// last returns what is known of a row.
func (k *rows) last(ctx context.Context, stream string, t *table) (known, error) {
	if v, ok := k.young[stream]; ok {
		return v, nil
	}
	if v, ok := k.old[stream]; ok {
		k.put(stream, v)
		return v, nil
	}
	// What is under way is in memory, unless it was pushed out: then wait for it.
	if err := k.settle(ctx); err != nil {
		return known{}, err
	}
	q := driver.Query{Items: []driver.Item{{Streams: []string{stream}}}}
	for r, err := range k.log.Read(ctx, q, driver.ReadOptions{Backward: true}) {
		if err != nil {
			return known{}, err
		}
		if group := r.Metadata.Value("group"); group != "" && k.skip(group) {
			continue
		}
		after, err := member(r.Data, "after")
		if err != nil {
			return known{}, fmt.Errorf("event at position %d of the trail: %w", r.Position, err)
		}
		v := known{after: bytes.Clone(after), table: k.tableAt(t.stream, r.Position)}
		if stale, err := member(r.Data, "stale"); err != nil {
			return known{}, fmt.Errorf("event at position %d of the trail: %w", r.Position, err)
		} else if stale != nil {
			if err := json.Unmarshal(stale, &v.stale); err != nil {
				return known{}, fmt.Errorf("event at position %d of the trail: %w", r.Position, err)
			}
		}
		k.put(stream, v)
		return v, nil
	}
	return known{}, nil
}

// as returns the values of a row as the columns of t have them; stale are those
// that were, and whose type has changed since. It returns nil for no row.
func (v known) as(t *table) (row []value, stale []string, err error) {
	if v.after == nil {
		return nil, nil, nil
	}
	values, err := parseRow(v.after)
	if err != nil {
		return nil, nil, fmt.Errorf("row of table %s in the trail: %w", t.name, err)
	}
	row = make([]value, len(t.Columns))
	for i, c := range t.Columns {
		was := v.table.column(c.Number)
		switch {
		case was != nil:
			var there bool
			if row[i], there = values[was.Name]; !there {
				row[i] = value{null: true}
			} else if was.Type != c.Type || slices.Contains(v.stale, was.Name) {
				stale = append(stale, c.Name)
			}
		case c.Missing != nil:
			row[i] = value{text: []byte(*c.Missing)}
		default:
			row[i] = value{null: true}
		}
	}
	return row, stale, nil
}

// parseRow reads the values of a row.
func parseRow(text []byte) (map[string]value, error) {
	out := map[string]value{}
	d := jsontext.NewDecoder(bytes.NewReader(text))
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		v, err := d.ReadToken()
		switch {
		case err != nil:
			return nil, err
		case v.Kind() == 'n':
			out[key] = value{null: true}
		case v.Kind() == '"':
			out[key] = value{text: []byte(v.String())}
		default:
			return nil, fmt.Errorf("the value of %q is neither a string nor null", key)
		}
	}
	return out, nil
}

// member returns the value of a member of an object, nil if there is none.
func member(object []byte, name string) ([]byte, error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(object))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return nil, fmt.Errorf("its data is not an object: %w", err)
	}
	for d.PeekKind() == '"' {
		t, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		found := t.String() == name
		v, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		if found {
			return v, nil
		}
	}
	return nil, nil
}
