package rows

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"iter"
	"runtime"
	"strings"
	"sync"
)

// chunk is a run of rows that are mapped together.
type chunk struct {
	rows   []Row
	bad    []*BadRow // of each row, nil for a good one
	mapped []Mapped
	err    error // why there are no more rows
	done   chan struct{}
}

const chunkRows = 512

// mapAll yields the rows of src, mapped, in their order. One goroutine reads,
// some map; all have ended when the loop is left.
func mapAll(ctx context.Context, src *Source, m *Mapping) iter.Seq2[*chunk, error] {
	return func(yield func(*chunk, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		workers := runtime.GOMAXPROCS(0)
		work, order := make(chan *chunk, workers), make(chan *chunk, 2*workers)
		wg.Go(func() {
			defer close(order)
			defer close(work)
			for {
				c := readChunk(src)
				if !send(ctx, work, c) || !send(ctx, order, c) || c.err != nil {
					return
				}
			}
		})
		for range workers {
			wg.Go(func() {
				for c := range work {
					c.mapRows(m)
				}
			})
		}
		for c := range order {
			<-c.done
			if !yield(c, nil) {
				return
			}
			if c.err != nil && !errors.Is(c.err, io.EOF) {
				yield(nil, c.err)
				return
			}
		}
		if err := context.Cause(ctx); err != nil {
			yield(nil, err)
		}
	}
}

func send(ctx context.Context, to chan<- *chunk, c *chunk) bool {
	select {
	case to <- c:
		return true
	case <-ctx.Done():
		return false
	}
}

func readChunk(src *Source) *chunk {
	c := &chunk{rows: make([]Row, 0, chunkRows), bad: make([]*BadRow, 0, chunkRows), done: make(chan struct{})}
	for len(c.rows) < chunkRows {
		row, err := src.Next()
		var bad *BadRow
		if err != nil && !errors.As(err, &bad) {
			c.err = err
			return c
		}
		c.rows = append(c.rows, row)
		c.bad = append(c.bad, bad)
	}
	return c
}

func (c *chunk) mapRows(m *Mapping) {
	defer close(c.done)
	c.mapped = make([]Mapped, len(c.rows))
	for i, row := range c.rows {
		if c.bad[i] != nil {
			continue
		}
		var err error
		if c.mapped[i], err = m.Map(row); err != nil {
			errors.As(err, &c.bad[i])
			c.bad[i].Text = join(row.Fields)
		}
	}
}

// join returns fields as a line of CSV.
func join(fields []string) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write(fields) // a strings.Builder takes everything
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}
