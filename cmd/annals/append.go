package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/wire"
)

// appendFlags are the flags of append.
type appendFlags struct {
	expect    uint64
	noneMatch []string
	after     uint64
	tags      []string
	metadata  []string
	id        string
	occurred  string
	atomic    bool
	keepGoing bool
}

func (a *app) appendCommand() *cobra.Command {
	var f appendFlags
	cmd := &cobra.Command{
		Use:   "append [STREAM TYPE [DATA]]",
		Short: "Append events",
		Long: `Append one event, or without arguments one for each line of standard input.

DATA is JSON, {} if it is left out, - to read it from standard input. STREAM may
be "" for an event that is found by its tags only.

A line of standard input is an object with "stream", "type" and "data", and
optionally "tags", "metadata", "id", "occurred" and "expect_version". Each line is
answered in order, once it is durable, with a receipt; many are under way at once.
A line that is refused is answered with {"error":…} and ends the command, unless
--keep-going; what is answered with a receipt stays. Give IDs to be able to
repeat: an event that the log has already is answered as the first time.

With --expect-version or --if-none-match the event is appended only if that
holds, else the exit code is 4 and nothing is written.

` + wire.QuerySyntax,
		Example: `  annals append item-laptop ItemCreated '{"name":"Laptop","quantity":10}'
  annals append item-laptop QuantityDecreased '{"amount":3}' --expect-version 1
  annals append "" SeatTaken '{"seat":7}' --tag course:c1 --if-none-match type=SeatTaken,tag=course:c1
  echo '{"stream":"item-1","type":"Created","data":{"n":1},"tags":["room:2"]}' | annals append
  generate-events | annals append >receipts.jsonl`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return errors.New("append takes STREAM TYPE [DATA], or no arguments for lines of standard input; TYPE is missing")
			}
			return between(0, 3, "STREAM TYPE [DATA]")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.appendLines(cmd, &f)
			}
			return a.appendOne(cmd, &f, args)
		},
	}
	flags := cmd.Flags()
	flags.Uint64Var(&f.expect, "expect-version", 0, "only if the stream is at this version; 0: only if it does not exist")
	flags.StringArrayVar(&f.noneMatch, "if-none-match", nil, "only if no event matches QUERY; again for OR")
	flags.Uint64Var(&f.after, "after", 0, "with --if-none-match: look only at events after this position")
	flags.StringArrayVar(&f.tags, "tag", nil, "a tag key:value; again for more")
	flags.StringArrayVar(&f.metadata, "meta", nil, "metadata key=value, such as actor=ann; again for more")
	flags.StringVar(&f.id, "id", "", "the event's UUID (default a new one)")
	flags.StringVar(&f.occurred, "occurred", "", "the TIME when it happened in the world (default the time of appending)")
	flags.BoolVar(&f.atomic, "atomic", false, "lines: append all of them or none, as one batch")
	flags.BoolVar(&f.keepGoing, "keep-going", false, "lines: go on after a line that is refused")
	return cmd
}

// appendOne appends the event that the arguments are.
func (a *app) appendOne(cmd *cobra.Command, f *appendFlags, args []string) (err error) {
	if f.atomic || f.keepGoing {
		return usagef("--atomic and --keep-going are for lines of standard input")
	}
	e := driver.Event{Stream: args[0], Type: args[1], Tags: f.tags}
	if e.Data, err = a.payload(cmd.Context(), args[2:]); err != nil {
		return err
	}
	if e.Metadata, err = pairs(f.metadata); err != nil {
		return err
	}
	if f.occurred != "" {
		if e.Occurred, err = a.time("occurred", f.occurred); err != nil {
			return err
		}
	}
	if e.ID, err = eventID(f.id); err != nil {
		return err
	}
	conditions, err := f.conditions(cmd, e.Stream)
	if err != nil {
		return err
	}
	batch := driver.Batch{Events: []driver.Event{e}, Conditions: conditions}
	// A wrong event makes no store.
	if err := driver.Validate(&batch, driver.DefaultLimits); err != nil {
		return usage(plain(err))
	}
	log, err := a.open(toWrite)
	if err != nil {
		return err
	}
	defer log.Close()
	receipt, err := log.Append(cmd.Context(), batch)
	if err != nil {
		if as[*driver.InvalidError](err) || as[*driver.LimitError](err) {
			return usage(plain(err))
		}
		return err
	}
	return a.receipts(&receipt, batch.Events)
}

