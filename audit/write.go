package audit

import (
	"bufio"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// WriteCSV writes t with a header, as PostgreSQL's COPY … CSV would: NULL is an
// empty field, an empty text is "".
func (t *Table) WriteCSV(w io.Writer) error {
	b := bufio.NewWriter(w)
	for i, c := range t.Columns {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(csvField(c.Name))
	}
	b.WriteByte('\n')
	for r := range t.Rows() {
		for i, v := range r.Values {
			if i > 0 {
				b.WriteByte(',')
			}
			if v != nil {
				b.WriteString(csvField(*v))
			}
		}
		b.WriteByte('\n')
	}
	return b.Flush()
}

func csvField(s string) string {
	if s == "" || strings.ContainsAny(s, ",\"\r\n") || s == `\.` {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}

// WriteJSON writes the rows of t as JSON objects, one a line: values are
// strings, with every digit, or null.
func (t *Table) WriteJSON(w io.Writer) error {
	b := bufio.NewWriter(w)
	for r := range t.Rows() {
		line, err := t.AppendJSON(nil, r)
		if err != nil {
			return err
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.Flush()
}

// AppendJSON appends a row of t as a JSON object.
func (t *Table) AppendJSON(dst []byte, r Row) (_ []byte, err error) {
	dst = append(dst, '{')
	for i, v := range r.Values {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = jsontext.AppendQuote(dst, t.Columns[i].Name); err != nil {
			return dst, err
		}
		dst = append(dst, ':')
		if v == nil {
			dst = append(dst, "null"...)
		} else if dst, err = jsontext.AppendQuote(dst, *v); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}
