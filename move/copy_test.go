package move_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/internal/jsonl"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/move"
	"github.com/annals-db/annals/pgstore"
	"github.com/annals-db/annals/sqlitestore"
)

// kinds make an empty store whose log has the given ID.
var kinds = map[string]func(t *testing.T, id driver.ID) driver.Log{
	"memory": func(_ *testing.T, id driver.ID) driver.Log { return memstore.New(&memstore.Options{LogID: id}) },
	"file": func(t *testing.T, id driver.ID) driver.Log {
		return openFile(t, filepath.Join(t.TempDir(), "log"), &filestore.Options{LogID: id, SegmentBytes: 1 << 14})
	},
	"sqlite": func(t *testing.T, id driver.ID) driver.Log {
		s, err := sqlitestore.Open(filepath.Join(t.TempDir(), "log.db"), &sqlitestore.Options{LogID: id})
		return opened(t, s, err)
	},
	"postgres": func(t *testing.T, id driver.ID) driver.Log {
		s, err := pgstore.Open(t.Context(), pgserver.Shared(t).NewDatabase(t), &pgstore.Options{LogID: id})
		return opened(t, s, err)
	},
}

func opened[L driver.Log](t *testing.T, log L, err error) driver.Log {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return log
}

func openFile(t *testing.T, dir string, opts *filestore.Options) *filestore.Store {
	t.Helper()
	s, err := filestore.Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// writer appends a made-up history, the same for a seed.
type writer struct {
	*rand.Rand
	log      driver.Log
	versions map[string]uint64
	head     driver.Position
	time     time.Time
}

func newWriter(log driver.Log, seed uint64) *writer {
	return &writer{Rand: rand.New(rand.NewPCG(seed, 0)), log: log, versions: map[string]uint64{}, time: time.Unix(1_700_000_000, 0).UTC()}
}

// write appends so many batches with everything that a record can have.
func (w *writer) write(t testing.TB, batches int) {
	t.Helper()
	for range batches {
		w.time = w.time.Add(time.Duration(w.IntN(1000)) * time.Microsecond)
		b := driver.Batch{Time: w.time}
		for i := range 1 + w.IntN(3) {
			e := driver.Event{ID: w.id(), Type: fmt.Sprint("Type", w.IntN(3)), Data: fmt.Appendf(nil, `{"n":%d}`, w.IntN(100))}
			stream := fmt.Sprintf("item-%d", w.IntN(9))
			switch w.IntN(4) {
			case 0:
				e.Tags = []string{"b:2", "a:" + fmt.Sprint(w.IntN(5))}
				b.Conditions = append(b.Conditions, driver.NoneAfter(driver.Query{Items: []driver.Item{{Tags: e.Tags[1:]}}}, w.head))
			case 1:
				e.Stream, e.Metadata = stream, driver.NewMetadata(map[string]string{"actor": "ann", "why": strings.Repeat("x", w.IntN(9))})
			default:
				e.Stream, e.Occurred = stream, w.time.Add(-time.Hour)
			}
			if e.Stream != "" {
				if i == 0 {
					b.Conditions = append(b.Conditions, driver.StreamAt(stream, w.versions[stream]))
				}
				w.versions[stream]++
			}
			b.Events = append(b.Events, e)
		}
		r, err := w.log.Append(context.Background(), b)
		if err != nil {
			t.Fatal(err)
		}
		w.head = r.Last
	}
}

func (w *writer) id() (id driver.ID) {
	for i := range id {
		id[i] = byte(w.IntN(256))
	}
	return id
}

func records(t *testing.T, log driver.Log) (out []driver.Record) {
	t.Helper()
	for r, err := range log.Read(t.Context(), driver.Query{}, driver.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func logID(t *testing.T, log driver.Log) driver.ID {
	t.Helper()
	info, err := log.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.LogID
}

// same fails the test unless to holds what from does, and its ID.
func same(t *testing.T, from, to driver.Log) {
	t.Helper()
	if a, b := records(t, from), records(t, to); !reflect.DeepEqual(a, b) {
		t.Errorf("the copy has %d records, the source %d, or they differ", len(b), len(a))
	}
	if a, b := logID(t, from), logID(t, to); a != b {
		t.Errorf("the copy is log %s, the source %s", b, a)
	}
}

func TestACopyKeepsEverything(t *testing.T) {
	for a, from := range kinds {
		for b, to := range kinds {
			t.Run(a+" to "+b, func(t *testing.T) {
				source := from(t, uuid.New())
				newWriter(source, 1).write(t, 150)
				target := to(t, logID(t, source))
				r, err := move.Copy(t.Context(), source, target, nil)
				if err != nil {
					t.Fatal(err)
				}
				same(t, source, target)
				want, err := source.(driver.Hasher).TreeHead(t.Context(), r.Head)
				if err != nil || r.Hash != want || r.Records != len(records(t, source)) {
					t.Errorf("it says %+v, and the source's running hash is %x (%v)", r, want, err)
				}
			})
		}
	}
}

// The log goes from store to store and comes back the same, byte for byte.
func TestALogGoesRoundAllStores(t *testing.T) {
	first := kinds["file"](t, uuid.New())
	newWriter(first, 10).write(t, 300)
	want, hash := export(t, first), [32]byte{}
	from := first
	for _, name := range []string{"sqlite", "postgres", "memory", "file"} {
		to := kinds[name](t, logID(t, first))
		r, err := move.Copy(t.Context(), from, to, nil)
		if err != nil {
			t.Fatalf("to %s: %v", name, err)
		}
		if hash != [32]byte{} && r.Hash != hash {
			t.Errorf("to %s: the running hash is %x, and was %x", name, r.Hash, hash)
		}
		if got := export(t, to); got != want {
			t.Errorf("to %s: the export differs", name)
		}
		hash, from = r.Hash, to
	}
}

func export(t *testing.T, log driver.Log) string {
	t.Helper()
	var b strings.Builder
	if _, err := jsonl.Export(t.Context(), log, driver.Query{}, driver.ReadOptions{}, &b, nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAnInterruptedCopyGoesOnWhereItStopped(t *testing.T) {
	source := kinds["memory"](t, uuid.New())
	newWriter(source, 2).write(t, 1000)
	total := len(records(t, source))
	for seed := range uint64(4) {
		target := kinds["file"](t, logID(t, source))
		rnd, copied, interrupted := rand.New(rand.NewPCG(seed, 0)), 0, 0
		for {
			ctx, cancel := context.WithCancel(t.Context())
			stop := driver.Position(copied + 1 + rnd.IntN(total))
			r, err := move.Copy(ctx, source, target, &move.Options{Progress: func(done, _ driver.Position) {
				if done > stop {
					cancel()
				}
			}})
			cancel()
			copied += r.Records
			if err == nil {
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("seed %d: %v", seed, err)
			}
			interrupted++
			if n := len(records(t, target)); n != copied || driver.Position(n) != r.Head {
				t.Fatalf("seed %d: it holds %d records, and %d were said, up to %d", seed, n, copied, r.Head)
			}
		}
		if copied != total || interrupted == 0 {
			t.Errorf("seed %d: %d records copied in all, want %d; interrupted %d times", seed, copied, total, interrupted)
		}
		same(t, source, target)
	}
}

func TestACopyToALogThatIsNoBeginningIsRefusedWithThePosition(t *testing.T) {
	id := uuid.New()
	source := kinds["file"](t, id)
	newWriter(source, 3).write(t, 100)
	all := records(t, source)
	for _, at := range []int{1, 2, 57, len(all)} {
		target := kinds["memory"](t, id)
		replay(t, target, slices.Clone(all), func(r *driver.Record) {
			if int(r.Position) == at {
				r.Metadata = driver.NewMetadata(map[string]string{"actor": "mallory"})
			}
		})
		before := records(t, target)
		_, err := move.Copy(t.Context(), source, target, nil)
		var differ *move.DifferError
		if !errors.As(err, &differ) || int(differ.Position) != at {
			t.Errorf("they differ at %d: %v", at, err)
		}
		if !reflect.DeepEqual(before, records(t, target)) {
			t.Error("the store copied to was changed")
		}
	}

	longer := kinds["memory"](t, id)
	newWriter(longer, 3).write(t, 101)
	_, err := move.Copy(t.Context(), source, longer, nil)
	var differ *move.DifferError
	if !errors.As(err, &differ) || int(differ.Position) != len(all)+1 {
		t.Errorf("it is longer than its source: %v", err)
	}
}

// replay appends records as they are but for what change makes of them.
func replay(t *testing.T, log driver.Log, all []driver.Record, change func(*driver.Record)) {
	t.Helper()
	for len(all) > 0 {
		b := driver.Batch{Time: all[0].Time, Conditions: all[0].Conditions}
		for first := all[0].Position; len(all) > 0 && all[0].Batch == first; all = all[1:] {
			change(&all[0])
			b.Events = append(b.Events, all[0].Event)
		}
		if _, err := log.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
}

func TestACopyHasTheIDOfItsSourceUnlessItIsToBeALogOfItsOwn(t *testing.T) {
	source, target := kinds["memory"](t, uuid.New()), kinds["memory"](t, uuid.New())
	newWriter(source, 4).write(t, 10)
	save(t, source, "checkpoint", "7")
	_, err := move.Copy(t.Context(), source, target, nil)
	if err == nil || !strings.Contains(err.Error(), logID(t, source).String()) {
		t.Errorf("%v, want an error that names the ID it must have", err)
	}
	r, err := move.Copy(t.Context(), source, target, &move.Options{NewLog: true})
	if err != nil || r.LogID != logID(t, target) || r.Records == 0 || r.State != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, _, err := target.(driver.Stater).State().Load(t.Context(), "checkpoint"); !errors.Is(err, driver.ErrNotFound) {
		t.Errorf("the checkpoint of another log: %v", err)
	}
}

func save(t *testing.T, log driver.Log, key, value string) {
	t.Helper()
	if _, err := log.(driver.Stater).State().Save(t.Context(), key, []byte(value), driver.AnyRevision); err != nil {
		t.Fatal(err)
	}
}

func TestTheStateIsCopiedFromAStoreThatAnotherProcessWrites(t *testing.T) {
	dir := t.TempDir()
	owner := openFile(t, dir, nil)
	newWriter(owner, 5).write(t, 10)
	save(t, owner, "projection/stock", "7")
	save(t, owner, "relay/out", "9")
	source := openFile(t, dir, &filestore.Options{ReadOnly: true})
	target := kinds["memory"](t, logID(t, source))
	for _, want := range []int{2, 0} {
		r, err := move.Copy(t.Context(), source, target, nil)
		if err != nil || r.State != want {
			t.Errorf("%+v, %v; want %d keys", r, err, want)
		}
	}
	if v, _, err := target.(driver.Stater).State().Load(t.Context(), "relay/out"); string(v) != "9" || err != nil {
		t.Errorf("the copy has %q, %v", v, err)
	}
}

func TestFollowingTakesEverythingThatIsWrittenUntilItEnds(t *testing.T) {
	dir := t.TempDir()
	owner := openFile(t, dir, nil)
	w := newWriter(owner, 6)
	w.write(t, 50)
	source := openFile(t, dir, &filestore.Options{ReadOnly: true})
	target := kinds["file"](t, logID(t, source))
	follow := make(chan struct{})
	var done atomic.Uint64
	type end struct {
		move.Result
		err error
	}
	ended := make(chan end, 1)
	go func() {
		r, err := move.Copy(t.Context(), source, target, &move.Options{Follow: follow, Progress: func(d, _ driver.Position) { done.Store(uint64(d)) }})
		ended <- end{r, err}
	}()
	for range 20 {
		w.write(t, 10)
		eventually(t, func() bool { return done.Load() == uint64(w.head) })
	}
	w.write(t, 100) // while it is ended
	close(follow)
	e := <-ended
	if e.err != nil || e.Head != w.head {
		t.Fatalf("%+v, %v; the source ends at %d", e.Result, e.err, w.head)
	}
	same(t, owner, target)
}

func TestWhatTheSourceHasWhenFollowingEndsIsTakenAlong(t *testing.T) {
	source := kinds["memory"](t, uuid.New())
	w := newWriter(source, 11)
	w.write(t, 10)
	follow, ended := make(chan struct{}), false
	target := kinds["memory"](t, logID(t, source))
	_, err := move.Copy(t.Context(), source, target, &move.Options{Follow: follow, Progress: func(done, total driver.Position) {
		if done == total && !ended {
			ended = true
			w.write(t, 5)
			close(follow)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	same(t, source, target)
}

func TestFollowingEndsWhenNothingComes(t *testing.T) {
	source := kinds["memory"](t, uuid.New())
	newWriter(source, 7).write(t, 10)
	target := kinds["memory"](t, logID(t, source))
	if _, err := move.Copy(t.Context(), source, target, &move.Options{Idle: 50 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	same(t, source, target)
}

func TestFollowingEndsWithItsContext(t *testing.T) {
	source := kinds["memory"](t, uuid.New())
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := move.Copy(ctx, source, kinds["memory"](t, logID(t, source)), &move.Options{Follow: make(chan struct{})})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it has not come about within a minute")
		}
	}
}

// lossy is a store that stores something other than it was given.
type lossy struct{ *memstore.Store }

func (l lossy) Submit(ctx context.Context, b driver.Batch) func() (driver.Receipt, error) {
	for i := range b.Events {
		if string(b.Events[i].Data) == `{"n":7}` {
			b.Events[i].Data = []byte(`{"n":8}`)
		}
	}
	return l.Store.Submit(ctx, b)
}

func TestACopyThatIsNotTheSameIsFound(t *testing.T) {
	source := kinds["memory"](t, uuid.New())
	newWriter(source, 8).write(t, 500)
	var want driver.Position
	for _, r := range records(t, source) {
		if string(r.Data) == `{"n":7}` {
			want = r.Position
			break
		}
	}
	target := lossy{memstore.New(&memstore.Options{LogID: logID(t, source)})}
	_, err := move.Copy(t.Context(), source, target, nil)
	var corrupt *driver.CorruptError
	if !errors.As(err, &corrupt) || corrupt.Position != want {
		t.Errorf("%v, want corruption at %d", err, want)
	}
}

func TestARecordThatTheStoreCannotTakeIsNamed(t *testing.T) {
	source := kinds["memory"](t, uuid.New())
	w := newWriter(source, 9)
	w.write(t, 20)
	big := driver.Event{ID: w.id(), Stream: "item-1", Type: "Big", Data: []byte(`"` + strings.Repeat("x", 5000) + `"`)}
	if _, err := source.Append(t.Context(), driver.Batch{Events: []driver.Event{big}, Time: w.time}); err != nil {
		t.Fatal(err)
	}
	limits := driver.DefaultLimits
	limits.EventBytes = 4096
	for name, target := range map[string]driver.Log{
		"memory": memstore.New(&memstore.Options{LogID: logID(t, source), Limits: limits}),
		"file":   openFile(t, t.TempDir(), &filestore.Options{LogID: logID(t, source), Limits: limits}),
	} {
		_, err := move.Copy(t.Context(), source, target, nil)
		var limit *driver.LimitError
		if !errors.As(err, &limit) || !strings.Contains(err.Error(), fmt.Sprintf("position %d", w.head+1)) {
			t.Errorf("%s: %v, want a LimitError at %d", name, err, w.head+1)
		}
	}
}
