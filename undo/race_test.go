package undo_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/codec"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/drivertest"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/undo"
)

// TestUsersRace lets several users, each with a handle and an undo of their own
// as in processes of their own, work on one stream, over a sound and over a lossy
// log. What came of it is checked against the log itself: every undo and redo in
// it was of the right action, and the state is what the actions that stand make.
func TestUsersRace(t *testing.T) {
	for _, lossy := range []bool{false, true} {
		t.Run(fmt.Sprintf("lossy %v", lossy), func(t *testing.T) {
			for seed := range uint64(4) {
				race(t, seed, lossy)
			}
		})
	}
}

func race(t *testing.T, seed uint64, lossy bool) {
	log := memstore.New(nil)
	defer log.Close()
	sure := annals.New(log, nil)
	_, err := cells.Add(t.Context(), sure, "c", func(c *Cells) error { return c.Record(CellSet{"base", 1}) })
	if err != nil {
		t.Fatal(err)
	}
	var users sync.WaitGroup
	for n := range uint64(4) {
		users.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, n))
			through := driver.Log(log)
			if lossy {
				through = drivertest.Flaky(log, &drivertest.FlakyOptions{Seed: seed*10 + n + 1})
			}
			db, u, actor := annals.New(through, nil), undo.New(cells), fmt.Sprint("user", n)
			if n == 0 {
				actor = "user1" // two windows of one user
			}
			for i := range 40 {
				ctx := annals.WithActor(t.Context(), actor)
				var err error
				switch rnd.IntN(4) {
				case 0, 1:
					_, err = cells.Update(ctx, db, "c", func(c *Cells) error {
						return c.Record(CellSet{fmt.Sprint("cell", rnd.IntN(10)), int(n)*1000 + i})
					})
				case 2:
					_, err = u.Undo(ctx, db, "c")
				case 3:
					_, err = u.Redo(ctx, db, "c")
				}
				var depends *undo.DependsError
				var conflict *annals.ConflictError // many tries, all of them too late
				if err != nil && !errors.As(err, &depends) && !errors.Is(err, undo.ErrNothing) && !errors.As(err, &conflict) &&
					!(lossy && (errors.Is(err, driver.ErrUnavailable) || errors.Is(err, annals.ErrOutcomeUnknown))) {
					t.Errorf("seed %d: %s: %v", seed, actor, err)
				}
			}
		})
	}
	users.Wait()
	audit(t, seed, sure)
}

// acted is an action as the log tells of it.
type acted struct {
	actor  string
	sets   map[string]int
	undone bool
}

// audit reads the log and checks every undo and redo, and the state after each batch.
func audit(t *testing.T, seed uint64, db *annals.DB) {
	t.Helper()
	var order []*acted // by where their effect lies
	known := map[string]*acted{}
	done, undone := map[string][]*acted{}, map[string][]*acted{}
	turns := 0
	var batch annals.Position
	var current *acted
	check := func(version uint64) {
		want := map[string]int{}
		for _, a := range order {
			if !a.undone {
				maps.Copy(want, a.sets)
			}
		}
		got, err := cells.LoadVersion(db.View(t.Context()), "c", version)
		if err != nil || !maps.Equal(got.Cell, want) {
			t.Fatalf("seed %d, version %d: state %v, %v, want %v", seed, version, got, err, want)
		}
	}
	last := uint64(0)
	for r, err := range db.Log().Read(t.Context(), annals.Query{}, annals.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Batch != batch {
			if batch != 0 {
				check(last)
			}
			batch, current = r.Batch, nil
			turn := func(key string, from, to map[string][]*acted) {
				a := known[r.Metadata.Value(key)]
				if a == nil {
					return
				}
				list := from[a.actor]
				if len(list) == 0 || list[len(list)-1] != a {
					t.Fatalf("seed %d, position %d: the %s is not of the last action of %s", seed, r.Position, key, a.actor)
				}
				from[a.actor], to[a.actor] = list[:len(list)-1], append(to[a.actor], a)
				a.undone = key == "undo"
				i := slices.Index(order, a)
				order = append(slices.Delete(order, i, i+1), a)
				current = a
				turns++
			}
			turn("undo", done, undone)
			turn("redo", undone, done)
			if current == nil {
				current = &acted{actor: r.Metadata.Value("actor"), sets: map[string]int{}}
				known[strconv.FormatUint(uint64(r.Batch), 10)] = current
				order = append(order, current)
				done[current.actor], undone[current.actor] = append(done[current.actor], current), nil
			}
		}
		if r.Type == "CellSet" {
			var s CellSet
			if err := codec.JSON.Unmarshal(r.Data, &s); err != nil {
				t.Fatal(err)
			}
			current.sets[s.Name] = s.Value
		}
		last = r.Version
	}
	check(last)
	if turns == 0 {
		t.Fatalf("seed %d: nothing was undone", seed)
	}
}

func TestARepeatedUndoIsOne(t *testing.T) {
	w := newWorld(t)
	w.do("ann", TitleSet{"one"})
	w.do("ann", TitleSet{"two"})
	for i := range 3 {
		r, err := boardUndo.Undo(w.as("ann"), w.db, "b", annals.Once("request 7"))
		w.must(err)
		if r.Repeated != (i > 0) {
			t.Errorf("receipt %d: %+v", i, r)
		}
	}
	w.is("one map[] [] 0")
}

func TestCompensateOfWhatReachesElsewhereIsRefused(t *testing.T) {
	w := newWorld(t)
	r, err := w.db.Update(w.as("ann"), func(tx *annals.Tx) error {
		b, err := boards.Load(tx, "b")
		w.must(err)
		c, err := boards.Create(tx, "c")
		w.must(err)
		return errors.Join(b.Record(TitleSet{"x"}), c.Record(TitleSet{"y"}))
	})
	w.must(err)
	_, err = boardUndo.Compensate(w.as("eve"), w.db, "b", r.First, nil)
	says(t, err, "compensate", `"board-c"`, "would stay")
}
