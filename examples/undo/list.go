package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/undo"
)

// List is a task list.
type List struct {
	annals.Entity
	Tasks map[int]Task
}

// Task is an entry of a list.
type Task struct {
	Text  string
	Done  bool
	Votes int
}

type (
	TaskAdded struct {
		Number int
		Text   string
	}
	TaskDone    struct{ Number int }
	TaskRenamed struct {
		Number int
		Text   string
	}
	TaskDropped struct{ Number int }
	TaskVoted   struct{ Number, Votes int }
)

var Lists = annals.NewModel("list",
	annals.Init(func(l *List) { l.Tasks = map[int]Task{} }),
	annals.On(func(l *List, e TaskAdded) { l.Tasks[e.Number] = Task{Text: e.Text} }),
	annals.On(func(l *List, e TaskDone) { l.set(e.Number, func(t *Task) { t.Done = true }) }),
	annals.On(func(l *List, e TaskRenamed) { l.set(e.Number, func(t *Task) { t.Text = e.Text }) }),
	annals.On(func(l *List, e TaskVoted) { l.set(e.Number, func(t *Task) { t.Votes += e.Votes }) }),
	annals.On(func(l *List, e TaskDropped) { delete(l.Tasks, e.Number) }),
	undo.Handler[List](),
)

// Undo is the undo of lists. Most of what is done to a list is reversed by
// setting the fields it changed back to what they were. A vote is reversed by a
// vote against it, whoever has voted since.
var Undo = undo.New(Lists,
	undo.Inverse(func(_ *List, e TaskVoted) []any { return []any{TaskVoted{e.Number, -e.Votes}} }),
)

func (l *List) set(number int, change func(*Task)) {
	if t, ok := l.Tasks[number]; ok {
		change(&t)
		l.Tasks[number] = t
	}
}

// numbers are those of the tasks, in order.
func (l *List) numbers() []int { return slices.Sorted(maps.Keys(l.Tasks)) }

func (l *List) Add(text string) error {
	number := 1
	if n := l.numbers(); len(n) > 0 {
		number = n[len(n)-1] + 1
	}
	return l.Record(TaskAdded{number, text})
}

// find reads the number of a task that there is.
func (l *List) find(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if _, ok := l.Tasks[n]; err != nil || !ok {
		return 0, fmt.Errorf("there is no task %q", text)
	}
	return n, nil
}
