package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/internal/when"
)

func (a *app) blameCommand() *cobra.Command {
	var f foldFlags
	var at pointFlags
	cmd := &cobra.Command{
		Use:   "blame STREAM [FIELD]",
		Short: "Print the event that last set each field of a state",
		Long: `Print for every field of a stream's state, or those that FIELD leads to, the event
that last changed it: version, time, actor. A FIELD is as jq writes it: .lines[2].price

` + when.Syntax,
		Example: `  annals blame item-laptop
  annals blame item-laptop .quantity --as-of 2026-01-31`,
		Args: between(1, 2, "a STREAM and at most a FIELD"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.blame(cmd, args, &f, &at) },
	}
	f.flags(cmd)
	at.flags(cmd, "the state")
	return cmd
}

func (a *app) blame(cmd *cobra.Command, args []string, f *foldFlags, at *pointFlags) error {
	point, err := at.point(cmd, a)
	if err != nil {
		return err
	}
	var field history.Path
	if len(args) == 2 {
		if field, err = history.ParsePath(args[1]); err != nil {
			return usage(err)
		}
	}
	h, log, err := a.history(cmd.Context(), args[0], f)
	if err != nil {
		return err
	}
	defer log.Close()
	origins, err := h.Blame(cmd.Context(), point, field)
	if err != nil {
		return err
	}
	p := a.printer("VERSION", "TIME", "ACTOR", "TYPE", "FIELD", "VALUE")
	for _, o := range origins {
		r, value := &o.Record, jsonOf(o.Value)
		text := fmt.Appendf(nil, `{"path":%s,"value":%s`, quoted(o.Path.String()), value)
		cells := []string{"", "", "", "(as the fold begins)", o.Path.String(), value}
		if r.Position != 0 {
			text = fmt.Appendf(text, `,"version":%d,"position":%d,"type":%s,"id":%q,"time":%q`,
				r.Version, r.Position, quoted(r.Type), r.ID, r.Time.UTC().Format(time.RFC3339Nano))
			if actor := r.Metadata.Value("actor"); actor != "" {
				text = append(append(text, `,"actor":`...), quoted(actor)...)
			}
			cells = []string{fmt.Sprint(r.Version), stampOf(r.Time), r.Metadata.Value("actor"), r.Type, o.Path.String(), value}
		}
		p.add(item{json: append(text, '}'), cells: cells})
	}
	return p.finish()
}
