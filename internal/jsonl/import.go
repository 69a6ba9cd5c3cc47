package jsonl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/feed"
	"github.com/annals-db/annals/internal/wire"
)

// Options of an import.
type Options struct {
	// Source names the file in the IDs of events that have none. Defaults to ""
	Source string
	// Batch is the most lines without a "batch" that are appended together. Defaults to 1000
	Batch int
	// Progress is told the lines done now and then. Defaults to nil, nobody
	Progress func(lines int)
}

// Summary says what an import has done, also when it was broken off.
type Summary struct {
	Lines    int             // read
	Added    int             // events appended
	Known    int             // events that the log had already
	Dropped  int             // conditions left out, see [Import]
	First    driver.Position // of the events added, 0 if none
	Last     driver.Position
	LastLine int    // the last line that is in the log
	Disk     string // durability, in the store's words
}

// namespace is that of the IDs made from lines.
var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/annals-db/annals/import/jsonl"))

// Import appends the records or events in r, one a line, to log. A time is
// kept as the log's, which asks for a log whose head is not later; lines with
// the same "batch" next to each other are one batch; an ID that is missing is
// made from the source and the line's number, so that a second run adds
// nothing. Conditions are kept as long as every record gets the position it
// had; from the first that does not on they would be judged against another
// history, and are left out and counted.
//
// An error names the line. When ctx ends, Import waits for what is under way
// and returns ctx's error.
func Import(ctx context.Context, log driver.Log, r io.Reader, o *Options) (Summary, error) {
	if o == nil {
		o = &Options{}
	}
	info, err := log.Info(ctx)
	if err != nil {
		return Summary{}, err
	}
	im := &importer{options: *o, limits: info.Limits, exact: true}
	if im.begin, err = firstID(ctx, log); err != nil {
		return Summary{}, err
	}
	if im.options.Batch <= 0 {
		im.options.Batch = 1000
	}
	im.options.Batch = min(im.options.Batch, info.Limits.BatchEvents)
	err = feed.Run(ctx, log, &feed.Options{Head: info.Time}, func(f *feed.Feeder[tag]) error { return im.produce(f, r) }, im.answered)
	return im.summary, err
}

// tag is what is remembered of a batch under way.
type tag struct {
	first, last int             // lines
	events      int             // how many
	at          driver.Position // where its first event must be, 0 for anywhere
	time        time.Time
}

type importer struct {
	options Options
	limits  driver.Limits
	summary Summary
	begin   driver.ID // of the log's first event, zero if it is empty

	exact  bool            // whether all records so far are at the positions they had
	next   driver.Position // the position that an exact record must have next
	batch  []wire.Imported // being filled
	size   int
	last   time.Time
	feeder *feed.Feeder[tag]
}

func (im *importer) produce(f *feed.Feeder[tag], r io.Reader) error {
	im.feeder, im.next = f, 1
	parser := wire.NewParser()
	for line, err := range wire.Lines(r) {
		if err != nil {
			return errors.Join(im.flush(), err)
		}
		rec, err := parser.Record(line.Text, line.Number)
		if err != nil {
			return errors.Join(im.flush(), err)
		}
		if err := im.take(&rec); err != nil {
			return err
		}
		if im.summary.Lines%1000 == 0 && im.options.Progress != nil {
			im.options.Progress(im.summary.Lines)
		}
	}
	return im.flush()
}

func (im *importer) take(rec *wire.Imported) error {
	im.summary.Lines++
	if !rec.Time.IsZero() && rec.Time.Before(im.last) {
		return errors.Join(im.flush(), fmt.Errorf("line %d: its time %s is before that of the line above it, %s; records must be in order of time",
			rec.Line, stamp(rec.Time), stamp(im.last)))
	}
	if rec.ID == (driver.ID{}) {
		rec.ID = uuid.NewSHA1(namespace, strconv.AppendInt([]byte(im.options.Source+"\n"), int64(rec.Line), 10))
	}
	size := rec.Size()
	if len(im.batch) > 0 && !im.together(rec, size) {
		if err := im.flush(); err != nil {
			return err
		}
	}
	if !rec.Time.IsZero() {
		im.last = rec.Time
	}
	im.batch = append(im.batch, *rec)
	im.size += size
	return nil
}

// together reports whether rec belongs to the batch being filled.
func (im *importer) together(rec *wire.Imported, size int) bool {
	if first := &im.batch[0]; rec.Batch != 0 || first.Batch != 0 {
		return rec.Batch == first.Batch
	} else if !rec.Time.Equal(first.Time) {
		return false
	}
	return len(im.batch) < im.options.Batch && im.size+size <= im.limits.BatchBytes
}

func (im *importer) flush() error {
	batch := im.batch
	im.batch, im.size = nil, 0
	if len(batch) == 0 {
		return nil
	}
	b := driver.Batch{Events: make([]driver.Event, len(batch)), Conditions: batch[0].Conditions, Time: batch[0].Time}
	if im.next == 1 && im.begin != (driver.ID{}) && batch[0].ID != im.begin {
		im.exact = false // the log holds something else
	}
	for i := range batch {
		b.Events[i] = batch[i].Event
		if batch[i].Position != im.next+driver.Position(i) {
			im.exact = false
		}
	}
	t := tag{first: batch[0].Line, last: batch[len(batch)-1].Line, events: len(batch), time: b.Time}
	if im.exact {
		t.at = im.next
		im.next += driver.Position(len(batch))
	} else {
		im.summary.Dropped += len(b.Conditions)
		b.Conditions = nil
	}
	return im.feeder.Submit(t, b)
}

func (im *importer) answered(t tag, r driver.Receipt, err error) error {
	s := &im.summary
	var invalid *driver.InvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Field == "time":
		return fmt.Errorf("line %d: its time %s is before that of the log's last event; records with times need a log that ends before they begin", t.first, stamp(t.time))
	case err != nil:
		return fmt.Errorf("line %d: %w", t.first, err)
	case t.at != 0 && r.First != t.at:
		return fmt.Errorf("line %d: it is from position %d and is now at %d; the log holds this history's begin and other events besides", t.first, t.at, r.First)
	case r.Repeated:
		s.Known += t.events
	default:
		s.Added += t.events
		if s.Last = r.Last; s.First == 0 {
			s.First = r.First
		}
		s.Disk = r.Durability
	}
	s.LastLine = t.last
	return nil
}

// firstID returns the ID of the log's first event, zero if it is empty.
func firstID(ctx context.Context, log driver.Log) (driver.ID, error) {
	for rec, err := range log.Read(ctx, driver.Query{}, driver.ReadOptions{Limit: 1}) {
		return rec.ID, err
	}
	return driver.ID{}, nil
}

func stamp(t time.Time) string { return t.Format(time.RFC3339Nano) }
