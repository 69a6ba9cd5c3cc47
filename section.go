package annals

import (
	"context"
	"fmt"
)

// Select returns up to limit records of the log from position start, in order:
// a page of the notification log. A page behind the head is empty.
func (db *DB) Select(ctx context.Context, start Position, limit int) ([]Record, error) {
	if start < 1 || limit < 1 {
		return nil, fmt.Errorf("select from %d, limit %d: both count from 1", start, limit)
	}
	info, err := db.log.Info(ctx)
	if err != nil || start > info.Head {
		return nil, err
	}
	var page []Record
	for r, err := range db.log.Read(ctx, Query{}, ReadOptions{After: start - 1, UpTo: info.Head, Limit: limit}) {
		if err != nil {
			return nil, fmt.Errorf("select from %d: %w", start, err)
		}
		page = append(page, r)
	}
	return page, nil
}

// Section is a page of the notification log that names the next one.
type Section struct {
	ID     string   // "first,last" of the positions asked for
	Items  []Record // in order; fewer than asked for at the end of the log
	NextID string   // of the section behind it, "" while this one is not full
}

// Section returns the section with an ID such as "1,10".
func (db *DB) Section(ctx context.Context, id string) (Section, error) {
	var first, last Position
	var rest string
	if n, _ := fmt.Sscanf(id, "%d,%d%s", &first, &last, &rest); n != 2 || first < 1 || last < first {
		return Section{}, fmt.Errorf("section %q: the ID is not of the form first,last", id)
	}
	size := int(last - first + 1)
	items, err := db.Select(ctx, first, size)
	s := Section{ID: id, Items: items}
	if len(items) == size {
		s.NextID = fmt.Sprintf("%d,%d", last+1, last+Position(size))
	}
	return s, err
}
