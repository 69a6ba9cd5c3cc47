package simtest

import (
	"testing/synctest"
	"time"
)

// work lets clients work for so many steps, or until they are done. With
// inSync it goes on after that until a sync is under way, so that what was
// written last is not durable.
func (w *world) work(steps int, inSync bool) {
	w.hire()
	full, room := 1<<30, 0
	if w.theme == "full" {
		full, room = w.rand.IntN(100), 3+w.rand.IntN(60)
	}
	hurt := false
	for n := range steps + 300 {
		if !hurt && w.upset.Load() {
			hurt = true
			if chance(w.rand, 60) { // the end comes before much is done about what failed
				steps, inSync = min(steps, n+w.rand.IntN(15)), false
			}
		}
		if w.broken() || n >= steps && (!inSync || w.turns.wants(" sync ")) {
			return
		}
		if full--; full == 0 {
			w.say("the disk is full")
			w.full.Store(true)
			w.wasFull.Store(true)
			w.disk.SetSpace(int64(w.rand.IntN(9000)), chance(w.rand, 50))
		}
		if full == -room {
			w.say("there is room again")
			w.full.Store(false)
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
		if chance(w.rand, 1) {
			w.jump()
		}
		if chance(w.rand, 4) { // time passes too while there is work
			synctest.Wait()
			time.Sleep(60 * time.Millisecond)
		}
	}
}

// hire starts clients.
func (w *world) hire() {
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
		w.clients.Go(func() { w.subscriber("subscriber", w.log) })
	}
	if w.store.Readers && chance(w.rand, 50) {
		w.client(func() { w.visitor() })
	}
	if w.store.Readers && chance(w.rand, 30) {
		w.clients.Go(w.follower)
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
}

// jump sets the clock, by up to five days forward or back.
func (w *world) jump() {
	w.clock.jump(time.Duration(w.rand.Int64N(int64(240*time.Hour))) - 120*time.Hour)
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
