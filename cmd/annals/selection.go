package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/seek"
	"github.com/annals-db/annals/internal/wire"
)

// selection is the flags that say which records are meant.
type selection struct {
	queries   []string
	category  string
	after, at uint64
	asOf      string
	backward  bool
	limit     int
}

func (s *selection) queryFlags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&s.queries, "query", "q", nil, "only what QUERY selects, see below; again for OR")
	cmd.Flags().StringVar(&s.category, "category", "", "only streams of this category: item means item and item-…")
}

func (s *selection) boundFlags(cmd *cobra.Command) {
	cmd.Flags().Uint64Var(&s.at, "at", 0, "only up to and with this position")
	cmd.Flags().StringVar(&s.asOf, "as-of", "", "only what the log had taken by TIME, see below")
}

// query returns what the flags and the optional stream argument select.
func (s *selection) query(args []string) (driver.Query, error) {
	queries := s.queries
	if s.category != "" {
		queries = append(queries, "category="+s.category)
	}
	if len(args) == 0 {
		q, err := wire.ParseQuery(queries...)
		if err != nil {
			return q, usage(err)
		}
		return q, nil
	}
	if len(queries) > 0 {
		return driver.Query{}, usagef("name a STREAM, or use --query and --category, not both")
	}
	if args[0] == "" {
		return driver.Query{}, usagef("STREAM is empty")
	}
	return driver.Query{Items: []driver.Item{{Streams: args[:1]}}}, nil
}

// upTo returns the position that --at or --as-of bounds the log to, and
// whether nothing is left.
func (s *selection) upTo(ctx context.Context, cmd *cobra.Command, a *app, log driver.Log) (p driver.Position, nothing bool, err error) {
	at, asOf := cmd.Flags().Changed("at"), cmd.Flags().Changed("as-of")
	switch {
	case at && asOf:
		return 0, false, usagef("use --at or --as-of, not both")
	case at && s.at == 0:
		return 0, false, usagef("--at: positions begin at 1")
	case at:
		info, err := log.Info(ctx)
		if err == nil && driver.Position(s.at) > info.Head {
			err = &driver.PositionError{What: fmt.Sprintf("position %d", s.at), Head: info.Head}
		}
		return driver.Position(s.at), false, err
	case asOf:
		t, err := a.time("as-of", s.asOf)
		if err != nil {
			return 0, false, err
		}
		p, err := seek.AsOf(ctx, log, t)
		return p, p == 0, err
	}
	return 0, false, nil
}
