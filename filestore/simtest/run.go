package simtest

import (
	"time"
)

// ending is how a life ends.
type ending int

func (w *world) ending() ending {
	if w.uniform && chance(w.rand, 80) {
		return cut
	}
	return [...]ending{cut, cut, cut, kill, closing}[w.rand.IntN(5)]
}

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

// live opens the store, lets clients work and ends it.
func (w *world) live(end ending) {
	w.birth()
	if chance(w.rand, 30) {
		w.jump()
	}
	openFor := 1 << 30
	if chance(w.rand, 25) || w.killed && chance(w.rand, 50) {
		openFor = w.rand.IntN(30) // and then the end comes, even while it opens
	}
	w.killed = end == kill
	w.disk.SetFault(w.faults.hook)
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
		c.answer(e, handed{}, nil, r, err)
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
