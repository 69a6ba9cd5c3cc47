package simtest

import (
	"fmt"

	"github.com/annals-db/annals/driver"
)

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
	w.verify(w.log, nil)
	if s, ok := w.log.(driver.Stater); ok && s.State() != nil {
		w.checkState(s.State())
	}
	w.treeHead(info.Head)
	w.checkBackup()
}

// verify asks the store to check itself. What harmless holds for is passed over.
func (w *world) verify(log driver.Log, harmless func(error) bool) {
	v, ok := log.(driver.Verifier)
	if !ok {
		return
	}
	for err := range v.Verify(w.ctx, nil) {
		if harmless == nil || !harmless(err) {
			w.readFailed("to verify", err)
		}
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
