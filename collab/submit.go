package collab

import (
	"context"
	"fmt"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/mutant"
)

// Proposal is a change that an editor wants to make.
type Proposal struct {
	Author string
	// Client and Seq name the change: proposing it again, since the answer was
	// lost, does it once. Client names the editor, a window rather than a
	// person; Seq counts its changes from 1. Without a Client the change has a
	// name of its own.
	Client string
	Seq    uint64
	Base   uint64 // the version that Change is made for
	Change Change
	Kind   Kind
	Joins  bool // see [Edit]
}

// submission is a proposal on its way.
type submission struct {
	Proposal
	id    driver.ID
	doubt bool // the log may know the ID already
	done  chan answer
	over  bool // it has been answered; run's own
}

type answer struct {
	edit *edit
	err  error
}

// Submit makes a change. If the text has gone on since p.Base, the change is
// rebased: it comes after what was accepted before it, and nobody has to try
// again. It returns, once the log has it, the edit that it became. What does
// not fit the text it is made for is a *[RefusedError].
func (d *Document) Submit(ctx context.Context, p Proposal) (Edit, error) {
	s, err := d.prepare(ctx, p)
	if err != nil {
		return Edit{}, fmt.Errorf("edit text %q: %w", d.name, err)
	}
	select {
	case d.submit <- s:
	case <-ctx.Done():
		return Edit{}, ctx.Err()
	case <-d.ended:
		return Edit{}, ErrClosed
	}
	a := <-s.done
	if a.err != nil {
		return Edit{}, fmt.Errorf("edit text %q: %w", d.name, a.err)
	}
	return a.edit.Edit, nil
}

// prepare checks a proposal and, if its base is so old that edits have to be
// read from the log, rebases it over those, so that it keeps nobody waiting.
func (d *Document) prepare(ctx context.Context, p Proposal) (*submission, error) {
	if p.Client != "" && p.Seq == 0 || len(p.Client) > 100 || !p.Kind.valid() {
		return nil, &RefusedError{Reason: "the change has no proper name or kind"}
	}
	s := &submission{Proposal: p, id: annals.NewID(), done: make(chan answer, 1)}
	if p.Client != "" {
		s.id = annals.NameID("collab", d.stream, p.Author, p.Client, fmt.Sprint(p.Seq))
	}
	text, err := d.textAt(ctx, p.Base)
	if err != nil {
		return nil, err
	}
	if reach, _, _ := p.Change.Counts(); reach > text.Len() {
		return nil, &RefusedError{Reason: "the change does not fit", Err: &PositionError{Position: reach, Length: text.Len()}}
	}
	for {
		d.mu.Lock()
		_, near := d.after(s.Base)
		d.mu.Unlock()
		if near {
			return s, nil
		}
		edits, _, err := d.since(ctx, s.Base)
		if err != nil {
			return nil, err
		}
		s.rebase(edits)
	}
}

// rebase takes s over edits, the next of which is that after s.Base.
func (s *submission) rebase(edits []*edit) {
	if n := len(edits); mutant.DropRebase && n > 1 {
		edits = edits[:n-1]
		s.Base++
	}
	for _, e := range edits {
		_, s.Change = transform(e.Change, s.Change, editor{e.Author, e.Client}.comesFirst(editor{s.Author, s.Client}))
		s.Base++
	}
}

// textAt returns the text at a version.
func (d *Document) textAt(ctx context.Context, version uint64) (Text, error) {
	d.mu.Lock()
	head, text := d.head.version, d.head.text
	edits, near := d.after(version)
	d.mu.Unlock()
	switch {
	case version > head:
		reached, err := d.reach(ctx, version)
		if err == nil && !reached {
			err = &RefusedError{Reason: fmt.Sprintf("its base is version %d, and the last is %d", version, head)}
		}
		if err != nil {
			return Text{}, err
		}
		return d.textAt(ctx, version)
	case version == head:
		return text, nil
	case near:
		return edits[0].before, nil
	}
	s, err := d.replay(ctx, version)
	return s.text, err
}
