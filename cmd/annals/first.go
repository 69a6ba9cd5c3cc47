package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/internal/when"
)

const predicateSyntax = `A PREDICATE is a jq program whose input is the state: '.quantity < 0'. It may look
at $event. Everything but false and null is yes.`

func (a *app) firstCommand() *cobra.Command {
	var f foldFlags
	var at pointFlags
	var all bool
	cmd := &cobra.Command{
		Use:   "first STREAM PREDICATE",
		Short: "Find the first event after which something holds",
		Long: `Print the first event of a stream after which a predicate holds of its state. It
folds the stream once and tests every version. --all prints every event at which
the predicate begins to hold or ceases to; "holds" says which.

` + predicateSyntax + "\n" + when.Syntax,
		Example: `  annals first item-laptop '.quantity < 3'
  annals first product-22197 '.sold > 50250' --fold '.sold += $event.data.quantity' --all`,
		Args: between(2, 2, "a STREAM and a PREDICATE"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.first(cmd, args, &f, &at, all) },
	}
	f.flags(cmd)
	at.flags(cmd, "up to what there was")
	cmd.Flags().BoolVar(&all, "all", false, "every flip, not only the first")
	return cmd
}

func (a *app) first(cmd *cobra.Command, args []string, f *foldFlags, at *pointFlags, all bool) error {
	point, err := at.point(cmd, a)
	if err != nil {
		return err
	}
	p, err := predicate(args[1])
	if err != nil {
		return err
	}
	h, log, err := a.history(cmd.Context(), args[0], f)
	if err != nil {
		return err
	}
	defer log.Close()
	out := a.printer(flipHeaders...)
	if !all {
		flip, err := h.Until(point).First(cmd.Context(), p)
		if err != nil {
			return err
		}
		out.addFlip(&flip, "")
		return out.finish()
	}
	n := 0
	for flip, err := range h.Until(point).Flips(cmd.Context(), p) {
		if err != nil {
			_ = out.flush() // what was found is so
			return err
		}
		n++
		out.addFlip(&flip, "")
	}
	if n == 0 {
		a.note("%s never holds", args[1])
	}
	return out.finish()
}

var flipHeaders = []string{"VERSION", "POSITION", "TIME", "TYPE", "ACTOR", "HOLDS"}

// addFlip adds a flip, with more fields of JSON if there are any.
func (p *printer) addFlip(f *history.Flip, more string) {
	r, colour := &f.Record, red
	if f.Holds {
		colour = green
	}
	p.addIn(colour, item{with(r, fmt.Appendf(nil, `"holds":%v%s`, f.Holds, more)), []string{fmt.Sprint(r.Version), fmt.Sprint(r.Position),
		stampOf(r.Time), r.Type, r.Metadata.Value("actor"), map[bool]string{true: "from here on", false: "no longer"}[f.Holds]}})
}
