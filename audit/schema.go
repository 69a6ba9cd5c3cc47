package audit

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Column is a column of a table as the trail knows it.
type Column struct {
	Name   string `json:"name"`
	Type   string `json:"type"`   // as SQL writes it: "numeric(10,2)"
	Number int    `json:"number"` // what PostgreSQL numbers it in its table, the same through renames
	// Missing is the value of the rows that were there when the column was
	// added, in a way that wrote no row.
	Missing *string `json:"missing,omitempty"`
}

// description is the data of TableDescribed and SchemaChanged.
type description struct {
	Schema   string   `json:"schema"`
	Table    string   `json:"table"`
	OID      uint32   `json:"oid"`
	Columns  []Column `json:"columns"`
	Key      []string `json:"key"`      // the columns of the primary key, in its order
	Identity string   `json:"identity"` // "d" the key, "f" full, "i" an index, "n" nothing
	// Keyless says that there is no primary key for now, and Key are the columns
	// of the last one. Until there is one again, rows that share it are one in the trail.
	Keyless bool     `json:"keyless,omitempty"`
	Omitted []string `json:"omitted,omitempty"`
	// SeenBy says how the trail knows: "catalog", "trigger", or "relation" where
	// without an event trigger only the next change of a row shows it.
	SeenBy  string `json:"seen_by"`
	Command string `json:"command,omitempty"` // such as ALTER TABLE
	Query   string `json:"query,omitempty"`   // what the client sent
	// Unproven says that everybody was allowed to send messages like those of the
	// trigger, so that command and query are what someone says: see [Check].
	Unproven bool `json:"unproven,omitempty"`
	// Reread says that rows may have values now that no message told, and are
	// read again: each RowReread since then counts from here on.
	Reread bool `json:"reread,omitempty"`
	// From is the LSN from which on a table that was taken in is in the trail.
	From string `json:"from,omitempty"`
}

// table is a table as its schema is at a place of the stream. It is not changed, only replaced.
type table struct {
	description
	name   Name
	stream string
	key    []int    // the columns of the primary key, by index
	quoted [][]byte // the columns' names as JSON, with a colon
}

func newTable(d description) (*table, error) {
	t := &table{description: d, name: Name{d.Schema, d.Table}}
	t.stream = t.name.Stream()
	for _, k := range d.Key {
		i := slices.IndexFunc(d.Columns, func(c Column) bool { return c.Name == k })
		if i < 0 {
			return nil, fmt.Errorf("table %s: the column %q of its primary key is not among those that are captured", t.name, k)
		}
		t.key = append(t.key, i)
	}
	if len(t.key) == 0 {
		return nil, &RefusedError{What: "table " + t.name.String(), Reason: "it has no primary key, so its rows have no names",
			Mend: fmt.Sprintf("ALTER TABLE %s ADD PRIMARY KEY (…)", t.name.SQL()), table: t.name}
	}
	for _, c := range d.Columns {
		q, err := jsontext.AppendQuote(nil, c.Name)
		if err != nil {
			return nil, fmt.Errorf("table %s: column %q: %w", t.name, c.Name, err)
		}
		t.quoted = append(t.quoted, append(q, ':'))
	}
	return t, nil
}

// full reports whether messages of changes have all old values.
func (t *table) full() bool { return t.Identity == "f" }

// value is a value's text form; null and unchanged have none.
type value struct {
	text      []byte
	null      bool
	unchanged bool // it was not sent: it is as before
}

func (v value) equal(w value) bool {
	return v.null == w.null && v.unchanged == w.unchanged && string(v.text) == string(w.text)
}

func (v value) append(dst []byte) ([]byte, error) {
	if v.null {
		return append(dst, "null"...), nil
	}
	return jsontext.AppendQuote(dst, v.text)
}

// rowStream returns the stream of a row with these values.
func (t *table) rowStream(row []value) string {
	key := make([]string, len(t.key))
	for i, k := range t.key {
		key[i] = string(row[k].text)
	}
	return t.stream + "-" + joinKey(key)
}

// appendRow appends the values of the columns that only, if not nil, selects.
func (t *table) appendRow(dst []byte, row []value, only func(int) bool) ([]byte, error) {
	dst = append(dst, '{')
	begin := len(dst)
	var err error
	for i := range row {
		if only != nil && !only(i) {
			continue
		}
		if len(dst) > begin {
			dst = append(dst, ',')
		}
		dst = append(dst, t.quoted[i]...)
		if dst, err = row[i].append(dst); err != nil {
			return dst, &RefusedError{What: fmt.Sprintf("column %q of table %s", t.Columns[i].Name, t.name),
				Reason: fmt.Sprintf("a value of type %s has no text form in UTF-8: %v", t.Columns[i].Type, err),
				Mend:   "keep such bytes in a column of type bytea", table: t.name}
		}
	}
	return append(dst, '}'), nil
}

// column returns the column with a number, nil if there is none.
func (t *table) column(number int) *Column {
	for i := range t.Columns {
		if t.Columns[i].Number == number {
			return &t.Columns[i]
		}
	}
	return nil
}

// sameColumns reports whether the columns of t are those of names and types.
func sameColumns(a, b []Column) bool {
	return slices.EqualFunc(a, b, func(x, y Column) bool { return x.Name == y.Name && x.Type == y.Type && x.Number == y.Number })
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only of our own structs of texts, numbers and times
	}
	return b
}
