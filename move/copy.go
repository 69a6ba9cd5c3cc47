package move

import (
	"context"
	"fmt"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/feed"
)

// Options are what [Copy] may be told.
type Options struct {
	// Follow, if not nil, lets Copy go on with what is appended to the source
	// until it is closed; what the source has by then is still copied.
	// Defaults to nil: what the source has when Copy begins.
	Follow <-chan struct{}
	// Idle ends the following when nothing has been appended to the source
	// for so long. It follows also where Follow is nil. Defaults to 0, never.
	Idle time.Duration
	// NewLog lets the copy be a log of its own, with another ID: checkpoints
	// of the source mean nothing to it, so its state is not copied. Defaults
	// to false: the IDs must be equal.
	NewLog bool
	// Progress is told the positions copied and to copy. Defaults to nil, nobody.
	Progress func(done, total driver.Position)
}

// Result says what a [Copy] has done, also when it was broken off.
type Result struct {
	LogID   driver.ID       // of the copy
	Head    driver.Position // the last position that both have
	Records int             // copied now
	State   int             // keys of the state copied now
	Hash    [32]byte        // the running hash at Head, found equal in both; zero if Copy failed
}

// window is how many batches are under way, windowBytes about how much of them.
const (
	window      = 4096
	windowBytes = 64 << 20
)

// Copy copies the records of from that to does not have, each batch with its
// time and conditions, and then the state (checkpoints, folds that are kept,
// snapshots), and compares the two by head and running hash. to must hold a
// beginning of from or nothing (else *[DifferError]), have the same log ID
// unless [Options.NewLog], and be written by no one else meanwhile.
//
// Each batch is appended as by its first writer, so that its conditions are
// judged again: one that no longer holds means that from was not written by
// the rules, and ends Copy with the error of that position. When ctx ends Copy
// waits for what is under way and returns ctx's error; what is copied stays,
// and the next Copy goes on behind it.
func Copy(ctx context.Context, from, to driver.Log, opts *Options) (Result, error) {
	c := &copier{from: from, to: to}
	if opts != nil {
		c.opts = *opts
	}
	if err := c.run(ctx); err != nil {
		return c.result, fmt.Errorf("copy: %w", err)
	}
	return c.result, nil
}

// copier is one Copy under way.
type copier struct {
	from, to driver.Log
	opts     Options
	result   Result
	total    driver.Position // to copy, as far as is known
}

func (c *copier) run(ctx context.Context) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	for {
		info, err := c.from.Info(ctx)
		if err != nil {
			return fmt.Errorf("the source: %w", err)
		}
		if err := c.upTo(ctx, info.Head); err != nil {
			return err
		}
		more, err := c.wait(ctx)
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	if err := c.state(ctx); err != nil {
		return err
	}
	return c.verify(ctx)
}

// begin makes sure that the copy is a beginning of the source.
func (c *copier) begin(ctx context.Context) error {
	source, err := c.from.Info(ctx)
	if err != nil {
		return fmt.Errorf("the source: %w", err)
	}
	target, err := c.to.Info(ctx)
	if err != nil {
		return fmt.Errorf("the store copied to: %w", err)
	}
	if target.ReadOnly != "" {
		return fmt.Errorf("the store copied to: %w: %s", driver.ErrReadOnly, target.ReadOnly)
	}
	if err := c.prefix(ctx, source.Head, target.Head); err != nil {
		return err
	}
	if source.LogID != target.LogID && !c.opts.NewLog {
		return fmt.Errorf("the store copied to holds the log %s and not %s, so that checkpoints would not hold; let it be made with that ID, or say that the copy is a log of its own",
			target.LogID, source.LogID)
	}
	c.result.LogID, c.result.Head = target.LogID, target.Head
	return nil
}

// upTo copies the records behind the copy's head up to and with position head.
func (c *copier) upTo(ctx context.Context, head driver.Position) error {
	c.total = max(c.total, head)
	c.progress()
	if head <= c.result.Head {
		return nil
	}
	return feed.Run(ctx, c.to, &feed.Options{Window: window}, func(f *feed.Feeder[place]) error {
		return c.produce(ctx, f, c.result.Head, head)
	}, c.answered)
}

// place is where a batch must be in the copy.
type place struct {
	first, last driver.Position
	time        time.Time
}

// produce reads the source's records behind after up to head and submits them batch by batch.
func (c *copier) produce(ctx context.Context, f *feed.Feeder[place], after, head driver.Position) error {
	var b driver.Batch
	p := place{first: after + 1, last: after}
	underway := 0
	submit := func() error {
		if len(b.Events) == 0 {
			return nil
		}
		if underway > windowBytes {
			underway = 0
			if err := f.Flush(); err != nil {
				return err
			}
		}
		err := f.Submit(p, b)
		b, p.first = driver.Batch{}, p.last+1
		return err
	}
	for r, err := range c.from.Read(ctx, driver.Query{}, driver.ReadOptions{After: after, UpTo: head}) {
		if err != nil {
			return fmt.Errorf("read the source behind position %d: %w", p.last, err)
		}
		if r.Position != p.last+1 {
			return &driver.CorruptError{Position: p.last + 1, Place: "the source", Reason: fmt.Sprintf("position %d follows %d", r.Position, p.last)}
		}
		if r.Batch == r.Position {
			if err := submit(); err != nil {
				return err
			}
			b.Conditions, b.Time, p.time = r.Conditions, r.Time, r.Time
		}
		if r.Batch != p.first {
			return &driver.CorruptError{Position: r.Position, Place: "the source", Reason: fmt.Sprintf("it is of the batch at %d, inside that at %d", r.Batch, p.first)}
		}
		b.Events = append(b.Events, r.Event)
		p.last = r.Position
		underway += r.Size()
	}
	if p.last != head {
		return &driver.CorruptError{Position: p.last + 1, Place: "the source", Reason: fmt.Sprintf("the log ends before its head %d", head)}
	}
	return submit()
}

func (c *copier) answered(p place, r driver.Receipt, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("position %d: %w", p.first, err)
	case r.First != p.first || r.Last != p.last:
		return fmt.Errorf("position %d is at %d in the copy: something else has written to it", p.first, r.First)
	case !r.Time.Equal(p.time):
		return fmt.Errorf("position %d has the time %s in the copy, not %s", p.first, r.Time.Format(time.RFC3339Nano), p.time.Format(time.RFC3339Nano))
	}
	c.result.Records += int(p.last - p.first + 1)
	c.result.Head = p.last
	c.progress()
	return nil
}

func (c *copier) progress() {
	if c.opts.Progress != nil {
		c.opts.Progress(c.result.Head, c.total)
	}
}
