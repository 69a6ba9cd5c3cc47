package main

import (
	"bufio"
	"fmt"
	"slices"

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
	cmd.Flags().IntVar(&depth, "depth", 0, "at most this many levels (default all in JSON, in a table those near the event)")
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
	above := 0
	if a.format == formatTable && depth == 0 {
		root, above = near(root)
		depth = 2 * nearby
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
	if above > 0 {
		fmt.Fprintf(w, "(%s further up; -o json has them all)\n", count(above, "cause"))
	}
	d.draw(root, "", "")
	if len(others) > 0 {
		fmt.Fprintln(w, "of the same correlation:")
	}
	for _, t := range others {
		d.draw(t, "", "")
	}
	return w.Flush()
}

// nearby is how many causes above the event asked for are drawn, where nobody
// says how many; and as many effects below it.
const nearby = 15

// near returns the tree from nearby causes above the event asked for on, and how
// many causes are further up.
func near(root *history.Trace) (from *history.Trace, above int) {
	path := pathTo(root)
	if len(path) <= nearby+1 {
		return root, 0
	}
	above = len(path) - nearby - 1
	return path[above], above
}

// pathTo returns the way from the root to the event asked for.
func pathTo(root *history.Trace) []*history.Trace {
	type step struct {
		t    *history.Trace
		from *step
	}
	for open := []*step{{t: root}}; len(open) > 0; {
		s := open[len(open)-1]
		open = open[:len(open)-1]
		if s.t.Asked {
			var path []*history.Trace
			for ; s != nil; s = s.from {
				path = append(path, s.t)
			}
			slices.Reverse(path)
			return path
		}
		for _, e := range s.t.Effects {
			open = append(open, &step{e, s})
		}
	}
	return nil
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
