package move

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// wait waits for more in the source, and reports false when there is nothing
// more to be copied: what the source had when the following ended is.
func (c *copier) wait(ctx context.Context) (bool, error) {
	if c.opts.Follow == nil && c.opts.Idle <= 0 {
		return false, nil
	}
	select {
	case <-c.opts.Follow:
		return false, c.rest(ctx)
	default:
	}
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	idle := false // read when the goroutine has ended
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		idle = c.ended(waiting)
	}()
	head, err := c.from.Wait(waiting, c.result.Head)
	cancel()
	<-done
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case err == nil && head > c.result.Head:
		return true, nil
	case err != nil && !errors.Is(err, context.Canceled):
		return false, fmt.Errorf("wait for the source: %w", err)
	case idle:
		return false, nil
	}
	return true, nil // Follow was closed, which the next call sees
}

// ended waits for the end of the following or of ctx, and reports whether it
// was that nothing has come for so long.
func (c *copier) ended(ctx context.Context) bool {
	var idle <-chan time.Time
	if c.opts.Idle > 0 {
		timer := time.NewTimer(c.opts.Idle)
		defer timer.Stop()
		idle = timer.C
	}
	select {
	case <-idle:
		return true
	case <-c.opts.Follow:
	case <-ctx.Done():
	}
	return false
}

// rest copies what the source has now.
func (c *copier) rest(ctx context.Context) error {
	info, err := c.from.Info(ctx)
	if err != nil {
		return fmt.Errorf("the source: %w", err)
	}
	return c.upTo(ctx, info.Head)
}
