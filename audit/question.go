package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/annals-db/annals/driver"
)

// question is a run of Changes.
type question struct {
	trail     *Trail
	f         Filter
	yield     func(Change, error) bool
	stopped   bool
	abandoned map[string]bool
	lineage   lineage
	number    int // of the column asked for
	after     driver.Position
	upTo      driver.Position
	marks     map[driver.Position]*mark // by batch
}

func (q *question) ask(ctx context.Context) (err error) {
	if (len(q.f.Key) > 0 || q.f.Column != "") && q.f.Table == (Name{}) {
		return errors.New("a key or column of which table?")
	}
	b, err := q.trail.resolve(ctx, Point{})
	if err != nil {
		return err
	}
	q.upTo = b.position
	if q.abandoned, err = q.trail.abandoned(ctx); err != nil {
		return err
	}
	if err := q.bounds(ctx); err != nil {
		return err
	}
	if q.upTo == 0 || q.upTo <= q.after {
		return nil
	}
	if err := q.column(ctx); err != nil {
		return err
	}
	switch {
	case q.f.Transaction != 0 || q.f.Actor != "" || q.f.User != "" || q.f.NoReason:
		return q.byTransaction(ctx)
	case len(q.f.Key) > 0:
		return q.ofRow(ctx)
	}
	return q.scan(ctx)
}

// bounds finds the time span in the log.
func (q *question) bounds(ctx context.Context) error {
	over := func(t time.Time) (driver.Position, error) {
		b, err := q.trail.search(ctx, func(m *mark) (bool, error) { return m.AsOf.After(t), nil })
		return b.position, err
	}
	var err error
	if !q.f.From.IsZero() {
		if q.after, err = over(q.f.From.Add(-1)); err != nil {
			return err
		}
	}
	if !q.f.To.IsZero() {
		p, err := over(q.f.To)
		if err != nil {
			return err
		}
		q.upTo = min(q.upTo, p)
	}
	return nil
}

// column finds the column asked for, among those the table has or had.
func (q *question) column(ctx context.Context) (err error) {
	if q.f.Column == "" {
		return nil
	}
	stream := q.f.Table.Stream()
	if q.lineage, err = q.trail.lineage(ctx, stream, q.upTo, nil); err != nil {
		return err
	}
	for _, v := range slices.Backward(q.lineage[stream]) {
		if v.table == nil {
			continue
		}
		for _, c := range v.table.Columns {
			if c.Name == q.f.Column {
				q.number = c.Number
				return nil
			}
		}
	}
	return notThere(fmt.Sprintf("table %s has and had no column %q", q.f.Table, q.f.Column))
}

// ofRow reads the stream of a row.
func (q *question) ofRow(ctx context.Context) error {
	stream := RowStream(q.f.Table.Schema, q.f.Table.Table, q.f.Key...)
	seen := false
	for r, err := range q.read(ctx, driver.Item{Streams: []string{stream}}) {
		if err != nil {
			return err
		}
		seen = true
		m, err := q.markOf(ctx, &r)
		if err != nil {
			return err
		}
		if err := q.emit(&r, m); err != nil || q.stopped {
			return err
		}
	}
	if !seen && q.f.From.IsZero() && q.f.To.IsZero() {
		return notThere(fmt.Sprintf("the trail has no row %s of table %s", joinKey(q.f.Key), q.f.Table))
	}
	return nil
}

func (q *question) read(ctx context.Context, items ...driver.Item) iter.Seq2[driver.Record, error] {
	return q.trail.log.Read(ctx, driver.Query{Items: items}, driver.ReadOptions{After: q.after, UpTo: q.upTo})
}

// markOf returns the event that closes what r is part of.
func (q *question) markOf(ctx context.Context, r *driver.Record) (*mark, error) {
	if m, ok := q.marks[r.Batch]; ok {
		return m, nil
	}
	query, o := capture(), driver.ReadOptions{After: r.Position, Limit: 1}
	if group := r.Metadata.Value("group"); group != "" {
		if q.abandoned[group] {
			return nil, nil
		}
		query = capture(transactionCommitted, snapshotCompleted, tablesChosen)
		query.Items[0].Tags = []string{"group:" + group}
	}
	for c, err := range q.trail.log.Read(ctx, query, o) {
		if err != nil {
			return nil, err
		}
		m, err := readMark(&c)
		if err != nil {
			return nil, err
		}
		if len(q.marks) > 1000 {
			q.marks = nil
		}
		if q.marks == nil {
			q.marks = map[driver.Position]*mark{}
		}
		q.marks[r.Batch] = &m
		return &m, nil
	}
	return nil, nil // not closed yet
}

