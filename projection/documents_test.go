package projection_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/projection"
)

// Level is a document.
type Level struct{ Quantity, Moves int }

var levels = projection.NewCollection[Level]("levels")

func levelsOf(version string, factor int) *projection.Projection[*projection.Docs] {
	return projection.New("levels",
		projection.On(func(_ context.Context, tx *projection.Docs, e Moved, _ projection.Envelope) error {
			return levels.Change(tx, e.SKU, func(l *Level) {
				l.Quantity += e.Quantity * factor
				l.Moves++
			})
		}),
	).Collections("levels").Version(version)
}

func documents(t testing.TB, db *annals.DB) *projection.Documents {
	t.Helper()
	d, err := projection.NewDocuments(db.Log())
	must(t, err)
	return d
}

func allLevels(t testing.TB, d *projection.Documents) map[string]string {
	t.Helper()
	got := map[string]string{}
	must(t, d.View(t.Context(), func(tx *projection.Docs) error {
		for sku, l := range levels.All(tx) {
			got[sku] = fmt.Sprint(l.Quantity, l.Moves)
		}
		return nil
	}))
	return got
}

func TestDocumentsEqualAFold(t *testing.T) {
	db := memory(t)
	for n := range 50 {
		move(t, db, fmt.Sprint("sku", n%7), n)
	}
	// Two sets of documents over one state, as two processes have.
	a, b := documents(t, db), documents(t, db)
	o := with(func(o *projection.Options) { o.Batch, o.Partitions = 3, 2 })
	ra := start(t, levelsOf("v1", 1), db, a, o)
	rb := start(t, levelsOf("v1", 1), db, b, o)
	var last annals.Position
	for n := range 100 {
		last = move(t, db, fmt.Sprint("sku", n%5), -n)
	}
	must(t, ra.Wait(patient(t), last))
	must(t, rb.Wait(patient(t), last))
	equal(t, "the documents", allLevels(t, a), folded(t, db))
	equal(t, "the documents of the other", allLevels(t, b), folded(t, db))
	equal(t, "the documents of a third", allLevels(t, documents(t, db)), folded(t, db))
}

// Readers bring what is in memory up to date beside the transactions; none may
// lose what another process has committed, nor see less than was seen before.
func TestDocumentsThatAreLookedAtMeanwhile(t *testing.T) {
	db := memory(t)
	a, b := documents(t, db), documents(t, db)
	o := with(func(o *projection.Options) { o.Batch = 3 })
	ra, rb := start(t, levelsOf("v1", 1), db, a, o), start(t, levelsOf("v1", 1), db, b, o)
	looking, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for _, d := range []*projection.Documents{a, b, a, b} {
		readers.Go(func() {
			for seen := 0; looking.Err() == nil; {
				moves := 0
				_ = d.View(looking, func(tx *projection.Docs) error {
					for _, l := range levels.All(tx) {
						moves += l.Moves
					}
					return nil
				})
				if moves < seen && looking.Err() == nil {
					t.Errorf("%d movements are seen after %d", moves, seen)
				}
				seen = moves
			}
		})
	}
	var last annals.Position
	for n := range 1000 {
		last = move(t, db, fmt.Sprint("sku", n%20), n)
	}
	must(t, ra.Wait(patient(t), last))
	must(t, rb.Wait(patient(t), last))
	stop()
	readers.Wait()
	equal(t, "the documents", allLevels(t, a), folded(t, db))
	equal(t, "the documents of the other", allLevels(t, b), folded(t, db))
}

// Two processes that keep different projections in one state do not undo each other.
func TestDocumentsOfTwoWriters(t *testing.T) {
	db := memory(t)
	counts := projection.NewCollection[int]("counts")
	count := projection.New("counts", projection.On(func(_ context.Context, tx *projection.Docs, e Moved, _ projection.Envelope) error {
		return counts.Change(tx, e.SKU, func(n *int) { *n++ })
	})).Collections("counts")
	a, b := documents(t, db), documents(t, db)
	o := with(func(o *projection.Options) { o.Batch = 2 })
	ra, rb := start(t, levelsOf("v1", 1), db, a, o), start(t, count, db, b, o)
	var last annals.Position
	for n := range 100 {
		last = move(t, db, fmt.Sprint("sku", n%5), n)
	}
	must(t, ra.Wait(patient(t), last))
	must(t, rb.Wait(patient(t), last))
	for name, d := range map[string]*projection.Documents{"one": a, "the other": b, "a third": documents(t, db)} {
		equal(t, name+"'s documents", allLevels(t, d), folded(t, db))
		must(t, d.View(t.Context(), func(tx *projection.Docs) error {
			for sku, n := range counts.All(tx) {
				equal(t, name+"'s count of "+sku, n, 20)
			}
			return nil
		}))
	}
}

// A commit on what another has changed meanwhile is made again on top of it.
func TestDocumentsCommitOnWhatIsThere(t *testing.T) {
	db := memory(t)
	a, b := documents(t, db), documents(t, db)
	put := func(d *projection.Documents, key string) {
		must(t, d.Update(t.Context(), func(ctx context.Context, _ *projection.Docs, b projection.Book) error {
			return b.Save(ctx, key, []byte("1"))
		}))
	}
	put(a, "a1")
	put(b, "b1")
	put(a, "a2")
	put(b, "b2")
	put(b, "b3")
	put(a, "a3")
	must(t, documents(t, db).Keep(t.Context(), func(ctx context.Context, b projection.Book) error {
		for _, key := range []string{"a1", "a2", "a3", "b1", "b2", "b3"} {
			v, err := b.Load(ctx, key)
			must(t, err)
			equal(t, key, string(v), "1")
		}
		return nil
	}))
}

