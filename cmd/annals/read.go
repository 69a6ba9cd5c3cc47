package main

import (
	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/when"
	"github.com/annals-db/annals/internal/wire"
)

func (a *app) readCommand() *cobra.Command {
	var s selection
	cmd := &cobra.Command{
		Use:   "read [STREAM]",
		Short: "Print events in order",
		Long: `Print the events of a stream, of a query, or of the whole log, in order of position.

` + wire.QuerySyntax + "\n\n" + when.Syntax,
		Example: `  annals read item-laptop
  annals read --query type=ItemCreated,category=item --limit 10
  annals read --query tag=course:c1 --backward -o table
  annals read --after 1000 --as-of 2026-01-31`,
		Args: between(0, 1, "at most a STREAM"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.read(cmd, &s, args) },
	}
	s.queryFlags(cmd)
	s.boundFlags(cmd)
	cmd.Flags().Uint64Var(&s.after, "after", 0, "only behind this position")
	cmd.Flags().BoolVar(&s.backward, "backward", false, "from the last to the first")
	cmd.Flags().IntVarP(&s.limit, "limit", "n", 0, "at most this many (default all)")
	return cmd
}

func (a *app) read(cmd *cobra.Command, s *selection, args []string) error {
	ctx := cmd.Context()
	q, err := s.query(args)
	if err != nil {
		return err
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
	found := false
	if !nothing {
		o := driver.ReadOptions{After: driver.Position(s.after), UpTo: upTo, Backward: s.backward, Limit: s.limit}
		for rec, err := range log.Read(ctx, q, o) {
			if err != nil {
				_ = p.flush() // what was read is good
				return err
			}
			found = true
			p.addRecord(&rec)
		}
	}
	if !found && len(args) == 1 && s.after == 0 {
		return noStream(args[0], upTo, nothing)
	}
	return p.finish()
}