// scan reads the events of a table, or of all, with those of the capture, which
// follow what they close.
func (q *question) scan(ctx context.Context) error {
	var items []driver.Item // everything
	if q.f.Table != (Name{}) {
		items = []driver.Item{{Category: q.f.Table.Stream()}, {Category: captureCategory}}
	}
	var waiting []driver.Record
	for r, err := range q.read(ctx, items...) {
		if err != nil {
			return err
		}
		if driver.Category(r.Stream) != captureCategory {
			if isOurs(r.Stream) {
				waiting = append(waiting, r)
			}
			continue
		}
		m, err := readMark(&r)
		if err != nil {
			return err
		}
		closed := &m
		if !closes(r.Type) && len(waiting) > 0 {
			if closed, err = q.markOf(ctx, &waiting[0]); err != nil {
				return err
			}
		}
		for i := range waiting {
			if closed == nil || closed.Group == "" && waiting[i].Batch != r.Batch {
				continue // not closed, or of somebody else who uses the log
			}
			if err := q.emit(&waiting[i], closed); err != nil || q.stopped {
				return err
			}
		}
		waiting = waiting[:0]
	}
	return nil
}

// isOurs reports whether a stream may be of a table or row: it has a schema.
func isOurs(stream string) bool {
	category := driver.Category(stream)
	return strings.Count(category, ".") == 1 && !strings.HasPrefix(category, "annals.")
}

// byTransaction finds transactions first.
func (q *question) byTransaction(ctx context.Context) error {
	item := driver.Item{Category: captureCategory, Types: []string{transactionCommitted}}
	tag := func(key, value string) {
		if value != "" {
			item.Tags = append(item.Tags, key+":"+value)
		}
	}
	if q.f.Transaction != 0 {
		tag("xid", strconv.FormatUint(uint64(q.f.Transaction), 10))
	}
	tag("actor", q.f.Actor)
	tag("user", q.f.User)
	if q.f.NoReason {
		tag("reason", "missing")
	}
	found := false
	for c, err := range q.read(ctx, item) {
		if err != nil {
			return err
		}
		m, err := readMark(&c)
		if err != nil {
			return err
		}
		found = true
		if err := q.ofTransaction(ctx, &c, &m); err != nil || q.stopped {
			return err
		}
	}
	if !found && q.f.Transaction != 0 {
		return notThere(fmt.Sprintf("the trail has no transaction %d", q.f.Transaction))
	}
	return nil
}

// ofTransaction reads the events that c closes.
func (q *question) ofTransaction(ctx context.Context, c *driver.Record, m *mark) error {
	first := c.Batch
	if m.First != 0 {
		first = m.First
	}
	var items []driver.Item
	switch {
	case len(q.f.Key) > 0:
		items = []driver.Item{{Streams: []string{RowStream(q.f.Table.Schema, q.f.Table.Table, q.f.Key...)}}}
	case q.f.Table != (Name{}):
		items = []driver.Item{{Category: q.f.Table.Stream()}}
	}
	for r, err := range q.trail.log.Read(ctx, driver.Query{Items: items}, driver.ReadOptions{After: first - 1, UpTo: c.Position}) {
		if err != nil {
			return err
		}
		if r.Metadata.Value("group") != m.Group || !isOurs(r.Stream) {
			continue // another's, between parts
		}
		if err := q.emit(&r, m); err != nil || q.stopped {
			return err
		}
	}
	return nil
}

// emit yields r as a change, if it is meant.
func (q *question) emit(r *driver.Record, m *mark) error {
	if group := r.Metadata.Value("group"); m == nil || group != "" && q.abandoned[group] {
		return nil
	}
	c := Change{Position: r.Position, Stream: r.Stream, Version: r.Version, Type: r.Type, Committed: r.Occurred,
		LSN: r.Metadata.Value("lsn"), Who: m.Who, Data: r.Data}
	if xid := r.Metadata.Value("xid"); xid != "" {
		c.Xid = m.Xid
	} else {
		c.Who = nil
	}
	category, key, _ := strings.Cut(r.Stream, "-")
	c.Key = key
	c.Table = nameOf(category)
	var err error
	if c.Before, err = member(r.Data, "before"); err == nil {
		c.After, err = member(r.Data, "after")
	}
	if err != nil {
		return fmt.Errorf("event at position %d of the trail: %w", r.Position, err)
	}
	c.Before, c.After = bytes.Clone(c.Before), bytes.Clone(c.After)
	if q.f.Column != "" {
		sets, err := q.sets(r, &c)
		if err != nil || !sets {
			return err
		}
	}
	q.stopped = !q.yield(c, nil)
	return nil
}

// sets reports whether c set the column that is asked for.
func (q *question) sets(r *driver.Record, c *Change) (bool, error) {
	if c.Key == "" {
		return false, nil
	}
	t := q.lineage.at(q.f.Table.Stream(), r.Position)
	if t == nil {
		return false, nil
	}
	column := t.column(q.number)
	if column == nil {
		return false, nil
	}
	if c.Type != RowUpdated {
		return true, nil
	}
	v, err := member(c.Before, column.Name)
	return v != nil, err
}
