package simtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing/synctest"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/simfs"
)

// ending is how a life ends.
type ending int

const (
	cut ending = iota
	kill
	closing
)

func (e ending) String() string { return [...]string{"power cut", "kill", "close"}[e] }

// Run plays one seed on a store. It must be called in a bubble of
// testing/synctest, in which nothing else goes on.
func Run(seed uint64, store Store, o *Options) *Result {
	if o == nil {
		o = &Options{}
	}
	if store.Data == nil {
		store.Data = func(string) bool { return true }
	}
	w := newWorld(seed, store, *o)
	lives := 3 + w.rand.IntN(4)
	if w.uniform {
		lives += 6
	}
	for range lives {
		if w.broken() || w.over {
			break
		}
		w.live(w.ending())
	}
	if !w.broken() && !w.over {
		w.last()
	}
	return &Result{w.err, w.theme, w.trace, w.stats}
}

func (w *world) ending() ending {
	if w.uniform && chance(w.rand, 80) {
		return cut
	}
	return [...]ending{cut, cut, cut, kill, closing}[w.rand.IntN(5)]
}

// live opens the store, lets clients work and ends it.
func (w *world) live(end ending) {
	w.birth()
	if chance(w.rand, 30) {
		w.clock.jump(time.Duration(w.rand.Int64N(int64(240*time.Hour))) - 120*time.Hour)
	}
	openFor := 1 << 30
	if chance(w.rand, 25) || w.killed && chance(w.rand, 50) {
		openFor = w.rand.IntN(30) // and then the end comes, even while it opens
	}
	w.killed = end == kill
	w.disk.SetFault(w.faults.hook)
	w.full.Store(false)
	done := w.open(openFor)
	if done && w.log != nil && !w.broken() {
		w.reading.Store(true)
		w.work(w.steps(), end != closing && (w.uniform || chance(w.rand, 60)))
	}
	if w.theme == "lie" && w.faults.from.Load() && chance(w.rand, 60) {
		w.quiet()
		w.told = end == cut
	}
	w.say("life %d ends by %s", w.n, end)
	w.die(end)
	w.disk.SetFault(nil)
	w.disk.SetSpace(-1, false)
	w.lied = w.lied || w.faults.from.Load()
	w.lossy = w.lossy || w.lied && end == cut
	switch {
	case w.broken():
	case w.lossy:
		w.judgeLoss()
	case w.theme == "flip" && end == closing && w.log != nil:
		w.harm()
	}
}

// steps is how many steps clients get: few now and then, so that the next life
// writes over what this one left.
func (w *world) steps() int {
	if w.uniform || chance(w.rand, 30) {
		return w.rand.IntN(20)
	}
	return w.rand.IntN(400)
}

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
	finished := w.aside(steps, func() {
		log, err := w.store.Open(Opening{FS: w.process, Dir: dir, Clock: w.clock.Now, Seed: w.seed})
		if err != nil {
			w.say("open: %v", err)
			w.notOpened(err)
			return
		}
		w.log = log
		w.began = true
		w.examine()
	})
	return finished
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

// examine reads the whole of the store that has just been opened, and checks
// it against the history.
func (w *world) examine() {
	info, err := w.log.Info(w.ctx)
	if err != nil {
		w.readFailed("what it is", err)
		return
	}
	if info.ReadOnly != "" && !w.upset.Load() {
		w.fail("it opened read-only: %s", info.ReadOnly)
	}
	log, err := w.read(w.log, fmt.Sprintf("examiner %d", w.n), driver.Query{}, driver.ReadOptions{})
	if err != nil {
		w.readFailed("everything after opening", err)
		return
	}
	if len(log) != int(info.Head) {
		w.fail("its head is %d and %d records can be read", info.Head, len(log))
	}
	w.expect(w.history.check(log, whole))
	w.count(Stats{Records: len(log)})
	w.verify(w.log)
	if s, ok := w.log.(driver.Stater); ok && s.State() != nil {
		w.checkState(s.State())
	}
	w.treeHead(info.Head)
	w.checkBackup()
}

