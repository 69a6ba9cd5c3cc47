package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/internal/when"
	"github.com/annals-db/annals/internal/wire"
)

func (a *app) queryCommand() *cobra.Command {
	var s selection
	var where string
	var metadata []string
	cmd := &cobra.Command{
		Use:   "query [CONDITION]",
		Short: "Find events by type, tags, stream, metadata and content",
		Long: `Print the events that --query and --category select, that have all the metadata
asked for, and of which CONDITION holds: a jq program whose input is the record, in
the form that read prints.

` + wire.QuerySyntax + "\n\n" + when.Syntax,
		Example: `  annals query '.data.quantity < -1000'
  annals query --query type=StockMoved --meta actor=ann '.data.price > 100 and .occurred < "2011"'
  annals query --category item --backward --limit 5`,
		Args: between(0, 1, "at most a CONDITION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				where = args[0]
			}
			return a.query(cmd, &s, where, metadata)
		},
	}
	s.queryFlags(cmd)
	s.boundFlags(cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&metadata, "meta", nil, "metadata key=value; again for more, all of which must match")
	flags.Uint64Var(&s.after, "after", 0, "only behind this position")
	flags.BoolVar(&s.backward, "backward", false, "from the last to the first")
	flags.IntVarP(&s.limit, "limit", "n", 0, "at most this many (default all)")
	return cmd
}

func (a *app) query(cmd *cobra.Command, s *selection, where string, metadata []string) error {
	ctx := cmd.Context()
	q, err := s.query(nil)
	if err != nil {
		return err
	}
	w := history.Where{Query: q, Test: where, Metadata: map[string]string{}}
	for _, m := range metadata {
		key, value, ok := strings.Cut(m, "=")
		if !ok || key == "" {
			return usagef("--meta: %q is not of the form key=value", m)
		}
		w.Metadata[key] = value
	}
	if err := w.Check(); err != nil {
		return usage(err)
	}
	if s.limit < 0 {
		return usagef("--limit is negative")
	}
	log, err := a.open(toRead)
	if err != nil {
		return err
	}
	defer log.Close()
	upTo, nothing, err := s.upTo(ctx, cmd, a, log)
	if err != nil {
		return err
	}
	p := a.printer(recordHeaders...)
	if !nothing {
		o := driver.ReadOptions{After: driver.Position(s.after), UpTo: upTo, Backward: s.backward, Limit: s.limit}
		for rec, err := range history.Query(ctx, log, w, o) {
			if err != nil {
				_ = p.flush() // what was read is good
				return err
			}
			p.addRecord(&rec)
		}
	}
	return p.finish()
}
