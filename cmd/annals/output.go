package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/term"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/wire"
)

// format is how results are printed.
type format int

const (
	formatAuto format = iota
	formatTable
	formatJSON  // one value: an object, or an array of what a list has
	formatLines // one object a line
	formatNone
)

func parseFormat(s string) (format, error) {
	switch s {
	case "":
		return formatAuto, nil
	case "table":
		return formatTable, nil
	case "json":
		return formatJSON, nil
	case "jsonl":
		return formatLines, nil
	case "none":
		return formatNone, nil
	}
	return 0, fmt.Errorf("--output: %q is not a form; there are table, json, jsonl and none", s)
}

// item is one entry of a list: as JSON, and as the cells of a table's row.
type item struct {
	json  []byte
	cells []string
}

// printer prints a list as it comes. Finish must be called.
type printer struct {
	w       *bufio.Writer
	format  format
	headers []string
	width   int // of the terminal, 0 for no limit
	page    [][]string
	colour  bool
	colours []string // of the rows of page
	tint    string   // of the row that is added
	printed int
}

const pageRows = 200

func (a *app) printer(headers ...string) *printer {
	p := &printer{w: bufio.NewWriterSize(a.out, 64<<10), format: a.format, headers: headers, colour: a.colours()}
	if f, ok := a.out.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			p.width = width
		}
	}
	return p
}

// addIn adds a row that is coloured in a terminal.
func (p *printer) addIn(colour string, i item) {
	p.tint = colour
	p.add(i)
	p.tint = ""
}

func (p *printer) add(i item) {
	switch p.format {
	case formatTable:
		p.page, p.colours = append(p.page, i.cells), append(p.colours, p.tint)
		if len(p.page) == pageRows {
			p.flushPage()
		}
		return
	case formatJSON:
		if p.printed == 0 {
			p.w.WriteString("[\n")
		} else {
			p.w.WriteString(",\n")
		}
		p.w.Write(i.json)
	case formatLines:
		p.w.Write(i.json)
		p.w.WriteByte('\n')
	}
	p.printed++
}

// flush shows what was added so far.
func (p *printer) flush() error {
	p.flushPage()
	return p.w.Flush()
}

func (p *printer) finish() error {
	if p.format == formatJSON {
		if p.printed == 0 {
			p.w.WriteString("[")
		} else {
			p.w.WriteByte('\n')
		}
		p.w.WriteString("]\n")
	}
	return p.flush()
}

// flushPage prints the rows gathered, as wide as they need.
func (p *printer) flushPage() {
	if len(p.page) == 0 {
		return
	}
	widths := make([]int, len(p.headers))
	for i, h := range p.headers {
		widths[i] = len(h)
	}
	for _, row := range p.page {
		for i := range row {
			row[i] = printable(row[i])
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	if p.printed == 0 {
		p.row(p.headers, widths, bold)
	}
	for i, row := range p.page {
		p.row(row, widths, p.colours[i])
		p.printed++
	}
	p.page, p.colours = p.page[:0], p.colours[:0]
}

func (p *printer) row(cells []string, widths []int, colour string) {
	var b strings.Builder
	for i, c := range cells {
		if i > 0 {
			b.WriteString("  ")
		}
		b.WriteString(c)
		if i < len(cells)-1 {
			b.WriteString(strings.Repeat(" ", max(widths[i]-utf8.RuneCountInString(c), 0)))
		}
	}
	line := b.String()
	if runes := []rune(line); p.width > 0 && len(runes) > p.width {
		line = string(runes[:p.width-1]) + "…"
	}
	if p.colour && colour != "" {
		line = colour + line + reset
	}
	p.w.WriteString(line)
	p.w.WriteByte('\n')
}

// printable replaces what would move a terminal's cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '·'
		}
		return r
	}, s)
}

var recordHeaders = []string{"POSITION", "TIME", "STREAM", "VERSION", "TYPE", "DATA"}

// addRecord adds a record to a list with [recordHeaders].
func (p *printer) addRecord(rec *driver.Record) {
	if p.format != formatTable {
		p.add(item{json: wire.AppendRecord(nil, rec)})
		return
	}
	data := string(rec.Data)
	if rec.Encoding != "" {
		data = fmt.Sprintf("(%d bytes of %s)", len(rec.Data), rec.Encoding)
	}
	version := ""
	if rec.Stream != "" {
		version = fmt.Sprint(rec.Version)
	}
	p.add(item{cells: []string{fmt.Sprint(rec.Position), rec.Time.UTC().Format(time.RFC3339), rec.Stream, version, rec.Type, data}})
}

// one prints a single value: as JSON, or as a table of names and values.
func (a *app) one(value []byte, pairs [][2]string) error {
	switch a.format {
	case formatNone:
		return nil
	case formatTable:
		width := 0
		for _, p := range pairs {
			width = max(width, utf8.RuneCountInString(p[0]))
		}
		for _, p := range pairs {
			if _, err := fmt.Fprintf(a.out, "%-*s  %s\n", width, p[0], printable(p[1])); err != nil {
				return err
			}
		}
		return nil
	}
	return a.value(value)
}

// value prints a single JSON value: indented in form json, else in one line.
func (a *app) value(v []byte) error {
	if a.format == formatNone {
		return nil
	}
	if a.format != formatLines {
		j := jsontext.Value(bytes.Clone(v))
		if err := j.Indent(jsontext.WithIndent("  ")); err == nil {
			v = j
		}
	}
	_, err := io.WriteString(a.out, string(v)+"\n")
	return err
}
