package move

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/annals-db/annals/driver"
)

// A chunk is about so much of the log.
const (
	chunkRecords = 8192
	chunkBytes   = 8 << 20
)

// load gives the store the source's records up to head as they are. The next
// chunk is read while one is being made durable.
func (c *copier) load(ctx context.Context, to driver.Importer, head driver.Position) (err error) {
	reading, cancel := context.WithCancel(ctx)
	after := c.result.Head
	chunks := make(chan []driver.Record)
	ended := make(chan error, 1)
	go func() {
		defer close(chunks)
		for chunk, err := range c.chunks(reading, after, head) {
			if err != nil {
				ended <- err
				return
			}
			select {
			case chunks <- chunk:
			case <-reading.Done():
				ended <- context.Cause(reading)
				return
			}
		}
		ended <- nil
	}()
	defer func() {
		cancel()
		for range chunks { // until the reader has ended
		}
	}()
	for chunk := range chunks {
		// What is handed over is seen through, even when ctx ends meanwhile.
		if err := to.Import(context.WithoutCancel(ctx), chunk); err != nil {
			return c.refused(ctx, chunk, err)
		}
		c.copied(chunk[len(chunk)-1].Position)
	}
	return <-ended
}

// refused returns the error of a chunk with the position it is about.
func (c *copier) refused(ctx context.Context, chunk []driver.Record, err error) error {
	at := chunk[0].Position
	var invalid *driver.InvalidError
	if errors.As(err, &invalid) {
		at += driver.Position(max(invalid.Index, 0))
	}
	if info, infoErr := c.to.Info(ctx); infoErr == nil && as[*driver.LimitError](err) {
		for rest := chunk; len(rest) > 0; {
			n := wholeBatch(rest)
			_, b, _ := placed(rest[:n])
			if limit := driver.Validate(&b, info.Limits); limit != nil {
				return fmt.Errorf("position %d: %w", rest[0].Position, limit)
			}
			rest = rest[n:]
		}
	}
	return fmt.Errorf("position %d: %w", at, err)
}

func as[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// copied notes that everything up to p is in the copy.
func (c *copier) copied(p driver.Position) {
	c.result.Records += int(p - c.result.Head)
	c.result.Head = p
	c.progress()
}

// chunks yields the source's records behind after up to head, some whole
// batches at a time.
func (c *copier) chunks(ctx context.Context, after, head driver.Position) iter.Seq2[[]driver.Record, error] {
	return func(yield func([]driver.Record, error) bool) {
		last, batch, bytes := after, after+1, 0
		var chunk []driver.Record
		for r, err := range c.from.Read(ctx, driver.Query{}, driver.ReadOptions{After: after, UpTo: head}) {
			if err != nil {
				yield(nil, fmt.Errorf("read the source behind position %d: %w", last, err))
				return
			}
			if r.Position != last+1 || r.Batch != batch && r.Batch != r.Position {
				yield(nil, &driver.CorruptError{Position: last + 1, Place: "the source",
					Reason: fmt.Sprintf("position %d, of the batch at %d, follows position %d, of the batch at %d", r.Position, r.Batch, last, batch)})
				return
			}
			if r.Batch == r.Position && (len(chunk) >= chunkRecords || bytes >= chunkBytes) {
				if !yield(chunk, nil) {
					return
				}
				chunk, bytes = make([]driver.Record, 0, chunkRecords), 0
			}
			chunk = append(chunk, r)
			last, batch, bytes = r.Position, r.Batch, bytes+r.Size()
		}
		if last != head {
			yield(nil, &driver.CorruptError{Position: last + 1, Place: "the source", Reason: fmt.Sprintf("the log ends before its head %d", head)})
			return
		}
		yield(chunk, nil)
	}
}