// verify asks the store to check itself.
func (w *world) verify(log driver.Log) {
	v, ok := log.(driver.Verifier)
	if !ok {
		return
	}
	for err := range v.Verify(w.ctx, nil) {
		w.readFailed("to verify", err)
	}
}

// treeHead compares the running hash with what it was.
func (w *world) treeHead(p driver.Position) {
	hasher, ok := w.log.(driver.Hasher)
	if !ok {
		return
	}
	for _, at := range []driver.Position{p, p / 2} {
		sum, err := hasher.TreeHead(w.ctx, at)
		if err != nil {
			w.readFailed("the running hash", err)
			return
		}
		if was, ok := w.history.heads[at]; ok && was != sum {
			w.fail("the running hash at position %d was %x and is %x", at, was, sum)
		}
		w.history.heads[at] = sum
	}
}

// work lets clients work for so many steps, or until they are done. With
// inSync it goes on after that until a sync is under way, so that what was
// written last is not durable.
func (w *world) work(steps int, inSync bool) {
	for n := range 1 + w.rand.IntN(6) {
		c := w.newWriter(n)
		quota := w.rand.IntN(25)
		w.client(func() { c.run(quota) })
	}
	for n := range w.rand.IntN(3) {
		quota := w.rand.IntN(6)
		w.client(func() { w.reader(n, quota) })
	}
	if chance(w.rand, 60) {
		w.clients.Go(func() { w.subscriber(0) })
	}
	if w.store.Readers && chance(w.rand, 50) {
		w.client(func() { w.visitor(0) })
	}
	if w.store.Readers && chance(w.rand, 15) {
		w.client(w.rival)
	}
	if w.store.Backup != nil && chance(w.rand, 20) {
		quota := 1 + w.rand.IntN(2)
		w.client(func() { w.archivist(quota) })
	}
	if chance(w.rand, 40) {
		quota := w.rand.IntN(8)
		w.client(func() { w.stater(quota) })
	}
	full, room := 1<<30, 0
	if w.theme == "full" {
		full, room = w.rand.IntN(100), 3+w.rand.IntN(60)
	}
	for n := range steps + 300 {
		if w.broken() || n >= steps && (!inSync || w.turns.wants(" sync ")) {
			return
		}
		if full--; full == 0 {
			w.say("the disk is full")
			w.full.Store(true)
			w.disk.SetSpace(int64(w.rand.IntN(9000)), chance(w.rand, 50))
		}
		if full == -room {
			w.say("there is room again")
			w.disk.SetSpace(-1, false)
		}
		who := w.turns.step(w.rand)
		if w.active.Load() == 0 {
			return
		}
		if who == "" {
			w.fail("it does not go on: nobody wants a turn, and %d clients have not been answered", w.active.Load())
			return
		}
		w.say("  %s", who)
	}
}

// client runs f, which ends by itself.
func (w *world) client(f func()) {
	w.active.Add(1)
	w.clients.Go(func() {
		defer w.active.Add(-1)
		f()
	})
}

// quiet lets the clients end and the store do what it does after the last of them.
func (w *world) quiet() {
	w.stop.Store(true)
	for range 10_000 {
		if w.turns.step(w.rand) == "" {
			return
		}
	}
	w.fail("it does not come to rest")
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
				if err := w.log.Close(); err != nil && !w.upset.Load() && !w.full.Load() {
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

// last opens the store a last time on a healthy disk: everything is there, it
// takes appends, closes and opens again.
func (w *world) last() {
	w.birth()
	w.say("the last life")
	w.open(1 << 30)
	if w.broken() || w.log == nil {
		w.die(cut)
		return
	}
	c := w.newWriter(0)
	w.aside(1<<30, func() {
		b := c.gen.batch()
		b.Conditions, b.Time = nil, time.Time{}
		e := w.history.submit(nil, b)
		r, err := w.log.Append(w.ctx, b)
		c.answer(e, nil, r, err, false)
		if err != nil {
			w.fail("the last append: %w", err)
		}
	})
	w.die(closing)
	if w.broken() {
		return
	}
	w.birth()
	w.open(1 << 30)
	w.die(cut)
}

// settled waits until nobody can go on, and reports whether what runs aside has ended.
func (w *world) settled() bool {
	synctest.Wait()
	return w.active.Load() == 0
}
