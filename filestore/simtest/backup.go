package simtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/annals-db/annals/driver"
)

// archive is where the store is backed up to, on the same disk.
const archive = "/backup/of-log"

// archivist backs the store up while it is used.
func (w *world) archivist(quota int) {
	r := rand.New(rand.NewPCG(w.seed, uint64(w.n*100+95)))
	for range quota {
		w.turns.wait("archivist")
		if w.stop.Load() || w.dead.Load() {
			return
		}
		w.cutShort = true
		before := w.history.head()
		head, err := w.store.Backup(w.ctx, w.log, archive)
		if w.dead.Load() {
			return
		}
		w.say("archivist: a backup up to %d, %v", head, err)
		switch {
		case err != nil:
			w.stateFailed("back up", err)
			return
		case head < before:
			w.fail("a backup ends at %d, and somebody had read %d before", head, before)
			return
		}
		w.archived, w.cutShort = head, false
		w.count(Stats{Backups: 1})
		if chance(r, 50) {
			w.checkBackup()
		}
	}
}

// checkBackup opens the last backup and compares it with the history. A backup
// that was interrupted since may have added to it.
func (w *world) checkBackup() {
	if w.archived == 0 {
		return
	}
	p := w.disk.Process()
	defer p.Kill()
	log, err := w.store.Open(Opening{FS: p, Dir: archive, Clock: w.clock.Now, ReadOnly: true, Seed: w.seed})
	if err != nil {
		w.readFailed("the backup", err)
		return
	}
	defer log.Close()
	all, err := w.read(log, fmt.Sprintf("archivist %d", w.n), driver.Query{}, driver.ReadOptions{})
	if err != nil {
		w.readFailed("the backup", err)
		return
	}
	if len(all) < int(w.archived) {
		w.fail("a backup of %d records has %d", w.archived, len(all))
	}
	w.expect(w.history.check(all, early))
	w.verify(log, func(err error) bool {
		// A backup that was interrupted may have torn the mark's older slot; the
		// next one into the same place makes it again.
		var c *driver.CorruptError
		return w.cutShort && errors.As(err, &c) && strings.Contains(c.Place, archive+"/mark")
	})
}
