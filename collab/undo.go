package collab

// undoStack is what one author can undo and redo. Each entry is the change that
// takes an action back, made for the text as it is once the entries above it
// are done. What others do is kept with the topmost entry, composed, and taken
// into account when the entry is used: so their work stays.
type undoStack struct {
	undo, redo []undoEntry
}

type undoEntry struct {
	change Change
	over   Change // what others have done since
}

// undoDepth is the most actions kept for undo.
const undoDepth = 1000

// did takes in the author's own change, by its inverse. One that joins goes on
// with the action before it.
func (u *undoStack) did(inverse Change, kind Kind, joins bool) {
	stack := &u.undo
	switch kind {
	case Undone:
		stack = &u.redo
	case Redone:
	default:
		u.redo = nil
	}
	n := len(*stack)
	if joins && n > 0 {
		settle(*stack)
		(*stack)[n-1].change = inverse.Compose((*stack)[n-1].change)
		return
	}
	if n >= undoDepth {
		*stack = append([]undoEntry(nil), (*stack)[n-undoDepth/2:]...)
	}
	*stack = append(*stack, undoEntry{change: inverse})
}

// others takes in a change by somebody else.
func (u *undoStack) others(c Change) {
	for _, stack := range [][]undoEntry{u.undo, u.redo} {
		if n := len(stack); n > 0 {
			stack[n-1].over = stack[n-1].over.Compose(c)
		}
	}
}

// settle rebases the topmost entry over what others did, which it hands down.
func settle(stack []undoEntry) {
	n := len(stack)
	top := &stack[n-1]
	if len(top.over) == 0 {
		return
	}
	over, change := Transform(top.over, top.change)
	top.change, top.over = change, nil
	if n > 1 {
		stack[n-2].over = stack[n-2].over.Compose(over)
	}
}

// pop takes the topmost entry that still does something.
func pop(stack *[]undoEntry) (Change, bool) {
	for n := len(*stack); n > 0; n-- {
		settle(*stack)
		c := (*stack)[n-1].change
		*stack = (*stack)[:n-1]
		if len(c) > 0 {
			return c, true
		}
	}
	return nil, false
}

// settled returns the changes of a stack, the last to be used first.
func settled(stack []undoEntry) []Change {
	var all []Change
	for n := len(stack); n > 0; n-- {
		settle(stack[:n])
		all = append(all, stack[n-1].change)
	}
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
	return all
}

// undoable returns what an author can undo and redo at the head, as far back as
// the tail reaches.
func (d *Document) undoable(author string) (u undoStack, text Text, version uint64) {
	d.mu.Lock()
	tail := d.tail
	text, version = d.head.text, d.head.version
	d.mu.Unlock()
	for _, e := range tail {
		if e.Author != author {
			u.others(e.Change)
			continue
		}
		switch {
		case e.Joins:
		case e.Kind == Undone:
			pop(&u.undo)
		case e.Kind == Redone:
			pop(&u.redo)
		}
		u.did(e.before.Invert(e.Change), e.Kind, e.Joins)
	}
	return u, text, version
}
