package simtest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/simfs"
	"github.com/annals-db/annals/internal/vfs"
)

// Opening is what a store is opened with.
type Opening struct {
	FS       vfs.FS
	Dir      string
	Clock    func() time.Time
	ReadOnly bool
	Seed     uint64 // of the run, so that a store may be opened in more than one way
}

// Store is a store under test.
type Store struct {
	Open func(Opening) (driver.Log, error)
	// Data reports whether the file of that name holds records, so that a
	// failed sync of it must make the store read-only. Defaults to every file.
	Data func(name string) bool
	// Backup copies the log to a directory and returns the last position in the
	// copy. Defaults to no backups.
	Backup func(ctx context.Context, log driver.Log, dir string) (driver.Position, error)
	// Readers says that the store can be opened read-only beside the writer.
	Readers bool
}

// Options are the options of [Run].
type Options struct {
	Theme string // the kind of disaster, one of [Themes]. Defaults to one by the seed
	Trace bool   // keep a trace of every step. Defaults to false
}

// Result is what a run found.
type Result struct {
	Err   error // the first promise broken, nil if none was
	Theme string
	Trace []string
	Stats Stats
}

// Stats count what happened in runs.
type Stats struct {
	Lives, Cuts, Kills, Closes                     int
	Acks, Repeats, Conflicts, Unknown, Full, Reads int
	Records, Backups                               int
	LossesNamed, LossesSilent, Flips, FlipsIn      int
}

// Add adds o to s.
func (s *Stats) Add(o Stats) {
	s.Lives += o.Lives
	s.Cuts += o.Cuts
	s.Kills += o.Kills
	s.Closes += o.Closes
	s.Acks += o.Acks
	s.Repeats += o.Repeats
	s.Conflicts += o.Conflicts
	s.Unknown += o.Unknown
	s.Full += o.Full
	s.Reads += o.Reads
	s.Records += o.Records
	s.Backups += o.Backups
	s.LossesNamed += o.LossesNamed
	s.LossesSilent += o.LossesSilent
	s.Flips += o.Flips
	s.FlipsIn += o.FlipsIn
}

const dir = "/data/log"

// world is one run: a disk, a store on it that lives several times, and what
// has been promised.
type world struct {
	store    Store
	o        Options
	seed     uint64
	rand     *rand.Rand
	disk     *simfs.Disk
	turns    turns
	clock    *clock
	history  *history
	theme    string
	uniform  bool            // all batches are of one size, so that what a crash left lines up with what is written over it
	lied     bool            // the disk has lied
	archived driver.Position // the end of the last backup that succeeded
	lossy    bool            // the disk lied and lost power
	cutShort bool            // a backup after that was not finished
	killed   bool            // the last life ended so, with what it had written unsynced
	over     bool            // nothing more can be asked of this store

	*life

	mu    sync.Mutex
	err   error
	trace []string
	stats Stats
}

// life is the time from one opening of the store to its end.
type life struct {
	n       int // which, from 1
	process *simfs.Process
	log     driver.Log
	ctx     context.Context
	cancel  context.CancelFunc
	clients sync.WaitGroup
	active  atomic.Int32 // clients that will end by themselves
	stop    atomic.Bool  // clients should end
	dead    atomic.Bool  // the process is
	upset   atomic.Bool  // an operation that changes something failed
	failed  atomic.Bool  // so that an append was answered: its outcome is unknown
	full    atomic.Bool  // the disk is
	wasFull atomic.Bool  // the disk is or was in this life
	reading atomic.Bool  // reads fail now and then
	faults  *faults
	told    bool // the disk lied, and has kept all that does not hold records: the mark tells of everything
}

func newWorld(seed uint64, store Store, o Options) *world {
	w := &world{store: store, o: o, seed: seed, rand: rand.New(rand.NewPCG(seed, 1)), history: newHistory(), life: &life{}}
	w.clock = &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	w.disk = simfs.New(seed, &simfs.Options{Gate: func(op simfs.Op) { w.turns.wait(fmt.Sprintf("%d %s", op.Process, op)) }})
	w.theme = o.Theme
	if w.theme == "" {
		w.theme = Themes[w.rand.IntN(len(Themes))]
	}
	w.uniform = chance(w.rand, 15)
	return w
}

// fail notes the first promise broken.
func (w *world) fail(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	w.say("BROKEN: %v", err)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

// expect fails unless err is nil.
func (w *world) expect(err error) {
	if err != nil {
		w.fail("%w", err)
	}
}

func (w *world) broken() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err != nil
}

// say notes what happens.
func (w *world) say(format string, args ...any) {
	if !w.o.Trace {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

func (w *world) count(add Stats) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.Add(add)
}

// version is what a client would think a stream's version is: what anybody has
// been told last.
func (w *world) version(stream string) uint64 {
	h := w.history
	h.mu.Lock()
	defer h.mu.Unlock()
	var v uint64
	for _, e := range h.entries {
		if e.receipt == nil {
			continue
		}
		for i := range e.batch.Events {
			if e.batch.Events[i].Stream == stream {
				v = max(v, e.receipt.Versions[i])
			}
		}
	}
	return v
}

// piece returns n bytes or fewer of one of the store's own files.
func (w *world) piece(r *rand.Rand, n int) []byte {
	files := w.disk.Files()
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(files)), func(name string) bool { return len(files[name]) < 64 || !strings.HasPrefix(name, dir) })
	if len(names) == 0 {
		return nil
	}
	data := files[one(r, names)]
	if chance(r, 60) { // where records are, rather than the zeros behind them
		data = data[:len(data)-len(trailingZeros(data))]
	}
	if len(data) == 0 {
		return nil
	}
	from := r.IntN(len(data))
	return data[from:min(len(data), from+n)]
}

func trailingZeros(b []byte) []byte {
	n := len(b)
	for n > 0 && b[n-1] == 0 {
		n--
	}
	return b[n:]
}
