package main

import (
	"github.com/spf13/cobra"

	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/internal/when"
)

func (a *app) diffCommand() *cobra.Command {
	var f foldFlags
	var other string
	cmd := &cobra.Command{
		Use:   "diff STREAM [FROM [TO]]",
		Short: "Print the fields in which two states differ",
		Long: `Print the fields in which the states of a stream at two points differ, or those of
two streams. Without FROM it is the state before the last event; without TO, the
state now.

` + pointSyntax + "\n" + when.Syntax,
		Example: `  annals diff item-laptop 3 7
  annals diff item-laptop 2026-01-31
  annals diff item-laptop @1200 2h
  annals diff item-laptop --with item-phone`,
		Args: between(1, 3, "a STREAM and at most two points"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.diff(cmd, args, &f, other) },
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&other, "with", "", "another stream, of which TO is a point")
	return cmd
}

func (a *app) diff(cmd *cobra.Command, args []string, f *foldFlags, other string) error {
	ctx := cmd.Context()
	var points [2]history.Point
	for i, text := range args[1:] {
		p, err := a.parsePoint([]string{"FROM", "TO"}[i], text)
		if err != nil {
			return err
		}
		points[i] = p
	}
	h, log, err := a.history(ctx, args[0], f)
	if err != nil {
		return err
	}
	defer log.Close()
	to := h
	if other != "" {
		through, err := f.of(ctx, log, other)
		if err != nil {
			return err
		}
		to = history.Of(log, other, through)
	}
	for _, side := range []*history.History{h, to} { // a stream that is not there is not an empty one
		if _, last, err := side.State(ctx, history.Point{}); err != nil {
			return err
		} else if last == 0 {
			return noStream(side.Stream(), 0, false)
		} else if len(args) == 1 && other == "" {
			points[0] = history.Version(last - 1)
		}
	}
	changes, err := history.DiffOf(ctx, h, points[0], to, points[1])
	if err != nil {
		return err
	}
	return a.changes(changes)
}

// changes prints changes, one a row.
func (a *app) changes(changes []history.Change) error {
	p := a.printer("FIELD", "FROM", "TO")
	for _, c := range changes {
		from, to, colour := "", "", ""
		if c.Kind != history.Added {
			from = jsonOf(c.Old)
		} else {
			colour = green
		}
		if c.Kind != history.Removed {
			to = jsonOf(c.New)
		} else {
			colour = red
		}
		p.addIn(colour, item{appendChange(nil, c), []string{c.Path.String(), from, to}})
	}
	return p.finish()
}
