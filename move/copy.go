package move

import (
	"context"
	"fmt"
	"time"

	"github.com/annals-db/annals/driver"
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

// Copy copies the records of from that to does not have, each batch with its
// time and conditions, and then the state (checkpoints, folds that are kept,
// snapshots), and compares the two by head and running hash. to must hold a
// beginning of from or nothing (else *[DifferError]), have the same log ID
// unless [Options.NewLog], and be written by no one else meanwhile.
//
// A store that takes records as they are ([driver.Importer]) is given them so.
// To any other each batch is appended as by its first writer, and its
// conditions are judged again: one that does not hold means that from was not
// written by the rules, and ends Copy with the error of that position.
//
// When ctx ends Copy waits for what is under way and returns ctx's error; what is copied stays,
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
	if to, ok := c.to.(driver.Importer); ok {
		return c.load(ctx, to, head)
	}
	return c.append(ctx, head)
}

func (c *copier) progress() {
	if c.opts.Progress != nil {
		c.opts.Progress(c.result.Head, c.total)
	}
}