func TestDocumentsRebuild(t *testing.T) {
	db := memory(t)
	for n := range 20 {
		move(t, db, fmt.Sprint("sku", n%4), n)
	}
	d := documents(t, db)
	start(t, levelsOf("v1", 1), db, d, quick)
	r := start(t, levelsOf("v2", 2), db, d, quick)
	control := projection.NewControl(db.Log(), d)
	must(t, r.Wait(patient(t), 20))
	all, err := control.Compare(patient(t), "levels", "v2", 1)
	must(t, err)
	equal(t, "the comparison", fmt.Sprint(all), "[{levels 4 4 [] [] 4 [{sku0 map[Quantity:40] map[Quantity:80]}]}]")
	must(t, control.Drop(t.Context(), "levels", "v2"))
	start(t, levelsOf("v3", 1), db, d, quick)
	must(t, control.Switch(patient(t), "levels", "v3"))
	equal(t, "the documents", allLevels(t, d), folded(t, db))
	must(t, control.Reset(t.Context(), "levels", ""))
	eventually(t, "the documents come back", func() bool {
		return fmt.Sprint(allLevels(t, d)) == fmt.Sprint(folded(t, db))
	})
	must(t, control.Drop(t.Context(), "levels", "v1"))
}

// Documents grow over many manifests and parts, and come back equal.
func TestDocumentsOnAFile(t *testing.T) {
	log, err := filestore.Open(filepath.Join(t.TempDir(), "log"), nil)
	must(t, err)
	defer log.Close()
	db := annals.New(log, nil)
	d := documents(t, db)
	text := projection.NewCollection[string]("text")
	rnd := rand.New(rand.NewPCG(1, 2))
	want := map[string]string{}
	create := func(ctx context.Context, _ *projection.Docs, b projection.Book) error {
		return errors.Join(b.Create(ctx, "text_v1", ""), b.Show(ctx, "text", "text_v1"))
	}
	must(t, d.Update(t.Context(), create))
	writer := projection.New("texts", projection.OnRecord(annals.Query{},
		func(_ context.Context, tx *projection.Docs, r annals.Record) error {
			key := fmt.Sprint("key", rnd.IntN(30))
			if rnd.IntN(5) == 0 {
				delete(want, key)
				return text.Delete(tx, key)
			}
			want[key] = fmt.Sprint(r.Position, strings.Repeat("x", rnd.IntN(50_000)))
			return text.Put(tx, key, want[key])
		})).Collections("text")
	for range 300 {
		move(t, db, "a", 1)
	}
	r := start(t, writer, db, d, with(func(o *projection.Options) { o.Batch = 2 }))
	must(t, r.Wait(patient(t), 300))
	must(t, d.View(t.Context(), func(*projection.Docs) error { return nil }))
	for name, d := range map[string]*projection.Documents{"same": d, "opened again": documents(t, db)} {
		got := map[string]string{}
		must(t, d.View(t.Context(), func(tx *projection.Docs) error {
			for k, v := range text.All(tx) {
				got[k] = v
			}
			return nil
		}))
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%s: %d documents differ from the %d that were put", name, len(got), len(want))
		}
	}
}

func TestDocumentsThatAreNotDeclared(t *testing.T) {
	db := memory(t)
	move(t, db, "a", 1)
	p := projection.New("undeclared", projection.On(func(_ context.Context, tx *projection.Docs, e Moved, _ projection.Envelope) error {
		return levels.Put(tx, e.SKU, Level{})
	}))
	err := ended(t, start(t, p, db, documents(t, db), quick))
	equal(t, "the error", err.Error(), `projection undeclared v1: event "Moved" of "item-a" at position 1, after 3 attempts: collection levels is not declared: add .Collections("levels") to the projection`)
}

// held is a state that lets the manifest be written when it is told.
type held struct {
	driver.State
	reached, goOn chan struct{}
}

func (h held) Save(ctx context.Context, key string, value []byte, expect uint64) (uint64, error) {
	if key == "documents/manifest" {
		h.reached <- struct{}{}
		<-h.goOn
	}
	return h.State.Save(ctx, key, value, expect)
}

// heldLog is a log with that state.
type heldLog struct {
	driver.Log
	state driver.State
}

func (l heldLog) State() driver.State { return l.state }

// What one process writes anew takes nothing away from what another is about to
// commit, however old that is by its clock.
func TestTwoProcessesWriteTheirDocumentsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memstore.New(nil)
		open := func(state driver.State) *projection.Documents {
			d, err := projection.NewDocuments(heldLog{log, state})
			must(t, err)
			return d
		}
		put := func(d *projection.Documents, key string) error {
			return d.Keep(t.Context(), func(ctx context.Context, b projection.Book) error {
				return b.Save(ctx, key, []byte(`"`+strings.Repeat("x", 1<<20)+`"`))
			})
		}
		filler := open(log.State())
		for range 4 { // then everything is written anew
			must(t, put(filler, "filler"))
		}
		var states []held
		ended := make(chan error, 2)
		for n := range 2 {
			h := held{log.State(), make(chan struct{}, 2), make(chan struct{})}
			states = append(states, h)
			go func() { ended <- put(open(h), fmt.Sprint(n)) }()
			<-h.reached
			time.Sleep(2 * time.Hour)
		}
		close(states[0].goOn)
		must(t, <-ended)
		close(states[1].goOn)
		must(t, <-ended)
		must(t, open(log.State()).Keep(t.Context(), func(ctx context.Context, b projection.Book) error {
			all, err := b.List(ctx, "")
			equal(t, "keys", len(all), 3)
			return err
		}))
	})
}
