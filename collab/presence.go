package collab

import "context"

// Presence is who has a text open, and where the caret is. It is not in the log.
type Presence struct {
	Client string
	Author string
	// Anchor and Head bound what is selected, in code points of the text; they
	// are equal for a mere caret, which is at Head.
	Anchor, Head int
}

// present is a presence, and when it last changed by itself.
type present struct {
	Presence
	moved uint64
	owner *connection
}

// follow takes p over an edit. The caret of who writes goes along with it.
func (p *Presence) follow(e Edit, client string) {
	if e.Client == client && e.Author == p.Author && e.Kind == Typed && len(e.Change) > 0 {
		p.Anchor = e.Change.end()
		p.Head = p.Anchor
		return
	}
	p.Anchor, p.Head = e.Change.Map(p.Anchor, false), e.Change.Map(p.Head, false)
}

// enter says that an editor has the text open, or that its caret is elsewhere
// now: in the text as of a version.
func (d *Document) enter(ctx context.Context, p Presence, version uint64, owner *connection) error {
	text, err := d.textAt(ctx, version)
	if err != nil {
		return err
	}
	if p.Anchor < 0 || p.Head < 0 || max(p.Anchor, p.Head) > text.Len() {
		return &RefusedError{Reason: "the caret is not in the text", Err: &PositionError{Position: max(p.Anchor, p.Head), Length: text.Len()}}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if old := d.presence[p.Client]; old != nil && old.Author != p.Author {
		return &RefusedError{Reason: "another user has an editor of that name"}
	}
	edits, near := d.after(version)
	if !near {
		return nil // it comes too late to be worth telling
	}
	d.moves++
	now := &present{p, d.moves, owner}
	for _, e := range edits {
		now.follow(e.Edit, p.Client)
	}
	d.presence[p.Client] = now
	d.tell()
	return nil
}

// leave says that an editor has gone, if it has not come back since.
func (d *Document) leave(client string, owner *connection) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.presence[client]; p == nil || p.owner != owner {
		return
	}
	delete(d.presence, client)
	d.moves++
	d.tell()
}

// Present returns who has the text open, and the version their carets are of.
func (d *Document) Present() ([]Presence, uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []Presence
	for _, p := range d.presence {
		all = append(all, p.Presence)
	}
	return all, d.head.version
}
