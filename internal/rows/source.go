package rows

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Row is one row below the header.
type Row struct {
	Number int // from 1, bad rows included
	Line   int // of the file, where the row begins; the header is line 1
	Fields []string
}

// BadRow says why a row cannot be taken.
type BadRow struct {
	Number, Line int
	Reason       string
	Text         string // the row as it stands in the file
}

func (e *BadRow) Error() string {
	return fmt.Sprintf("row %d (line %d): %s", e.Number, e.Line, e.Reason)
}

// maxRow is the most bytes that a row with line breaks in quotes may have.
const maxRow = 1 << 20

// Source reads the rows of a CSV file.
type Source struct {
	Columns []string

	comma  rune
	in     *bufio.Reader
	ahead  []string // lines read too far, to be read again
	line   int      // the number of the line read last
	number int      // of the row read last
}

// Open reads the header of the CSV in r, which may be compressed by gzip.
// Fields are separated by comma, 0 for ','. An error says what is wrong with
// the header.
func Open(r io.Reader, comma rune) (*Source, error) {
	if comma == 0 {
		comma = ','
	}
	s := &Source{comma: comma, in: bufio.NewReaderSize(r, 256<<10)}
	if magic, _ := s.in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(s.in)
		if err != nil {
			return nil, fmt.Errorf("the file begins like gzip, but: %w", err)
		}
		s.in = bufio.NewReaderSize(z, 256<<10)
	}
	row, err := s.Next()
	var bad *BadRow
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("the file is empty; its first line must name the columns")
	case errors.As(err, &bad):
		return nil, fmt.Errorf("the header (line %d): %s", bad.Line, bad.Reason)
	case err != nil:
		return nil, err
	}
	s.number = 0
	row.Fields[0] = strings.TrimPrefix(row.Fields[0], "\ufeff")
	for i, name := range row.Fields {
		switch {
		case name == "":
			return nil, fmt.Errorf("the header (line %d): column %d has no name", row.Line, i+1)
		case slices.Contains(row.Fields[:i], name):
			return nil, fmt.Errorf("the header (line %d): column %q is there twice", row.Line, name)
		}
	}
	s.Columns = row.Fields
	return s, nil
}

// Next returns the next row, io.EOF after the last one. After a *[BadRow] the
// rows behind it follow; any other error is the end.
func (s *Source) Next() (Row, error) {
	for {
		text, err := s.readLine()
		if err != nil {
			return Row{}, err
		}
		if text == "" {
			continue
		}
		s.number++
		return s.row(text)
	}
}

func (s *Source) row(text string) (Row, error) {
	row := Row{Number: s.number, Line: s.line}
	bad := func(reason string) (Row, error) {
		return row, &BadRow{row.Number, row.Line, reason, text}
	}
	if !utf8.ValidString(text) {
		return bad("it is not valid UTF-8")
	}
	if strings.IndexByte(text, '"') < 0 {
		row.Fields = strings.Split(text, string(s.comma))
	} else {
		fields, reason, err := s.quoted(text)
		if err != nil {
			return row, err
		}
		if reason != "" {
			return bad(reason)
		}
		row.Fields = fields
	}
	if s.Columns != nil && len(row.Fields) != len(s.Columns) {
		return bad(fmt.Sprintf("it has %d fields, the header %d", len(row.Fields), len(s.Columns)))
	}
	return row, nil
}

// quoted parses a row with quotes in it, which may go on over several lines.
// A row that is bad takes only its first line: what follows is read again.
func (s *Source) quoted(first string) (fields []string, reason string, err error) {
	begin := s.line
	var lines []string
	var whole strings.Builder
	whole.WriteString(first)
	for open := odd(first); open && whole.Len() < maxRow; {
		next, err := s.readLine()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, "", err
		}
		lines = append(lines, next)
		whole.WriteByte('\n')
		whole.WriteString(next)
		open = open != odd(next)
	}
	text := whole.String()
	r := csv.NewReader(strings.NewReader(text))
	r.Comma = s.comma
	fields, err = r.Read()
	if err == nil {
		if _, more := r.Read(); more == io.EOF && utf8.ValidString(text) {
			return fields, "", nil
		}
		err = errors.New("a quote is not closed where it should be")
	}
	s.ahead = append(lines, s.ahead...)
	s.line = begin
	var p *csv.ParseError
	if errors.As(err, &p) {
		return nil, fmt.Sprintf("bad quote at column %d: %v", p.Column, p.Err), nil
	}
	return nil, err.Error(), nil
}

// odd reports whether a quote that text opens is open at its end, or the other
// way round.
func odd(text string) bool { return strings.Count(text, `"`)%2 != 0 }

// readLine returns the next line without its end, io.EOF after the last.
func (s *Source) readLine() (string, error) {
	if len(s.ahead) > 0 {
		text := s.ahead[0]
		s.ahead = s.ahead[1:]
		s.line++
		return text, nil
	}
	text, err := s.in.ReadString('\n')
	if err != nil && (text == "" || !errors.Is(err, io.EOF)) {
		if errors.Is(err, io.EOF) {
			return "", io.EOF
		}
		return "", fmt.Errorf("after line %d: %w", s.line, err)
	}
	s.line++
	return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r"), nil
}
