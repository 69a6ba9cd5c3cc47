package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/internal/when"
)

func (a *app) logCommand() *cobra.Command {
	var f foldFlags
	var at pointFlags
	var limit int
	var backward bool
	cmd := &cobra.Command{
		Use:   "log STREAM",
		Short: "Print a stream's events, each with what it changed",
		Long: `Print the events of a stream in order, each with the fields of the state that it
changed. -o jsonl adds "changes" to the record: path, kind (added, removed, set),
old and new.

` + when.Syntax,
		Example: `  annals log item-laptop
  annals log item-laptop --backward --limit 10
  annals log product-22197 --fold '.sold += $event.data.quantity' --as-of 2011-06-30`,
		Args: between(1, 1, "one STREAM"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.log(cmd, args[0], &f, &at, limit, backward)
		},
	}
	f.flags(cmd)
	at.flags(cmd, "up to what there was")
	cmd.Flags().IntVarP(&limit, "limit", "n", 0, "at most this many (default all)")
	cmd.Flags().BoolVar(&backward, "backward", false, "from the last to the first")
	return cmd
}

func (a *app) log(cmd *cobra.Command, stream string, f *foldFlags, at *pointFlags, limit int, backward bool) error {
	if limit < 0 {
		return usagef("--limit is negative")
	}
	point, err := at.point(cmd, a)
	if err != nil {
		return err
	}
	h, log, err := a.history(cmd.Context(), stream, f)
	if err != nil {
		return err
	}
	defer log.Close()
	p := a.printer("VERSION", "TIME", "TYPE", "ACTOR", "REASON", "CHANGES")
	var last []history.Entry // of a log that is printed backward
	n := 0
	for e, err := range h.Until(point).Log(cmd.Context()) {
		if err != nil {
			_ = p.flush() // what was read is good
			return err
		}
		if backward {
			last = append(last, e)
			if limit > 0 && len(last) > 2*limit {
				last = slices.Clone(last[len(last)-limit:])
			}
			continue
		}
		p.addEntry(&e)
		if n++; n == limit {
			break
		}
	}
	if limit > 0 && len(last) > limit {
		last = last[len(last)-limit:]
	}
	for _, e := range slices.Backward(last) {
		p.addEntry(&e)
	}
	return p.finish()
}

func (p *printer) addEntry(e *history.Entry) {
	r := &e.Record
	if p.format != formatTable {
		p.add(item{json: with(r, appendChanges([]byte(`"changes":`), e.Changes))})
		return
	}
	p.add(item{cells: []string{fmt.Sprint(r.Version), stampOf(r.Time), r.Type, r.Metadata.Value("actor"), brief(r.Metadata.Value("reason"), 50), inWords(e.Changes)}})
}
