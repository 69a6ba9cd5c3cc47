package process

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// System is applications that follow each other. Make it with [NewSystem].
// Either Run is used on it or, by one goroutine, Step and Settle.
type System struct {
	opts      Options
	apps      []*App // in the order they were named
	followers []*follower
	clocks    []*clock
	turn      int // of followers and clocks: whose turn is next
}

// Pipe says that each application follows the one before it, in which its
// handlers react. One that stands next to itself follows its own log.
func Pipe(apps ...*App) []*App { return apps }

// NewSystem joins applications by pipes. A pair that is in several pipes is
// one. An application that follows another must have handlers.
func NewSystem(opts *Options, pipes ...[]*App) (*System, error) {
	s := &System{opts: opts.withDefaults()}
	for _, pipe := range pipes {
		for i, a := range pipe {
			if err := s.add(a); err != nil {
				return nil, fmt.Errorf("system: %w", err)
			}
			if i > 0 {
				if err := s.join(pipe[i-1], a); err != nil {
					return nil, fmt.Errorf("system: %w", err)
				}
			}
		}
	}
	return s, nil
}

func (s *System) add(a *App) error {
	for _, known := range s.apps {
		if known == a {
			return nil
		}
		if known.name == a.name {
			return fmt.Errorf("two applications are named %q", a.name)
		}
	}
	s.apps = append(s.apps, a)
	if len(a.handlers) > 0 {
		s.clocks = append(s.clocks, newClock(a, &s.opts))
	}
	return nil
}

func (s *System) join(from, app *App) error {
	if len(app.handlers) == 0 {
		return fmt.Errorf("application %q follows %q and handles no events", app.name, from.name)
	}
	if slices.ContainsFunc(s.followers, func(f *follower) bool { return f.app == app && f.from == from }) {
		return nil
	}
	f, err := newFollower(app, from, &s.opts)
	if err != nil {
		return err
	}
	for _, c := range s.clocks {
		if c.app == app {
			f.fired = c.nudged
		}
	}
	s.followers = append(s.followers, f)
	return nil
}

// Run runs the applications of the given names, all without any, each pipe in a
// goroutine of its own, until ctx ends, whose error it then returns, or a
// reaction has failed for good. The same system may run in any number of
// processes at once: each event still has one effect.
func (s *System) Run(ctx context.Context, only ...string) error {
	for _, name := range only {
		if !slices.ContainsFunc(s.apps, func(a *App) bool { return a.name == name }) {
			return fmt.Errorf("system: there is no application %q", name)
		}
	}
	runs := func(a *App) bool { return len(only) == 0 || slices.Contains(only, a.name) }
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	start := func(run func(context.Context) error) {
		wg.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				cancel(err)
			}
		})
	}
	for _, f := range s.followers {
		if runs(f.app) {
			start(f.run)
		}
	}
	for _, c := range s.clocks {
		if runs(c.app) {
			start(c.run)
		}
	}
	<-ctx.Done()
	wg.Wait()
	return context.Cause(ctx)
}

// Step does the next thing that is to be done, one reaction or one timer, in
// this goroutine: the pipes in turn, in the order they were given, then the
// timers. did is false if there is nothing to do. Equal logs and clocks give
// equal steps.
func (s *System) Step(ctx context.Context) (did bool, err error) {
	n := len(s.followers) + len(s.clocks)
	for i := range n {
		turn := (s.turn + i) % n
		if turn < len(s.followers) {
			did, err = s.followers[turn].step(ctx)
		} else {
			did, err = s.clocks[turn-len(s.followers)].step(ctx)
		}
		if did || err != nil {
			s.turn = (turn + 1) % n
			return did, err
		}
	}
	return false, nil
}

// ErrUnsettled is wrapped by Settle when there is no end.
var ErrUnsettled = errors.New("the system does not come to rest: its reactions cause each other for ever")

// maxSteps is after how many steps Settle no longer believes in an end.
const maxSteps = 1_000_000

// Settle takes steps until there is nothing left to do by the clocks as they
// are. It is for tests: record something, settle, look; put the clock forward,
// settle, look.
func (s *System) Settle(ctx context.Context) error {
	for range maxSteps {
		if did, err := s.Step(ctx); !did || err != nil {
			return err
		}
	}
	return ErrUnsettled
}
