package collab

import (
	"fmt"
	"time"

	"github.com/annals-db/annals/internal/mutant"
)

// session is an editor's copy of a text: the text as of a version of the
// authority, and on top of that what the editor has done and the authority has
// not accepted yet. The first of those is on its way, the others wait: so the
// authority never sees a change that rests on one it does not know. The page's
// session.js is the same in JavaScript.
type session struct {
	author, client string
	version        uint64 // the last one received
	base           Text   // as of that version
	text           Text   // with everything of the editor's own
	outgoing       []outgoing
	sent           bool // outgoing[0] is on its way
	seq            uint64
	hold           uint64 // what is sent is before this seq; 0 for no bound
	stack          undoStack
	pause          time.Duration
	last           time.Time      // of the last typing; zero if nothing may join it
	did            func(c Change) // told of each change of the editor's own, if not nil
}

// outgoing is a change that the authority has not accepted yet, as far as is known.
type outgoing struct {
	Proposal
	tried bool // it has been sent, so it stays what it is
}

// edit does a change of the editor's own. A large one goes in parts, each of
// which fits a message.
func (s *session) edit(c Change, kind Kind, now time.Time) error {
	if reach, _, _ := c.Counts(); reach > s.text.Len() {
		return &PositionError{Position: reach, Length: s.text.Len()}
	}
	joins := kind == Typed && !s.last.IsZero() && now.Sub(s.last) < s.pause
	s.last = now
	if kind != Typed {
		s.last = time.Time{}
	}
	for len(c) > 0 {
		var part Change
		part, c = c.split(largest)
		if err := s.do(part, kind, joins); err != nil {
			return err
		}
		joins = true
	}
	return nil
}

// largest is the most code points that a change inserts in one piece, and that
// what is not sent yet is joined up to.
const largest = 50_000

func (s *session) do(c Change, kind Kind, joins bool) error {
	after, err := s.text.Apply(c)
	if err != nil {
		return err
	}
	s.stack.did(s.text.Invert(c), kind, joins)
	s.text = after
	if s.did != nil {
		s.did(c)
	}
	if n := len(s.outgoing); joins && n > 0 && !s.outgoing[n-1].tried {
		joined := s.outgoing[n-1].Change.Compose(c)
		if _, inserted, _ := joined.Counts(); len(joined) < 100 && inserted <= largest {
			s.outgoing[n-1].Change = joined
			return nil
		}
	}
	s.seq++
	s.outgoing = append(s.outgoing, outgoing{Proposal: Proposal{Author: s.author, Client: s.client, Seq: s.seq, Change: c, Kind: kind, Joins: joins}})
	return nil
}

// undo and redo take back and bring back the author's own last action.
func (s *session) undo(now time.Time) bool {
	c, ok := pop(&s.stack.undo)
	return ok && s.edit(c, Undone, now) == nil
}

func (s *session) redo(now time.Time) bool {
	c, ok := pop(&s.stack.redo)
	return ok && s.edit(c, Redone, now) == nil
}

// next returns what is to be sent, if nothing is on its way.
func (s *session) next() (Proposal, bool) {
	if s.sent || len(s.outgoing) == 0 || s.hold > 0 && s.outgoing[0].Seq >= s.hold {
		return Proposal{}, false
	}
	s.sent, s.outgoing[0].tried = true, true
	p := s.outgoing[0].Proposal
	p.Base = s.version
	return p, true
}

// DivergedError says that an editor's copy is not what the authority made of
// it. It has to be fetched anew.
type DivergedError struct{ Reason string }

func (e *DivergedError) Error() string { return "the copy of the text has diverged: " + e.Reason }

// receive takes in the next edit that was accepted, and returns what it
// changes in the text: nothing if it is the editor's own.
func (s *session) receive(e Edit) (Change, error) {
	if e.Version != s.version+1 {
		return nil, &DivergedError{fmt.Sprintf("version %d follows version %d", e.Version, s.version)}
	}
	base, err := s.base.Apply(e.Change)
	if err != nil {
		return nil, &DivergedError{err.Error()}
	}
	s.version, s.base = e.Version, base
	if e.Client == s.client && e.Author == s.author {
		if len(s.outgoing) == 0 || s.outgoing[0].Seq != e.Seq {
			return nil, &DivergedError{fmt.Sprintf("change %d was accepted, which was not sent", e.Seq)}
		}
		if !s.outgoing[0].Change.Equal(e.Change) {
			return nil, &DivergedError{fmt.Sprintf("change %d was accepted as %v and not as %v", e.Seq, e.Change, s.outgoing[0].Change)}
		}
		s.outgoing, s.sent = s.outgoing[1:], false
		return nil, nil
	}
	c := e.Change
	tie := mutant.TieByArrival || editor{e.Author, e.Client}.comesFirst(editor{s.author, s.client})
	for i := range s.outgoing {
		c, s.outgoing[i].Change = transform(c, s.outgoing[i].Change, tie)
	}
	after, err := s.text.Apply(c)
	if err != nil {
		return nil, &DivergedError{err.Error()}
	}
	s.text = after
	s.stack.others(c)
	return c, nil
}
