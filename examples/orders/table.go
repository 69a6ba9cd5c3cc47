package main

import (
	"bytes"
	"io"
	"text/tabwriter"
)

// table writes lines of cells that end with tabs, in columns, without spaces at the end.
type table struct {
	*tabwriter.Writer
	lines bytes.Buffer
	out   io.Writer
}

func newTable(out io.Writer) *table {
	t := &table{out: out}
	t.Writer = tabwriter.NewWriter(&t.lines, 0, 0, 2, ' ', 0)
	return t
}

// Flush writes what was written in columns.
func (t *table) Flush() error {
	if err := t.Writer.Flush(); err != nil {
		return err
	}
	for line := range bytes.Lines(t.lines.Bytes()) {
		if _, err := t.out.Write(append(bytes.TrimRight(line, " \n"), '\n')); err != nil {
			return err
		}
	}
	return nil
}
