// Package feed puts batches into a log in order, many under way at once, so
// that the log can make them durable together. [Run] is all there is.
package feed

import (
	"context"
	"errors"
	"time"

	"github.com/annals-db/annals/driver"
)

// Options of a run.
type Options struct {
	// Window is how many batches may be under way. Defaults to 256
	Window int
	// Head is the time of the log's last event. The first batch with a time
	// of its own that is not before it waits until those before it are
	// answered: they are there already or refused, and to append later ones
	// after a refusal would leave a gap for ever. Defaults to no time
	Head time.Time
	// Idle is called, in the goroutine that hears the answers, when there is
	// nothing under way. Defaults to nil, nothing
	Idle func()
}

// Feeder takes the batches of a run, from one goroutine.
type Feeder[T any] struct {
	ctx     context.Context
	submit  func(context.Context, driver.Batch) func() (driver.Receipt, error)
	pending chan pending[T]
	stopped chan struct{}
	head    time.Time
	beyond  bool // whether a batch has reached head
}

type pending[T any] struct {
	tag    T
	answer func() (driver.Receipt, error) // nil for a flush
	passed chan struct{}                  // closed when everything before a flush is answered
}

// ErrStopped is what a feeder returns when an answer has stopped the run.
var ErrStopped = errors.New("stopped by an answer")

// Run calls produce, in a goroutine of its own, to submit batches, and
// answered in the caller's for each answer, in the order of the batches. An
// error of answered stops produce; batches that are under way by then are
// still answered, so that nothing is appended without being told. So it is when
// ctx ends: no more is taken, and what is under way is waited for.
//
// Run returns the first error of answered, else that of produce.
func Run[T any](ctx context.Context, log driver.Log, o *Options,
	produce func(f *Feeder[T]) error,
	answered func(tag T, r driver.Receipt, err error) error,
) error {
	if o == nil {
		o = &Options{}
	}
	window := o.Window
	if window <= 0 {
		window = 256
	}
	f := &Feeder[T]{ctx: ctx, submit: submitter(log), pending: make(chan pending[T], window), stopped: make(chan struct{}), head: o.Head}
	produced := make(chan error, 1)
	go func() {
		err := produce(f)
		close(f.pending)
		produced <- err
	}()
	var first error
	for {
		p, ok := f.next(o.Idle)
		if !ok {
			break
		}
		if p.answer == nil {
			close(p.passed)
			continue
		}
		r, err := p.answer()
		if err := answered(p.tag, r, err); err != nil && first == nil {
			first = err
			close(f.stopped)
		}
	}
	if err := <-produced; first == nil {
		first = err
	}
	return first
}

// next returns the next one pending, calling idle if it has to wait for it.
func (f *Feeder[T]) next(idle func()) (pending[T], bool) {
	if idle != nil && len(f.pending) == 0 {
		idle()
	}
	p, ok := <-f.pending
	return p, ok
}

// submitter returns how log takes batches: many at once if it can.
func submitter(log driver.Log) func(context.Context, driver.Batch) func() (driver.Receipt, error) {
	if s, ok := log.(driver.Submitter); ok {
		return s.Submit
	}
	return func(ctx context.Context, b driver.Batch) func() (driver.Receipt, error) {
		r, err := log.Append(ctx, b)
		return func() (driver.Receipt, error) { return r, err }
	}
}

// Submit hands b over, and tag to whoever is told the answer. b's memory must
// not be reused before. The error is [ErrStopped] or that of the context.
func (f *Feeder[T]) Submit(tag T, b driver.Batch) error {
	if err := f.check(); err != nil {
		return err
	}
	if !f.beyond && !b.Time.IsZero() && !b.Time.Before(f.head) {
		if err := f.Flush(); err != nil {
			return err
		}
		f.beyond = true
	}
	// What is handed over is seen through, even when ctx ends meanwhile.
	f.pending <- pending[T]{tag: tag, answer: f.submit(context.WithoutCancel(f.ctx), b)}
	return nil
}

// Flush waits until everything submitted is answered.
func (f *Feeder[T]) Flush() error {
	passed := make(chan struct{})
	f.pending <- pending[T]{passed: passed}
	<-passed
	return f.check()
}

func (f *Feeder[T]) check() error {
	select {
	case <-f.stopped:
		return ErrStopped
	default:
		return context.Cause(f.ctx)
	}
}
