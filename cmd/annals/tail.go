package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/wire"
)

func (a *app) tailCommand() *cobra.Command {
	var s selection
	var last int
	cmd := &cobra.Command{
		Use:   "tail [STREAM]",
		Short: "Print the last events, then each new one as it comes",
		Long: `Print the last events of a stream, of a query or of the whole log, then each new
one as it becomes durable, until interrupted or --limit events are printed.

` + wire.QuerySyntax,
		Example: `  annals tail
  annals tail item-laptop -n 100
  annals tail --query type=StockMoved --after 0 --limit 1000`,
		Args: between(0, 1, "at most a STREAM"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.tail(cmd, &s, last, args) },
	}
	s.queryFlags(cmd)
	cmd.Flags().IntVarP(&last, "last", "n", 10, "how many of the events there are to begin with")
	cmd.Flags().Uint64Var(&s.after, "after", 0, "begin behind this position instead")
	cmd.Flags().IntVar(&s.limit, "limit", 0, "end after this many events (default never)")
	return cmd
}

func (a *app) tail(cmd *cobra.Command, s *selection, last int, args []string) error {
	ctx := cmd.Context()
	q, err := s.query(args)
	if err != nil {
		return err
	}
	if last < 0 || s.limit < 0 {
		return usagef("-n and --limit cannot be negative")
	}
	log, err := a.open(toRead)
	if err != nil {
		return err
	}
	defer log.Close()
	t := tailer{log: log, query: q, printer: a.printer(recordHeaders...), limit: s.limit, at: driver.Position(s.after)}
	if cmd.Flags().Changed("after") {
		err = t.reached(ctx)
	} else {
		err = t.begin(ctx, last)
	}
	if err != nil {
		return err
	}
	err = t.follow(ctx)
	if flushErr := t.printer.finish(); err == nil || errors.Is(err, errDone) {
		return flushErr
	}
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%w after position %d", cause, t.at)
	}
	return err
}

// errDone ends a tail that has printed as many as it should.
var errDone = errors.New("done")

// tailer prints a query's records as they come.
type tailer struct {
	log     driver.Log
	query   driver.Query
	printer *printer
	limit   int             // 0 for none
	at      driver.Position // up to which all is printed
	printed int
}

// reached returns an error if the log does not reach up to where printing is to
// begin: whoever has followed it farther is ahead of a restored backup.
func (t *tailer) reached(ctx context.Context) error {
	info, err := t.log.Info(ctx)
	if err == nil && t.at > info.Head {
		err = &driver.PositionError{What: fmt.Sprintf("position %d", t.at), Head: info.Head}
	}
	return err
}

// begin prints the last n records there are.
func (t *tailer) begin(ctx context.Context, n int) error {
	info, err := t.log.Info(ctx)
	if err != nil || info.Head == 0 {
		return err
	}
	var records []driver.Record
	if n > 0 {
		for rec, err := range t.log.Read(ctx, t.query, driver.ReadOptions{UpTo: info.Head, Backward: true, Limit: n}) {
			if err != nil {
				return err
			}
			records = append(records, rec)
		}
	}
	t.at = info.Head
	for _, rec := range slices.Backward(records) {
		if err := t.print(&rec); err != nil {
			return ignoreDone(err)
		}
	}
	return t.printer.flush()
}

func ignoreDone(err error) error {
	if errors.Is(err, errDone) {
		return nil
	}
	return err
}

func (t *tailer) print(rec *driver.Record) error {
	if t.limit > 0 && t.printed == t.limit {
		return errDone
	}
	t.printer.addRecord(rec)
	t.printed++
	return nil
}

func (t *tailer) follow(ctx context.Context) error {
	for t.limit == 0 || t.printed < t.limit {
		head, err := t.log.Wait(ctx, t.at)
		if err != nil {
			return err
		}
		for rec, err := range t.log.Read(ctx, t.query, driver.ReadOptions{After: t.at, UpTo: head}) {
			if err != nil {
				return err
			}
			if err := t.print(&rec); err != nil {
				return err
			}
		}
		t.at = head
		if err := t.printer.flush(); err != nil {
			return err
		}
	}
	return errDone
}
