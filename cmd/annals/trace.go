package main

import (
	"bufio"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/internal/wire"
)

func (a *app) traceCommand() *cobra.Command {
	var depth int
	cmd := &cobra.Command{
		Use:   "trace POSITION | ID | STREAM VERSION",
		Short: "Print the tree of causes and effects of an event",
		Long: `Print the tree that an event is in: from its first cause, by the metadata
"causation", down to all effects; and the other events of its "correlation". A
cause that is not in the log and a cycle are shown as such.

` + eventSyntax,
		Example: `  annals trace 120
  annals trace item-laptop 3 --depth 2`,
		Args: between(1, 2, "a POSITION, an ID, or a STREAM and a VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.trace(cmd, args, depth) },
	}
	cmd.Flags().IntVar(&depth, "depth", 0, "at most this many levels below a first cause (default all)")
	return cmd
}

func (a *app) trace(cmd *cobra.Command, args []string, depth int) error {
	if depth < 0 {
		return usagef("--depth is negative")
	}
	log, err := a.open(toRead)
	if err != nil {
		return err
	}
	defer log.Close()
	rec, err := event(cmd.Context(), log, args)
	if err != nil {
		return err
	}
	root, others, err := history.TraceOf(cmd.Context(), log, rec.Position)
	if err != nil {
		return err
	}
	for _, t := range append([]*history.Trace{root}, others...) {
		cut(t, depth)
	}
	if a.format != formatTable {
		b := appendTrace([]byte(`{"root":`), root)
		b = append(b, `,"others":[`...)
		for i, t := range others {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendTrace(b, t)
		}
		return a.value(append(b, "]}"...))
	}
	w := bufio.NewWriter(a.out)
	d := drawing{w: w, colour: a.colours()}
	d.draw(root, "", "")
	if len(others) > 0 {
		fmt.Fprintln(w, "of the same correlation:")
	}
	for _, t := range others {
		d.draw(t, "", "")
	}
	return w.Flush()
}

// cut leaves so many levels below t; 0 leaves all.
func cut(t *history.Trace, depth int) {
	if depth == 0 {
		return
	}
	level := []*history.Trace{t}
	for range depth {
		var next []*history.Trace
		for _, n := range level {
			next = append(next, n.Effects...)
		}
		level = next
	}
	for _, n := range level {
		n.Effects = nil
	}
}

func appendTrace(b []byte, t *history.Trace) []byte {
	if t.Missing != "" {
		b = append(append(b, `{"missing":`...), quoted(t.Missing)...)
	} else {
		b = wire.AppendRecord(append(b, `{"event":`...), &t.Record)
	}
	if t.Asked {
		b = append(b, `,"asked":true`...)
	}
	if t.Cycle {
		b = append(b, `,"cycle":true`...)
	}
	if len(t.Effects) > 0 {
		b = append(b, `,"effects":[`...)
		for i, e := range t.Effects {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendTrace(b, e)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// drawing draws trees for a terminal.
type drawing struct {
	w      *bufio.Writer
	colour bool
}

// draw draws t behind first, and what hangs on it behind rest.
func (d *drawing) draw(t *history.Trace, first, rest string) {
	text := ""
	switch {
	case t.Missing != "":
		text = "? " + t.Missing + " (not in the log)"
	case t.Cycle:
		text = inLine(&t.Record) + " (a cycle: it stands further up)"
	default:
		text = inLine(&t.Record)
	}
	text = printable(text)
	if t.Asked {
		text += " <-"
	}
	if d.colour && t.Asked {
		text = bold + text + reset
	} else if d.colour && (t.Missing != "" || t.Cycle) {
		text = red + text + reset
	}
	fmt.Fprintln(d.w, first+text)
	for i, e := range t.Effects {
		if i == len(t.Effects)-1 {
			d.draw(e, rest+"└─ ", rest+"   ")
		} else {
			d.draw(e, rest+"├─ ", rest+"│  ")
		}
	}
}
