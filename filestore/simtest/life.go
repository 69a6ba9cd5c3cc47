package simtest

import (
	"context"
	"errors"
	"strings"
	"testing/synctest"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/simfs"
)

// birth begins a life.
func (w *world) birth() {
	n := w.life.n + 1
	w.count(Stats{Lives: 1})
	w.life = &life{n: n, process: w.disk.Process()}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.faults = w.newFaults(w.life)
	w.turns.hold(one(w.rand, laggards))
	w.say("life %d begins", n)
}

// open opens the store, which may take so many steps and no more, and checks
// everything in it. It reports whether that was done in time; w.log is nil
// where the store could not be opened for a good reason.
func (w *world) open(steps int) bool {
	return w.aside(steps, func() {
		log, err := w.store.Open(Opening{FS: w.process, Dir: dir, Clock: w.clock.Now, Seed: w.seed})
		if err != nil {
			w.say("open: %v", err)
			w.notOpened(err)
			return
		}
		w.log = log
		w.examine()
	})
}

// notOpened decides whether the store may fail to open so.
func (w *world) notOpened(err error) {
	var corrupt *driver.CorruptError
	switch {
	case w.dead.Load():
	case errors.As(err, &corrupt):
		w.fail("it is said to be corrupt, and nothing has harmed it: %w", err)
	case w.upset.Load() && (errors.Is(err, simfs.ErrIO) || errors.Is(err, driver.ErrReadOnly)):
	default:
		w.fail("it does not open: %w", err)
	}
}

// aside runs f while the disk's changes get their turns, for so many steps at
// the most, and reports whether it ended.
func (w *world) aside(steps int, f func()) bool {
	w.active.Add(1)
	w.clients.Go(func() {
		defer w.active.Add(-1)
		f()
	})
	for ; w.active.Load() > 0; steps-- {
		if steps <= 0 {
			return w.settled()
		}
		if who := w.turns.step(w.rand); who == "" {
			if w.settled() {
				return true
			}
			w.fail("it does not go on: nobody wants a turn, and the operation under way does not end")
			return false
		} else {
			w.say("  %s", who)
		}
	}
	return true
}

// settled waits until nobody can go on, and reports whether what runs aside has ended.
func (w *world) settled() bool {
	synctest.Wait()
	return w.active.Load() == 0
}

// die ends a life.
func (w *world) die(end ending) {
	switch end {
	case cut:
		w.count(Stats{Cuts: 1})
		w.dead.Store(true)
		w.disk.PowerCut(w.mood())
	case kill:
		w.count(Stats{Kills: 1})
		w.dead.Store(true)
		w.process.Kill()
	case closing:
		w.count(Stats{Closes: 1})
		w.stop.Store(true)
		w.cancelSome()
		if w.log != nil && !w.broken() {
			ended := w.aside(100_000, func() {
				if err := w.log.Close(); err != nil && !w.upset.Load() && !w.wasFull.Load() {
					w.fail("closing: %w", err)
				}
			})
			if !ended && !w.broken() {
				w.fail("Close does not end")
			}
		}
		w.dead.Store(true)
		w.process.Kill()
	}
	w.turns.release()
	w.cancel()
	w.clients.Wait()
	if w.log != nil {
		_ = w.log.Close() // the process is dead; its goroutines must end for this one
	}
}

// cancelSome lets writers end before or while the store closes.
func (w *world) cancelSome() {
	if chance(w.rand, 50) {
		return
	}
	for range 500 {
		if w.active.Load() == 0 || w.turns.step(w.rand) == "" {
			return
		}
	}
}

// mood is what a power cut leaves. A lying disk now and then loses all records
// it said to have, and keeps the rest.
func (w *world) mood() func(string) simfs.Mood {
	if w.theme != "lie" || !w.faults.from.Load() || chance(w.rand, 50) {
		w.told = false
		if !w.uniform {
			return nil
		}
		return func(name string) simfs.Mood {
			if w.store.Data(name) {
				return simfs.Random
			}
			return simfs.Any
		}
	}
	return func(name string) simfs.Mood {
		if !strings.HasSuffix(name, "/") && w.store.Data(name) {
			return simfs.KeepNone
		}
		return simfs.KeepAll
	}
}