// plain takes the number of the event out of what is said of the only one.
func plain(err error) error {
	return errors.New(strings.Replace(err.Error(), "event 1 of the batch: ", "", 1))
}

func (a *app) payload(ctx context.Context, args []string) ([]byte, error) {
	text := []byte("{}")
	if len(args) == 1 {
		text = []byte(args[0])
	}
	if string(text) == "-" {
		var err error
		if text, err = io.ReadAll(io.LimitReader(interruptible(ctx, a.in), wire.MaxLine)); err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
	}
	data, err := wire.CheckData(text)
	if err != nil {
		return nil, usage(err)
	}
	return data, nil
}

func eventID(text string) (driver.ID, error) {
	if text == "" {
		return uuid.NewV7()
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return id, usagef("--id: %q is not a UUID", text)
	}
	return id, nil
}

func pairs(list []string) (driver.Metadata, error) {
	m := map[string]string{}
	for _, s := range list {
		key, value, ok := strings.Cut(s, "=")
		if _, twice := m[key]; !ok || key == "" || twice {
			return nil, usagef("--meta: %q is not of the form key=value, or the key is given twice", s)
		}
		m[key] = value
	}
	return driver.NewMetadata(m), nil
}

func (f *appendFlags) conditions(cmd *cobra.Command, stream string) ([]driver.Condition, error) {
	var list []driver.Condition
	if cmd.Flags().Changed("expect-version") {
		list = append(list, driver.StreamAt(stream, f.expect))
	}
	switch {
	case len(f.noneMatch) > 0:
		q, err := wire.ParseQuery(f.noneMatch...)
		if err != nil {
			return nil, usage(err)
		}
		list = append(list, driver.NoneAfter(q, driver.Position(f.after)))
	case cmd.Flags().Changed("after"):
		return nil, usagef("--after goes with --if-none-match")
	}
	return list, nil
}

// receipts prints the receipt of each event of a batch.
func (a *app) receipts(r *driver.Receipt, events []driver.Event) error {
	p := a.printer(receiptHeaders...)
	for i := range events {
		p.add(receiptItem(r, i, &events[i]))
	}
	return p.finish()
}

var receiptHeaders = []string{"POSITION", "STREAM", "VERSION", "ID", "DURABILITY"}

func receiptItem(r *driver.Receipt, i int, e *driver.Event) item {
	version := ""
	if e.Stream != "" {
		version = fmt.Sprint(r.Versions[i])
	}
	durability := r.Durability
	if r.Repeated {
		durability += " (repeated)"
	}
	return item{wire.AppendReceipt(nil, r, i, e),
		[]string{fmt.Sprint(uint64(r.First) + uint64(i)), e.Stream, version, e.ID.String(), durability}}
}

// readAll reads the events of all lines.
func readAll(ctx context.Context, in io.Reader) (b driver.Batch, err error) {
	parser := wire.NewParser()
	inStream := map[string]uint64{}
	for line, err := range wire.Lines(interruptible(ctx, in)) {
		if err != nil {
			return b, err
		}
		e, err := parser.Input(bytes.Clone(line.Text), line.Number)
		if err != nil {
			return b, err
		}
		if e.ID == (driver.ID{}) {
			if e.ID, err = uuid.NewV7(); err != nil {
				return b, err
			}
		}
		above := inStream[e.Stream]
		inStream[e.Stream]++
		b.Events = append(b.Events, e.Event)
		if e.ExpectVersion == nil {
			continue
		}
		// The lines above count for the version, but the log does not have
		// them yet when it looks at the conditions.
		if *e.ExpectVersion < above {
			return b, fmt.Errorf("line %d: it expects version %d of %q, and %d of the lines above it is of that stream", line.Number, *e.ExpectVersion, e.Stream, above)
		}
		if c := driver.StreamAt(e.Stream, *e.ExpectVersion-above); !slices.ContainsFunc(b.Conditions, func(o driver.Condition) bool { return o.Stream == c.Stream && o.Version == c.Version }) {
			b.Conditions = append(b.Conditions, c)
		}
	}
	return b, nil
}
