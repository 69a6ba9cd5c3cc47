package main

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/fold"
	"github.com/annals-db/annals/internal/when"
	"github.com/annals-db/annals/internal/wire"
)

// stateFlags are the flags of state.
type stateFlags struct {
	selection
	fold       foldFlags
	atVersion  uint64
	asOccurred string
	each       bool
}

func (a *app) stateCommand() *cobra.Command {
	var f stateFlags
	cmd := &cobra.Command{
		Use:   "state [STREAM]",
		Short: "Print the state that events add up to, now or at any time",
		Long: `Print the state that the events of a stream, a category or a query add up to, as
one JSON value: now, or as it was.

A fold says how: a jq program whose input is the state, at first {}, with the
event as $event (in the form that read prints), and whose one output is the next
state. Integers are exact, whatever their size; other numbers are 64-bit floating
point once computed with. A fold looks at nothing else: now, env and input are
refused. Without one, that which "fold set" keeps for the category is used; else each
event's data is merged into the state (RFC 7386).

` + when.Syntax + "\n\n" + wire.QuerySyntax,
		Example: `  annals state item-laptop
  annals state product-22197 --fold '.sold += $event.data.quantity'
  annals state product-22197 --fold-file sold.jq --as-of 2011-06-30
  annals state item-laptop --at-version 3
  annals state --category product --fold '.sold += $event.data.quantity'
  annals state --category product --each --fold-file sold.jq`,
		Args: between(0, 1, "at most a STREAM"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.state(cmd, &f, args) },
	}
	f.queryFlags(cmd)
	f.boundFlags(cmd)
	f.fold.flags(cmd)
	flags := cmd.Flags()
	flags.Uint64Var(&f.atVersion, "at-version", 0, "the stream's state at this version")
	flags.StringVar(&f.asOccurred, "as-occurred", "", "of all that is known now, what had occurred by TIME, in that order")
	flags.BoolVar(&f.each, "each", false, "the state of each stream by itself, one an object with stream, version and state")
	return cmd
}

func (a *app) state(cmd *cobra.Command, f *stateFlags, args []string) error {
	ctx := cmd.Context()
	if err := f.check(cmd, args); err != nil {
		return err
	}
	q, err := f.query(args)
	if err != nil {
		return err
	}
	log, err := a.open(toRead)
	if err != nil {
		return err
	}
	defer log.Close()
	category := f.category
	if len(args) == 1 {
		category = driver.Category(args[0])
	}
	program, err := f.fold.compile(ctx, log, category)
	if err != nil {
		return err
	}
	upTo, nothing, err := f.upTo(ctx, cmd, a, log)
	if err != nil {
		return err
	}
	records := log.Read(ctx, q, driver.ReadOptions{UpTo: upTo, Limit: int(f.atVersion)})
	if nothing {
		records = func(func(driver.Record, error) bool) {}
	}
	if f.asOccurred != "" {
		t, err := a.time("as-occurred", f.asOccurred)
		if err != nil {
			return err
		}
		records = fold.AsOccurred(records, t)
	}
	if f.each {
		return a.eachState(ctx, program, records)
	}
	state, n, err := program.Over(ctx, records)
	switch {
	case err != nil:
		return err
	case n == 0 && len(args) == 1:
		return noStream(args[0], upTo, nothing || f.asOccurred != "")
	case n < int(f.atVersion):
		return fmt.Errorf("%w: version %d of stream %q; it is at version %d", driver.ErrNotFound, f.atVersion, args[0], n)
	}
	text, err := fold.Marshal(state)
	if err != nil {
		return err
	}
	return a.one(text, fieldsOf(state))
}

func (f *stateFlags) check(cmd *cobra.Command, args []string) error {
	version := cmd.Flags().Changed("at-version")
	switch {
	case len(args) == 0 && len(f.queries) == 0 && f.category == "":
		return usagef("state of what? Name a STREAM, or use --category or --query")
	case version && (len(args) == 0 || f.atVersion == 0):
		return usagef("--at-version needs a STREAM and a version from 1")
	case version && f.atVersion > 1<<62:
		return fmt.Errorf("%w: version %d of stream %q", driver.ErrNotFound, f.atVersion, args[0])
	case version && (f.asOf != "" || f.at != 0), f.asOccurred != "" && (version || f.asOf != "" || f.at != 0):
		return usagef("use one of --at-version, --at, --as-of and --as-occurred")
	}
	return f.fold.check()
}

// noStream says that a stream has no event, up to a position where that is not 0.
func noStream(stream string, upTo driver.Position, earlier bool) error {
	switch {
	case earlier:
		return fmt.Errorf("%w: stream %q has no event by then", driver.ErrNotFound, stream)
	case upTo != 0:
		return fmt.Errorf("%w: stream %q has no event up to position %d", driver.ErrNotFound, stream, upTo)
	}
	return fmt.Errorf("%w: there is no stream %q", driver.ErrNotFound, stream)
}

// fieldsOf returns the fields of a state for a table.
func fieldsOf(state any) [][2]string {
	m, ok := state.(map[string]any)
	if !ok {
		text, _ := fold.Marshal(state)
		return [][2]string{{"state", string(text)}}
	}
	var list [][2]string
	for name, v := range m {
		text, _ := fold.Marshal(v)
		list = append(list, [2]string{name, string(text)})
	}
	slices.SortFunc(list, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return list
}

// eachState folds every stream by itself.
func (a *app) eachState(ctx context.Context, program *fold.Fold, records iter.Seq2[driver.Record, error]) error {
	type one struct {
		run     *fold.Run
		version uint64
	}
	runs := map[string]*one{}
	var names []string
	for rec, err := range records {
		if err != nil {
			return err
		}
		o := runs[rec.Stream]
		if o == nil {
			o = &one{run: program.Start(ctx)}
			defer o.run.Close()
			runs[rec.Stream] = o
			names = append(names, rec.Stream)
		}
		if err := o.run.Apply(&rec); err != nil {
			return err
		}
		o.version = rec.Version
	}
	slices.Sort(names)
	p := a.printer("STREAM", "VERSION", "STATE")
	for _, name := range names {
		o := runs[name]
		if err := o.run.Finish(); err != nil {
			return err
		}
		text, err := fold.Marshal(o.run.State())
		if err != nil {
			return err
		}
		line, err := jsontext.AppendQuote(nil, name)
		if err != nil {
			return err
		}
		p.add(item{fmt.Appendf(nil, `{"stream":%s,"version":%d,"state":%s}`, line, o.version, text), []string{name, fmt.Sprint(o.version), string(text)}})
	}
	return p.finish()
}
