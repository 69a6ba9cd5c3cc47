package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// request is what another process asks of one that has the handlers.
type request struct {
	ID     string   `json:"id"`
	Key    string   `json:"key"`
	Dry    bool     `json:"dry"`
	Taken  bool     `json:"taken"`
	Beat   int      `json:"beat,omitempty"` // rises while the one who has taken it is at work
	Answer *Retried `json:"answer,omitempty"`
	Error  string   `json:"error,omitempty"`
}

const (
	beatEvery = 2 * time.Second
	silence   = 30 * time.Second // after which who has taken a request is taken for dead
)

// attend does what others ask for, until ctx ends or the version is retired.
func (r *Runner) attend(ctx context.Context) error {
	for {
		if err := r.lookAround(ctx); errors.Is(err, ErrRetired) {
			return err
		} else if err != nil && ctx.Err() == nil {
			r.opts.Logger.Warn("projection: what others ask for could not be looked at", "projection", r.name, "error", err)
		}
		if pause(ctx, r.opts.Poll); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (r *Runner) lookAround(ctx context.Context) error {
	var asked []request
	err := r.keeper.Keep(ctx, func(ctx context.Context, b Book) error {
		reg, err := load[registration](ctx, b.Load, registrationKey(r.name))
		if err != nil {
			return err
		}
		if reg == nil || reg.Versions[r.version] == nil || reg.Versions[r.version].State == Retired {
			return fmt.Errorf("projection %s %s: %w", r.name, r.version, ErrRetired)
		}
		r.epoch.Store(int64(reg.Versions[r.version].Epoch))
		asked, err = list[request](ctx, b, requestKey(r.name, r.version, ""))
		return err
	})
	if err != nil {
		return err
	}
	for _, q := range slices.DeleteFunc(asked, func(q request) bool { return q.Taken }) {
		if err := r.serve(ctx, q); err != nil {
			return err
		}
	}
	return tell(ctx, r.log, r.keeper, r.name)
}

// serve does what a request asks for, unless another runner has taken it.
func (r *Runner) serve(ctx context.Context, q request) error {
	taken, err := r.change(ctx, q.ID, func(q *request) bool {
		was := q.Taken
		q.Taken, q.Beat = true, 1
		return !was
	})
	if err != nil || !taken {
		return err
	}
	working, done := context.WithCancel(ctx)
	var beating sync.WaitGroup
	beating.Go(func() { r.beat(working, q.ID) })
	answer, err := r.Retry(ctx, q.Key, q.Dry)
	done()
	beating.Wait()
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("projection %s: retry: who runs it was ended before all was tried; what is done is done", r.name)
	}
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, failed := r.change(leaving, q.ID, func(q *request) bool {
		if q.Answer = &answer; err != nil {
			q.Error = err.Error()
		}
		return true
	})
	return failed
}

// beat lets the one who asks see that his request is worked on, until ctx ends.
func (r *Runner) beat(ctx context.Context, id string) {
	for {
		if pause(ctx, beatEvery); ctx.Err() != nil {
			return
		}
		_, err := r.change(ctx, id, func(q *request) bool { q.Beat++; return true })
		if err != nil && ctx.Err() == nil {
			r.opts.Logger.Warn("projection: a request could not be kept alive", "projection", r.name, "error", err)
		}
	}
}

// change locks a request, lets fn change it, and keeps it where fn says so. It
// reports whether it did; a request whose asker has gone is not made anew.
func (r *Runner) change(ctx context.Context, id string, fn func(*request) bool) (changed bool, err error) {
	key := requestKey(r.name, r.version, id)
	err = r.keeper.Keep(ctx, func(ctx context.Context, b Book) error {
		q, err := load[request](ctx, b.Lock, key)
		if changed = err == nil && q != nil && fn(q); !changed {
			return err
		}
		return save(ctx, b, key, q)
	})
	return changed && err == nil, err
}
