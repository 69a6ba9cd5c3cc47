package projection

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// docBook is the book of a transaction over documents.
type docBook struct{ tx *Docs }

func (b docBook) Load(_ context.Context, key string) ([]byte, error) { return b.tx.value("", key), nil }

// Lock is Load: the transaction commits only if nothing has changed.
func (b docBook) Lock(_ context.Context, key string) ([]byte, error) { return b.tx.value("", key), nil }

func (b docBook) Save(_ context.Context, key string, value []byte) error {
	b.tx.set("", key, value)
	return nil
}

func (b docBook) Delete(_ context.Context, key string) error {
	b.tx.set("", key, nil)
	return nil
}

func (b docBook) List(_ context.Context, prefix string) ([]KeyValue, error) {
	var list []KeyValue
	for _, k := range b.tx.keys("") {
		if strings.HasPrefix(k, prefix) {
			list = append(list, KeyValue{k, b.tx.value("", k)})
		}
	}
	return list, nil
}

func (b docBook) Create(_ context.Context, table, _ string) error {
	b.tx.set("", tableKey(table), json.RawMessage("true"))
	return nil
}

func (b docBook) Clear(_ context.Context, table string) error {
	for _, k := range b.tx.keys(table) {
		b.tx.set(table, k, nil)
	}
	return nil
}

func (b docBook) Drop(ctx context.Context, table string) error {
	b.tx.set("", tableKey(table), nil)
	return b.Clear(ctx, table)
}

func (b docBook) Show(_ context.Context, name, table string) error {
	if table == "" {
		b.tx.set("", shownKey(name), nil)
		return nil
	}
	b.tx.set("", shownKey(name), json.RawMessage(fmt.Sprintf("%q", table)))
	return nil
}

func (b docBook) Compare(_ context.Context, live, next string, limit int) (Comparison, error) {
	kl, kn := b.tx.keys(live), b.tx.keys(next)
	c := Comparison{LiveRows: len(kl), NextRows: len(kn)}
	for _, k := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(kl, kn)))) {
		vl, vn := fields(b.tx.value(live, k)), fields(b.tx.value(next, k))
		if vl != nil && vn != nil {
			for _, name := range slices.Collect(maps.Keys(vl)) {
				if other, both := vn[name]; both && reflect.DeepEqual(vl[name], other) {
					delete(vl, name)
					delete(vn, name)
				}
			}
			if len(vl) == 0 && len(vn) == 0 {
				continue
			}
		}
		if c.Differing++; c.Differing <= limit {
			c.Differences = append(c.Differences, Difference{k, vl, vn})
		}
	}
	return c, nil
}

// fields returns the fields of a JSON object; another value is its field "value".
func fields(b json.RawMessage) map[string]any {
	if b == nil {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return map[string]any{"value": string(b)}
	}
	if m, ok := v.(map[string]any); ok {
		return m
	}
	return map[string]any{"value": v}
}
