package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/annals-db/annals"
)

// told is an event of an application.
type told struct {
	app    string
	record annals.Record
}

// inOrder sorts events of several logs by the time their logs took them.
func inOrder(all []told) []told {
	slices.SortStableFunc(all, func(a, b told) int { return a.record.Time.Compare(b.record.Time) })
	return all
}

// watch prints the events of all logs as they come.
func (s *shop) watch(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("watch", flag.ContinueOnError)
	count := flags.Int("n", 0, "end after so many events")
	start := flags.Bool("all", false, "begin with what is there already")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	events := make(chan told)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	for _, name := range apps {
		wg.Go(func() {
			for n, err := range s.dbs[name].Subscribe(ctx, annals.Query{}, &annals.SubscribeOptions{FromHead: !*start}) {
				if err != nil {
					cancel(err)
					return
				}
				select {
				case events <- told{name, n.Record}:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	for n := 1; ; n++ {
		select {
		case t := <-events:
			fmt.Fprintf(out, "%-10s  %-22s  %s\n", t.app, t.record.Type, t.record.Data)
		case <-ctx.Done():
			if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		}
		if n == *count {
			return nil
		}
	}
}
