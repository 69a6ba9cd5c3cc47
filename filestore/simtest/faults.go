package simtest

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/annals-db/annals/internal/simfs"
)

// Themes are the kinds of disaster, of which a run has one beside power cuts,
// kills and jumping clocks; those that matter most come more than once.
var Themes = []string{"power", "power", "power", "power", "sync", "sync", "write", "lie", "full", "full", "read", "flip", "flip"}

// faults are what fails in one life. Its hook is called with the disk locked.
type faults struct {
	life  *life
	data  func(string) bool
	theme string
	rand  *rand.Rand
	after int // how many operations of the kind still go well
	fault simfs.Fault
	from  atomic.Bool // it has lied
	off   bool
}

func (w *world) newFaults(l *life) *faults {
	f := &faults{life: l, data: w.store.Data, theme: w.theme, rand: rand.New(rand.NewPCG(w.seed, uint64(l.n)+100))}
	f.after = f.rand.IntN(25)
	if f.rand.IntN(4) == 0 {
		f.after = f.rand.IntN(4)
	}
	f.fault = [...]simfs.Fault{simfs.Fail, simfs.Partial}[f.rand.IntN(2)]
	return f
}

func (f *faults) hook(op simfs.Op) simfs.Fault {
	if f.off {
		return simfs.None
	}
	switch f.theme {
	case "sync":
		if op.Kind == simfs.Sync || op.Kind == simfs.SyncDir {
			return f.once()
		}
	case "write":
		if op.Kind.Changes() && op.Kind != simfs.Sync && op.Kind != simfs.SyncDir && op.Kind != simfs.Lock {
			return f.once()
		}
	case "read":
		if op.Kind == simfs.ReadAt && f.life.reading.Load() && f.rand.IntN(60) == 0 {
			return simfs.Fail
		}
	case "lie":
		if op.Kind == simfs.Sync && f.data(op.Name) || op.Kind == simfs.SyncDir {
			if f.after--; f.after < 0 {
				f.from.Store(true)
				return simfs.Lie
			}
		}
	}
	return simfs.None
}

// once lets one operation fail.
func (f *faults) once() simfs.Fault {
	f.after--
	if f.after != 0 {
		return simfs.None
	}
	f.life.upset.Store(true)
	return f.fault
}
