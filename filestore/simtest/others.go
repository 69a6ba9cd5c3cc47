package simtest

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/annals-db/annals/driver"
)

// subscriber follows the log by Wait, and misses nothing.
func (w *world) subscriber(who string, log driver.Log) {
	at := driver.Position(0)
	for !w.dead.Load() {
		head, err := log.Wait(w.ctx, at)
		if err != nil {
			w.readFailed(fmt.Sprintf("as %s, waiting after %d", who, at), err)
			return
		}
		if w.dead.Load() {
			return
		}
		if head <= at {
			w.fail("%s: Wait after %d returned %d", who, at, head)
			return
		}
		w.turns.wait(who)
		if w.dead.Load() {
			return
		}
		got, err := w.read(log, who, driver.Query{}, driver.ReadOptions{After: at, UpTo: head})
		if err != nil {
			w.readFailed("what Wait told of", err)
			return
		}
		if len(got) != int(head-at) {
			w.fail("%s read %d records after %d up to %d", who, len(got), at, head)
			return
		}
		at = head
	}
}

// follower is a second process that follows the log.
func (w *world) follower() {
	w.turns.wait("follower")
	if w.dead.Load() || w.stop.Load() {
		return
	}
	p := w.disk.Process()
	defer p.Kill()
	log, err := w.store.Open(Opening{FS: p, Dir: dir, Clock: w.clock.Now, ReadOnly: true, Seed: w.seed})
	if err != nil {
		w.readFailed("as a process that follows", err)
		return
	}
	w.subscriber("follower", log)
	if err := log.Close(); err != nil && !w.dead.Load() {
		w.fail("the follower: closing: %w", err)
	}
}

// rival is a second process that would write. It gets an error at once.
func (w *world) rival() {
	w.turns.wait("rival")
	if w.dead.Load() || w.stop.Load() {
		return
	}
	p := w.disk.Process()
	defer p.Kill()
	log, err := w.store.Open(Opening{FS: p, Dir: dir, Clock: w.clock.Now, Seed: w.seed})
	if err == nil {
		_ = log.Close()
	}
	var locked *driver.LockedError
	switch {
	case w.dead.Load() || w.stop.Load(): // the first may have let go of it
	case err == nil:
		w.fail("a second process opened the store for writing")
	case !errors.As(err, &locked) && !w.upset.Load():
		w.fail("a second process that would write: want a LockedError, not %w", err)
	}
}

// visitor is a second process that opens the store for reading, beside the writer.
func (w *world) visitor() {
	const who = "visitor"
	r := rand.New(rand.NewPCG(w.seed, uint64(w.n*100+80)))
	g := &generator{r: r, world: w}
	w.turns.wait(who)
	if w.dead.Load() || w.stop.Load() {
		return
	}
	p := w.disk.Process()
	defer p.Kill()
	log, err := w.store.Open(Opening{FS: p, Dir: dir, Clock: w.clock.Now, ReadOnly: true, Seed: w.seed})
	if err != nil {
		w.readFailed("as a second process", err)
		return
	}
	for range 1 + r.IntN(4) {
		w.turns.wait(who)
		if w.dead.Load() || w.stop.Load() {
			break
		}
		w.compare(who, log, g)
	}
	if err := log.Close(); err != nil && !w.dead.Load() {
		w.fail("%s: closing: %w", who, err)
	}
}
