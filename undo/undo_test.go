package undo_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/undo"
)

// Board is a task list: titles by name, an order, and a counter of visits.
type Board struct {
	annals.Entity
	Title  string
	Tasks  map[string]Task
	Order  []string
	Visits int
}

type Task struct {
	Text string
	Done bool `json:"done,omitempty"`
}

type (
	TitleSet  struct{ Title string }
	TaskAdded struct{ Name, Text string }
	TaskDone  struct{ Name string }
	TaskText  struct{ Name, Text string }
	Visited   struct{ Times int }
)

var boards = annals.NewModel("board",
	annals.Init(func(b *Board) { b.Tasks = map[string]Task{} }),
	annals.On(func(b *Board, e TitleSet) { b.Title = e.Title }),
	annals.On(func(b *Board, e TaskAdded) {
		b.Tasks[e.Name] = Task{Text: e.Text}
		b.Order = append(b.Order, e.Name)
	}),
	annals.On(func(b *Board, e TaskDone) {
		t := b.Tasks[e.Name]
		t.Done = true
		b.Tasks[e.Name] = t
	}),
	annals.On(func(b *Board, e TaskText) {
		t := b.Tasks[e.Name]
		t.Text = e.Text
		b.Tasks[e.Name] = t
	}),
	annals.On(func(b *Board, e Visited) { b.Visits += e.Times }),
	undo.Handler[Board](),
)

var boardUndo = undo.New(boards,
	undo.Inverse(func(_ *Board, e Visited) []any { return []any{Visited{-e.Times}} }),
	undo.Conflict[Board](func(later TaskDone, earlier Visited) bool { return earlier.Times == 13 }),
)

type world struct {
	*testing.T
	db *annals.DB
}

func newWorld(t *testing.T) world {
	log := memstore.New(nil)
	t.Cleanup(func() { log.Close() })
	w := world{t, annals.New(log, nil)}
	_, err := boards.Add(t.Context(), w.db, "b", func(b *Board) error { return b.Record(TitleSet{"start"}) })
	w.must(err)
	return w
}

func (w world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w world) as(actor string) context.Context { return annals.WithActor(w.Context(), actor) }

func (w world) do(actor string, events ...any) annals.Receipt {
	w.Helper()
	r, err := boards.Update(w.as(actor), w.db, "b", func(b *Board) error {
		for _, e := range events {
			if err := b.Record(e); err != nil {
				return err
			}
		}
		return nil
	})
	w.must(err)
	return r
}

func (w world) undo(actor string) {
	w.Helper()
	_, err := boardUndo.Undo(w.as(actor), w.db, "b")
	w.must(err)
}

func (w world) redo(actor string) {
	w.Helper()
	_, err := boardUndo.Redo(w.as(actor), w.db, "b")
	w.must(err)
}

func (w world) state() string {
	b, err := boards.Load(w.db.View(w.Context()), "b")
	w.must(err)
	return fmt.Sprintf("%s %v %v %d", b.Title, b.Tasks, b.Order, b.Visits)
}

func (w world) is(want string) {
	w.Helper()
	if got := w.state(); got != want {
		w.Fatalf("state is %q, want %q", got, want)
	}
}

func says(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Fatalf("error %v does not say %q", err, word)
		}
	}
}

