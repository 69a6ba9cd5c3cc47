package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/internal/wire"
)

const eventSyntax = `An event is named by its position, its ID, or its stream and version.`

func (a *app) showCommand() *cobra.Command {
	var f foldFlags
	cmd := &cobra.Command{
		Use:   "show POSITION | ID | STREAM VERSION",
		Short: "Print everything about one event",
		Long: `Print one event: the record, the events appended with it, the conditions that its
append relied on (what its decision had read), its cause and effects, and the
state of its stream before and after it.

` + eventSyntax,
		Example: `  annals show 120
  annals show item-laptop 3 -o json`,
		Args: between(1, 2, "a POSITION, an ID, or a STREAM and a VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.show(cmd.Context(), args, &f) },
	}
	f.flags(cmd)
	return cmd
}

// event finds the event that arguments name.
func event(ctx context.Context, log driver.Log, args []string) (driver.Record, error) {
	var q driver.Query
	var o driver.ReadOptions
	var what string
	var version uint64
	var err error
	if len(args) == 2 {
		if version, err = strconv.ParseUint(args[1], 10, 64); err != nil {
			return driver.Record{}, usagef("VERSION: %q is not a whole number", args[1])
		}
		q.Items = []driver.Item{{Streams: args[:1]}}
		what = fmt.Sprintf("version %d of stream %q", version, args[0])
	} else if p, err := strconv.ParseUint(args[0], 10, 64); err == nil {
		info, err := log.Info(ctx)
		if err == nil && (p == 0 || p > uint64(info.Head)) {
			err = &driver.PositionError{What: "position " + args[0], Head: info.Head}
		}
		if err != nil {
			return driver.Record{}, err
		}
		o = driver.ReadOptions{After: driver.Position(p - 1), UpTo: driver.Position(p)}
		what = "position " + args[0]
	} else if id, err := uuid.Parse(args[0]); err == nil {
		q.Items = []driver.Item{{IDs: []driver.ID{id}}}
		what = "event " + args[0]
	} else {
		return driver.Record{}, usagef("%q is neither a position nor an ID; of a stream, name the version too", args[0])
	}
	for rec, err := range log.Read(ctx, q, o) {
		if err != nil || version == 0 && len(args) == 1 || rec.Version == version {
			return rec, err
		}
	}
	return driver.Record{}, fmt.Errorf("%w: %s", driver.ErrNotFound, what)
}

func (a *app) show(ctx context.Context, args []string, f *foldFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	log, err := a.open(toRead)
	if err != nil {
		return err
	}
	defer log.Close()
	rec, err := event(ctx, log, args)
	if err != nil {
		return err
	}
	through, err := f.of(ctx, log, rec.Stream)
	if err != nil {
		return err
	}
	s, err := history.ShowAt(ctx, log, rec.Position, through)
	if err != nil {
		return err
	}
	return a.one(shownJSON(s), shownPairs(s))
}

func shownJSON(s *history.Shown) []byte {
	b := append([]byte(`{"event":`), wire.AppendRecord(nil, &s.Record)...)
	b = append(b, `,"conditions":[`...)
	for i := range s.Conditions {
		if i > 0 {
			b = append(b, ',')
		}
		b = wire.AppendCondition(b, &s.Conditions[i])
	}
	b = append(b, ']')
	if s.Record.Stream != "" {
		b = fmt.Appendf(b, `,"before":%s,"after":%s,"changes":`, jsonOf(s.Before), jsonOf(s.After))
		b = appendChanges(b, s.Changes)
	}
	if s.Cause != nil {
		b = wire.AppendRecord(append(b, `,"cause":`...), s.Cause)
	}
	list := func(name string, records []driver.Record) {
		b = append(b, `,"`+name+`":[`...)
		for i := range records {
			if i > 0 {
				b = append(b, ',')
			}
			b = wire.AppendRecord(b, &records[i])
		}
		b = append(b, ']')
	}
	list("effects", s.Effects)
	list("batch", s.Batch)
	return append(b, '}')
}

func shownPairs(s *history.Shown) [][2]string {
	r := &s.Record
	pairs := [][2]string{{"position", fmt.Sprint(r.Position)}}
	add := func(name, value string) {
		if value != "" {
			pairs = append(pairs, [2]string{name, value})
		}
	}
	if r.Stream != "" {
		add("stream", fmt.Sprintf("%s, version %d", r.Stream, r.Version))
	}
	add("type", r.Type)
	add("id", r.ID.String())
	add("time", stampOf(r.Time))
	if !r.Occurred.IsZero() {
		add("occurred", stampOf(r.Occurred))
	}
	add("tags", strings.Join(r.Tags, " "))
	for _, p := range r.Metadata {
		add(p.Key, p.Value)
	}
	add("encoding", r.Encoding)
	if r.Encoding == "" {
		add("data", string(r.Data))
	}
	for _, c := range s.Conditions {
		add("had read", c.String())
	}
	if len(s.Batch) > 1 {
		add("batch", fmt.Sprintf("positions %d to %d", s.Batch[0].Position, s.Batch[len(s.Batch)-1].Position))
	}
	if s.Cause != nil {
		add("caused by", inLine(s.Cause))
	}
	for i := range s.Effects {
		add("caused", inLine(&s.Effects[i]))
	}
	if r.Stream != "" {
		add("before", jsonOf(s.Before))
		add("after", jsonOf(s.After))
		add("changes", inWords(s.Changes))
	}
	return pairs
}

// inLine names an event in one line.
func inLine(r *driver.Record) string {
	text := fmt.Sprintf("%d %s", r.Position, r.Type)
	if r.Stream != "" {
		text = fmt.Sprintf("%d %s %s, version %d", r.Position, r.Type, r.Stream, r.Version)
	}
	if actor := r.Metadata.Value("actor"); actor != "" {
		text += " by " + actor
	}
	return text
}
