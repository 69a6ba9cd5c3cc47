package rows

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/feed"
)

// Options of an import.
type Options struct {
	// Batch is the most rows that are appended together. Defaults to 1000
	Batch int
	// DryRun appends nothing. Defaults to false
	DryRun bool
	// Bad is told each row that is passed over; an error stops. Defaults to nil, the first bad row stops
	Bad func(*BadRow) error
	// Progress is told the rows done now and then. Defaults to nil, nobody
	Progress func(rows int)
}

// Summary says what an import has done, also when it was broken off.
type Summary struct {
	Rows    int             // read, bad ones included
	Added   int             // events appended
	Known   int             // events that the log had already
	Bad     int             // rows passed over
	First   driver.Position // of the events added, 0 if none
	Last    driver.Position
	LastRow int    // the last row that is in the log
	Disk    string // durability, in the store's words
}

// Import appends the events that m makes of the rows of src to log, in order.
// When ctx ends it waits for what is under way and returns ctx's error; the
// summary says how far it came. Run again it goes on from there.
func Import(ctx context.Context, log driver.Log, src *Source, m *Mapping, o *Options) (Summary, error) {
	if o == nil {
		o = &Options{}
	}
	info, err := log.Info(ctx)
	if err != nil {
		return Summary{}, err
	}
	im := &importer{log: log, mapping: m, options: *o, limits: info.Limits}
	if im.options.Batch <= 0 {
		im.options.Batch = 1000
	}
	im.options.Batch = min(im.options.Batch, info.Limits.BatchEvents)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err = feed.Run(ctx, log, &feed.Options{Head: info.Time}, func(f *feed.Feeder[[]Mapped]) error { return im.produce(ctx, src, f) }, im.answered(ctx))
	return im.summary, err
}

// importer is an import under way. Its summary belongs to the goroutine that
// hears the answers, but for Rows and Bad, which belong to the producer until
// it has ended.
type importer struct {
	log     driver.Log
	mapping *Mapping
	options Options
	limits  driver.Limits
	summary Summary

	batch   []Mapped // being filled
	size    int
	last    time.Time // of the last row
	feeding *feed.Feeder[[]Mapped]
}

// produce maps the rows of src and submits them in batches.
func (im *importer) produce(ctx context.Context, src *Source, f *feed.Feeder[[]Mapped]) error {
	im.feeding = f
	for c, err := range mapAll(ctx, src, im.mapping) {
		if err != nil {
			return err
		}
		for i := range c.mapped {
			if err := im.take(&c.mapped[i], c.bad[i]); err != nil {
				return err
			}
		}
		if im.options.Progress != nil {
			im.options.Progress(im.summary.Rows)
		}
	}
	return im.flush()
}

func (im *importer) take(m *Mapped, bad *BadRow) error {
	im.summary.Rows++
	if bad != nil {
		im.summary.Bad++
		if im.options.Bad == nil {
			return bad
		}
		return im.options.Bad(bad)
	}
	if m.Time.Before(im.last) {
		return errors.Join(im.flush(), &BadRow{m.Row.Number, m.Row.Line, fmt.Sprintf(
			"its time %s is before that of the row above it, %s; with --time the rows must be in order of time", stamp(m.Time), stamp(im.last)), ""})
	}
	size := m.Event.Size()
	if len(im.batch) > 0 && (len(im.batch) == im.options.Batch || im.size+size > im.limits.BatchBytes || !m.Time.Equal(im.last)) {
		if err := im.flush(); err != nil {
			return err
		}
	}
	im.last = m.Time
	im.batch = append(im.batch, *m)
	im.size += size
	return nil
}

// flush submits the batch that is being filled.
func (im *importer) flush() error {
	batch := im.batch
	im.batch, im.size = nil, 0
	if len(batch) == 0 {
		return nil
	}
	if im.options.DryRun {
		return im.feeding.Flush()
	}
	events := make([]driver.Event, len(batch))
	for i := range batch {
		events[i] = batch[i].Event
	}
	return im.feeding.Submit(batch, driver.Batch{Events: events, Time: im.last})
}

// answered counts what the log has taken.
func (im *importer) answered(ctx context.Context) func([]Mapped, driver.Receipt, error) error {
	return func(batch []Mapped, r driver.Receipt, err error) error {
		s := &im.summary
		var known *driver.IDError
		switch {
		case errors.As(err, &known):
			added, r, err := im.missing(ctx, batch)
			s.add(added, r)
			s.Known += len(batch) - added
			if err != nil {
				return err
			}
		case err != nil:
			return im.explain(batch[0].Row, err)
		case r.Repeated:
			s.Known += len(batch)
		default:
			s.add(len(batch), r)
		}
		s.LastRow = batch[len(batch)-1].Row.Number
		return nil
	}
}

func (s *Summary) add(n int, r driver.Receipt) {
	if n == 0 {
		return
	}
	s.Added += n
	s.Last = r.Last
	s.Disk = r.Durability
	if s.First == 0 {
		s.First = r.First
	}
}

// missing appends those of a batch that the log does not have, which happens
// when rows that were bad have been mended or when the batches were of another
// size. What the log has must be the same.
func (im *importer) missing(ctx context.Context, batch []Mapped) (added int, r driver.Receipt, err error) {
	at := map[driver.ID]driver.Record{}
	var q driver.Item
	for i := range batch {
		q.IDs = append(q.IDs, batch[i].Event.ID)
	}
	for rec, err := range im.log.Read(ctx, driver.Query{Items: []driver.Item{q}}, driver.ReadOptions{}) {
		if err != nil {
			return 0, r, err
		}
		at[rec.ID] = rec
	}
	var rest driver.Batch
	row := batch[0].Row
	for i := range batch {
		e := &batch[i].Event
		rec, ok := at[e.ID]
		switch {
		case !ok:
			if len(rest.Events) == 0 {
				row = batch[i].Row
			}
			rest.Events = append(rest.Events, *e)
			rest.Time = batch[i].Time
		case !driver.SameContent(e, &rec.Event):
			return 0, r, &BadRow{batch[i].Row.Number, batch[i].Row.Line, fmt.Sprintf(
				"the log has its event (ID %s) at position %d with other content; has the file changed, or does another one have this name (see --source)?", e.ID, rec.Position), ""}
		}
	}
	if len(rest.Events) == 0 {
		return 0, r, nil
	}
	if r, err = im.log.Append(ctx, rest); err != nil {
		return 0, r, im.explain(row, err)
	}
	return len(rest.Events), r, nil
}

// explain names the row for which the log refused a batch.
func (im *importer) explain(row Row, err error) error {
	var invalid *driver.InvalidError
	if errors.As(err, &invalid) && invalid.Field == "time" {
		return &BadRow{row.Number, row.Line, fmt.Sprintf("its time is before that of the log's last event: %s; --time needs a log that ends before the file begins", invalid.Reason), ""}
	}
	return fmt.Errorf("row %d (line %d): %w", row.Number, row.Line, err)
}

func stamp(t time.Time) string { return t.Format(time.RFC3339Nano) }
