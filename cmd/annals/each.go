package main

import (
	"context"
	"sync"
	"sync/atomic"
)

// eachForItself calls run for every name at once, and returns what ended each:
// one that fails leaves the others running. With tell, that is told at once where others go on.
func (a *app) eachForItself(ctx context.Context, kind string, names []string, tell bool, run func(i int) error) []error {
	errs := make([]error, len(names))
	var left atomic.Int64
	left.Store(int64(len(names)))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			errs[i] = run(i)
			if left.Add(-1) > 0 && tell && errs[i] != nil && ctx.Err() == nil {
				a.logger().Error("a "+kind+" has stopped; others go on", kind, name, "error", errs[i])
			}
		})
	}
	wg.Wait()
	return errs
}