func TestOwn(t *testing.T) {
	t.Run("undo takes back one's own last action, others' changes stay", func(t *testing.T) {
		w := newWorld(t)
		w.do("ann", TaskAdded{"a", "buy milk"})
		w.do("ann", TitleSet{"shopping"})
		w.do("bob", TaskText{"a", "buy oats"})
		w.undo("ann")
		w.is("start map[a:{buy oats false}] [a] 0")
		w.redo("ann")
		w.is("shopping map[a:{buy oats false}] [a] 0")
		w.undo("bob")
		w.is("shopping map[a:{buy milk false}] [a] 0")
	})
	t.Run("a field that was taken in is taken out, a list too", func(t *testing.T) {
		w := newWorld(t)
		w.do("ann", TaskAdded{"a", "x"}, TaskAdded{"b", "y"}, TaskDone{"a"})
		w.undo("ann")
		w.is("start map[] [] 0")
		w.redo("ann")
		w.is("start map[a:{x true} b:{y false}] [a b] 0")
	})
	t.Run("it is refused when a later change depends on it, naming the event", func(t *testing.T) {
		w := newWorld(t)
		w.do("ann", TitleSet{"one"})
		w.do("bob", TitleSet{"two"})
		_, err := boardUndo.Undo(w.as("ann"), w.db, "b")
		var depends *undo.DependsError
		if !errors.As(err, &depends) {
			t.Fatalf("got %v", err)
		}
		says(t, err, "version 3", "TitleSet", "bob", ".Title", `"board-b"`)
		w.is("two map[] [] 0")
		w.undo("bob")
		w.undo("ann")
		w.is("start map[] [] 0")
		_, err = boardUndo.Redo(w.as("bob"), w.db, "b")
		w.must(err)
		_, err = boardUndo.Redo(w.as("ann"), w.db, "b")
		says(t, err, "redo", "refused", "bob")
	})
	t.Run("a new action clears the actor's redo, not that of others", func(t *testing.T) {
		w := newWorld(t)
		w.do("ann", TaskAdded{"a", "x"})
		w.do("bob", TitleSet{"bob's"})
		w.undo("ann")
		w.undo("bob")
		w.do("ann", TaskAdded{"c", "z"})
		_, err := boardUndo.Redo(w.as("ann"), w.db, "b")
		says(t, err, "nothing to redo for ann")
		w.redo("bob")
		w.is("bob's map[c:{z false}] [c] 0")
	})
	t.Run("a declared inverse depends on nothing", func(t *testing.T) {
		w := newWorld(t)
		w.do("ann", Visited{3})
		w.do("bob", Visited{4})
		w.undo("ann")
		w.is("start map[] [] 4")
		w.undo("bob")
		w.is("start map[] [] 0")
		w.redo("ann")
		w.is("start map[] [] 3")
	})
	t.Run("unless the application declares a conflict", func(t *testing.T) {
		w := newWorld(t)
		w.do("bob", TaskAdded{"a", "x"})
		w.do("ann", Visited{13})
		w.do("bob", TaskDone{"a"})
		_, err := boardUndo.Undo(w.as("ann"), w.db, "b")
		says(t, err, "TaskDone", "depends on it")
	})
	t.Run("setting a field back is refused where a counter has moved since", func(t *testing.T) {
		w := newWorld(t)
		w.do("bob", Visited{1})
		_, err := boardUndo.Revert(w.as("ann"), w.db, "b", 1) // sets .Visits to 0
		w.must(err)
		w.do("bob", Visited{5})
		_, err = boardUndo.Undo(w.as("ann"), w.db, "b")
		says(t, err, "Visited", ".Visits")
	})
	t.Run("nothing and nobody", func(t *testing.T) {
		w := newWorld(t)
		_, err := boardUndo.Undo(w.as("ann"), w.db, "b")
		if !errors.Is(err, undo.ErrNothing) {
			t.Fatalf("got %v", err)
		}
		_, err = boardUndo.Undo(t.Context(), w.db, "b")
		if !errors.Is(err, undo.ErrNoActor) {
			t.Fatalf("got %v", err)
		}
		_, err = boardUndo.Undo(w.as("ann"), w.db, "ghost")
		if !errors.Is(err, annals.ErrNotFound) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("an action that reaches into another stream is refused", func(t *testing.T) {
		w := newWorld(t)
		_, err := w.db.Update(w.as("ann"), func(tx *annals.Tx) error {
			b, err := boards.Load(tx, "b")
			w.must(err)
			c, err := boards.Create(tx, "c")
			w.must(err)
			return errors.Join(b.Record(TitleSet{"x"}), c.Record(TitleSet{"y"}))
		})
		w.must(err)
		_, err = boardUndo.Undo(w.as("ann"), w.db, "b")
		says(t, err, `"board-c"`, "would stay")
	})
	t.Run("it survives a restart", func(t *testing.T) {
		w := newWorld(t)
		w.do("ann", TitleSet{"one"})
		w.do("ann", TitleSet{"two"})
		w.undo("ann")
		fresh, again := undo.New(boards), annals.New(w.db.Log(), nil)
		_, err := fresh.Undo(w.as("ann"), again, "b")
		w.must(err)
		w.is("start map[] [] 0")
		for range 2 {
			_, err = fresh.Redo(w.as("ann"), again, "b")
			w.must(err)
		}
		w.is("two map[] [] 0")
	})
}

func TestRevert(t *testing.T) {
	w := newWorld(t)
	w.do("ann", TaskAdded{"a", "x"}, TaskAdded{"b", "y"})
	w.do("bob", TitleSet{"two"})
	before := w.state()
	r, err := boardUndo.Revert(w.as("eve"), w.db, "b", 2)
	w.must(err)
	w.is("start map[a:{x false}] [a] 0")
	if r.First != 5 || r.First != r.Last {
		t.Fatalf("receipt %+v", r)
	}
	w.undo("eve")
	w.is(before)
	_, err = boardUndo.Revert(w.as("eve"), w.db, "b", 99)
	says(t, err, "version 99", "does not exist")
}

func TestCompensate(t *testing.T) {
	w := newWorld(t)
	r := w.do("ann", Visited{5})
	w.do("bob", Visited{2})
	_, err := boardUndo.Compensate(w.as("eve"), w.db, "b", r.First, func(b *Board) error {
		if b.Visits < 100 {
			return errors.New("too few visits")
		}
		return nil
	})
	says(t, err, "too few visits")
	_, err = boardUndo.Compensate(w.as("eve"), w.db, "b", r.First, nil)
	w.must(err)
	w.is("start map[] [] 2")
	_, err = boardUndo.Undo(w.as("ann"), w.db, "b")
	says(t, err, "nothing to undo for ann")
	_, err = boardUndo.Compensate(w.as("eve"), w.db, "b", r.First, nil)
	says(t, err, "undone already")
	w.undo("eve")
	w.is("start map[] [] 7")
	w.undo("ann")
	w.is("start map[] [] 2")
	_, err = boardUndo.Compensate(w.as("eve"), w.db, "b", 999, nil)
	says(t, err, "position 999", "not found")
}

func TestAnActionThatChangedNothingIsUndoneAllTheSame(t *testing.T) {
	w := newWorld(t)
	w.do("ann", TitleSet{"one"})
	w.do("ann", TitleSet{"one"})
	w.undo("ann")
	w.is("one map[] [] 0")
	w.undo("ann")
	w.is("start map[] [] 0")
}

func TestActions(t *testing.T) {
	w := newWorld(t)
	w.do("ann", TitleSet{"x"}, Visited{1})
	w.undo("ann")
	actions, err := boardUndo.Actions(t.Context(), w.db, "b")
	w.must(err)
	if a := actions[1]; len(actions) != 2 || a.Actor != "ann" || !a.Undone || a.Batch != 2 || fmt.Sprint(a.Versions, a.Types) != "[4 5] [TitleSet Visited]" {
		t.Fatalf("got %+v", actions)
	}
}

// Cells are fields of which each may be set on its own.
type Cells struct {
	annals.Entity
	Cell map[string]int
}

type CellSet struct {
	Name  string
	Value int
}

var cells = annals.NewModel("cells",
	annals.Init(func(c *Cells) { c.Cell = map[string]int{} }),
	annals.On(func(c *Cells, e CellSet) { c.Cell[e.Name] = e.Value }),
	undo.Handler[Cells](),
)

// TestAnyOrder checks random doing, undoing and redoing of several actors
// against the plain meaning: the state is what the actions that stand make.
func TestAnyOrder(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		log := memstore.New(nil)
		db, u := annals.New(log, nil), undo.New(cells)
		type act struct {
			sets   []CellSet
			undone bool
			actor  string
		}
		var order []*act // by where their effect lies
		_, err := cells.Add(t.Context(), db, "c", func(c *Cells) error { return c.Record(CellSet{"base", 1}) })
		if err != nil {
			t.Fatal(err)
		}
		move := func(a *act) {
			for i, x := range order {
				if x == a {
					order = append(append(order[:i:i], order[i+1:]...), a)
				}
			}
		}
		stacks := map[string][]*act{}
		refused, values := 0, 1
		for range 60 {
			actor := []string{"ann", "bob", "eve"}[rnd.IntN(3)]
			ctx := annals.WithActor(t.Context(), actor)
			switch rnd.IntN(3) {
			case 0:
				a := &act{actor: actor}
				_, err = cells.Update(ctx, db, "c", func(c *Cells) error {
					for range 1 + rnd.IntN(3) {
						s := CellSet{fmt.Sprint(rnd.IntN(12)), values}
						values++ // each another: setting what is set already changes nothing
						a.sets = append(a.sets, s)
						if err := c.Record(s); err != nil {
							return err
						}
					}
					return nil
				})
				order = append(order, a)
				stacks["u"+actor], stacks["r"+actor] = append(stacks["u"+actor], a), nil
			case 1, 2:
				from, to, op := "u"+actor, "r"+actor, u.Undo
				if rnd.IntN(3) == 0 {
					from, to, op = to, from, u.Redo
				}
				_, err = op(ctx, db, "c")
				var depends *undo.DependsError
				if errors.As(err, &depends) {
					refused++
					err = nil
					break
				}
				if errors.Is(err, undo.ErrNothing) {
					if len(stacks[from]) != 0 {
						t.Fatalf("seed %d: %v, but there is something", seed, err)
					}
					err = nil
					break
				}
				if err != nil {
					break
				}
				n := len(stacks[from]) - 1
				a := stacks[from][n]
				stacks[from], stacks[to] = stacks[from][:n], append(stacks[to], a)
				a.undone = !a.undone
				move(a)
			}
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			want := map[string]int{"base": 1}
			for _, a := range order {
				for _, s := range a.sets {
					if !a.undone {
						want[s.Name] = s.Value
					}
				}
			}
			got, err := cells.Load(db.View(t.Context()), "c")
			if err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(got.Cell, want) {
				t.Fatalf("seed %d: state %v, want %v", seed, got.Cell, want)
			}
		}
		if refused == 0 {
			t.Errorf("seed %d: nothing was refused", seed)
		}
	}
}
