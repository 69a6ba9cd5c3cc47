package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/annals-db/annals/driver"
)

// Change is a change of a row or table, with who made it.
type Change struct {
	Position  driver.Position
	Stream    string // of the row, or of the table
	Version   uint64 // within the stream: which change of the row it is
	Type      string // RowUpdated, SchemaChanged, …
	Table     Name
	Key       string    // the row's key as in the stream's name, "" for a change of the table
	Committed time.Time // by the server's clock
	Xid       uint32    // 0 for what no transaction did: RowFound, RowReread
	LSN       string
	Who       *Who // nil where nothing is known

	// Before and After are the row's values as JSON, nil for none. Of an update
	// Before has the values that it changed.
	Before, After jsontext.Value
	// Data is the whole of what the event says.
	Data jsontext.Value
}

// Actor returns who acted: as the application says, else as the server does, else "".
func (c *Change) Actor() string {
	if c.Who == nil {
		return ""
	}
	if c.Who.Claimed.Actor != "" {
		return c.Who.Claimed.Actor
	}
	return c.Who.Vouched.User
}

// Reason returns why, as the application says.
func (c *Change) Reason() string {
	if c.Who == nil {
		return ""
	}
	return c.Who.Claimed.Reason
}

// Filter says which changes are meant: those that fulfil all of it. The zero
// Filter means every change.
type Filter struct {
	Table  Name     // zero: of every table
	Key    []string // of this row, by the text forms of its key's columns; needs Table
	Column string   // that set this column, under whichever name it had then; needs Table

	From, To    time.Time // committed between, both inclusive; zero: no bound
	Transaction uint32    // of this transaction
	Actor       string    // by whom, as the application says
	User        string    // by whom, as the server says
	NoReason    bool      // of transactions for which no reason was given
}

// Changes yields the changes that f means, in the order of the log. What is not
// complete yet is not among them.
func (t *Trail) Changes(ctx context.Context, f Filter) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		q := &question{trail: t, f: f, yield: yield}
		if err := q.ask(ctx); err != nil {
			yield(Change{}, err)
		}
	}
}

// nameOf reads the name of a table from its stream.
func nameOf(stream string) Name {
	schema, table, _ := strings.Cut(stream, ".")
	return Name{unescape(schema), unescape(table)}
}

func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// MarshalJSON writes c as one object.
func (c Change) MarshalJSON() ([]byte, error) {
	type bare struct {
		Position  driver.Position `json:"position"`
		Committed time.Time       `json:"committed"`
		Table     string          `json:"table"`
		Key       *string         `json:"key,omitempty"`
		Type      string          `json:"type"`
		Version   uint64          `json:"version"`
		Xid       uint32          `json:"xid,omitempty"`
		LSN       string          `json:"lsn"`
		Who       *Who            `json:"who,omitempty"`
		Data      json.RawMessage `json:"data"`
	}
	b := bare{c.Position, c.Committed, c.Table.String(), nil, c.Type, c.Version, c.Xid, c.LSN, c.Who, json.RawMessage(c.Data)}
	if strings.Contains(c.Stream, "-") {
		b.Key = &c.Key
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(b); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// Old yields the columns that an update changed, in their order, each with its
// old and new value as JSON.
func (c *Change) Old() iter.Seq2[string, [2]string] {
	return func(yield func(string, [2]string) bool) {
		d := jsontext.NewDecoder(bytes.NewReader(c.Before))
		if _, err := d.ReadToken(); err != nil {
			return
		}
		for d.PeekKind() == '"' {
			name, err := d.ReadToken()
			if err != nil {
				return
			}
			column := name.String()
			old, err := d.ReadValue()
			if err != nil {
				return
			}
			now, err := member(c.After, column)
			if err != nil || !yield(column, [2]string{string(old), string(now)}) {
				return
			}
		}
	}
}
