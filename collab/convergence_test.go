package collab

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/internal/mutant"
	"github.com/annals-db/annals/memstore"
)

var (
	seeds = flag.Int("seeds", number("ANNALS_SEEDS", 300), "seeds of the convergence test (or ANNALS_SEEDS)")
	first = flag.Int("seed", 1, "the first seed")
)

func number(name string, n int) int {
	if v, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return v
	}
	return n
}

// TestEverybodyEndsWithTheSameText lets three editors and the authority work on
// one text, by seed: inserts at one place, overlapping deletes, surrogate pairs
// and combining marks, offline spells, lost answers, undo and redo.
func TestEverybodyEndsWithTheSameText(t *testing.T) {
	edits := 0
	for seed := *first; seed < *first+*seeds; seed++ {
		n, err := converge(t.Context(), uint64(seed))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		edits += n
	}
	t.Logf("%d seeds, %d edits accepted: three editors and the authority equal after each", *seeds, edits)
}

// The same run finds each defect.
func TestTheConvergenceTestFindsDefects(t *testing.T) {
	for _, m := range []struct {
		name string
		on   *bool
	}{
		{"a tie broken by arrival on one side", &mutant.TieByArrival},
		{"positions in bytes", &mutant.BytePositions},
		{"a dropped rebase", &mutant.DropRebase},
	} {
		t.Run(m.name, func(t *testing.T) {
			*m.on = true
			defer func() { *m.on = false }()
			for seed := *first; seed < *first+max(*seeds, 100); seed++ {
				if _, err := converge(t.Context(), uint64(seed)); err != nil {
					t.Logf("found with seed %d: %v", seed, err)
					return
				}
			}
			t.Error("not found")
		})
	}
}

// peer is one of the editors, with what is under way between it and the authority.
type peer struct {
	*session
	units   Units
	offline int // steps to go
}

type convergence struct {
	rnd   *rand.Rand
	doc   *Document
	peers []*peer
	now   time.Time
}

func converge(ctx context.Context, seed uint64) (edits int, err error) {
	log := memstore.New(nil)
	defer log.Close()
	docs, err := New(ctx, annals.New(log, nil), &Options{SnapshotEvery: 16, tail: 8})
	if err != nil {
		return 0, err
	}
	defer docs.Close()
	doc, err := docs.Open(ctx, "text")
	if err != nil {
		return 0, err
	}
	c := &convergence{rnd: rand.New(rand.NewPCG(seed, 6)), doc: doc, now: time.Unix(0, 0)}
	for i := range 3 {
		c.peers = append(c.peers, &peer{units: []Units{CodePoints, UTF16, UTF16}[i],
			session: &session{author: fmt.Sprint("user", i), client: fmt.Sprint("editor", i), pause: time.Second}})
	}
	for range 60 + c.rnd.IntN(60) {
		if err := c.step(ctx); err != nil {
			return 0, err
		}
	}
	for quiet := false; !quiet; { // everybody comes back, and all is sent
		quiet = true
		for _, p := range c.peers {
			p.offline = 0
			if err := errors.Join(c.send(ctx, p, false), c.deliver(ctx, p)); err != nil {
				return 0, err
			}
			quiet = quiet && len(p.outgoing) == 0
		}
	}
	for _, p := range c.peers {
		if err := c.deliver(ctx, p); err != nil {
			return 0, err
		}
	}
	text, version := doc.Text()
	for i, p := range c.peers {
		if p.text.String() != text.String() || p.base.String() != text.String() {
			return 0, fmt.Errorf("editor %d has %q, the authority %q", i, p.text.String(), text.String())
		}
	}
	return int(version), c.replayed(ctx, version)
}

// step is something that somebody does.
func (c *convergence) step(ctx context.Context) error {
	c.now = c.now.Add(time.Duration(c.rnd.IntN(500)) * time.Millisecond)
	p := c.peers[c.rnd.IntN(len(c.peers))]
	if p.offline > 0 {
		p.offline--
	}
	switch n := c.rnd.IntN(20); {
	case n < 9:
		if err := p.edit(c.random(p), Typed, c.now); err != nil {
			return err
		}
	case n == 9:
		p.undo(c.now)
	case n == 10:
		p.redo(c.now)
	case n == 11:
		p.offline = c.rnd.IntN(30)
	case n == 12: // the connection is lost, and with it answers that were under way
		p.offline = c.rnd.IntN(3)
		p.sent = false
	case p.offline > 0:
	case n < 16:
		return c.send(ctx, p, c.rnd.IntN(5) == 0)
	default:
		return c.deliver(ctx, p)
	}
	return nil
}

var pieces = []string{"a", "b", "word ", "\n", "é", "e\u0301", "\u0301", "😀", "👩‍🚀", "𝄞", "日本"}

// random is a change of p's text: at few places, so that they meet.
func (c *convergence) random(p *peer) Change {
	length := p.text.Len()
	at := c.rnd.IntN(length + 1)
	if c.rnd.IntN(2) == 0 {
		at = min(length, 3)
	}
	if c.rnd.IntN(3) == 0 {
		return Delete(at, c.rnd.IntN(min(length-at, 6)+1))
	}
	change := Replace(at, c.rnd.IntN(min(length-at, 2)+1), pieces[c.rnd.IntN(len(pieces))])
	if rest := length - at - 2; c.rnd.IntN(6) == 0 && rest > 0 { // in two places
		change = change.Compose(Insert(c.rnd.IntN(rest), "2nd"))
	}
	return change
}

// send hands what p has to send to the authority, over the wire's units. It may
// do so twice, as after a lost answer.
func (c *convergence) send(ctx context.Context, p *peer, twice bool) error {
	next, ok := p.next()
	if !ok {
		return nil
	}
	wire := p.base.toWire(next.Change, p.units)
	text, err := c.doc.textAt(ctx, next.Base)
	if err != nil {
		return err
	}
	if next.Change, err = text.fromWire(wire, p.units); err != nil {
		return err
	}
	got, err := c.doc.Submit(ctx, next)
	if err == nil && twice {
		var again Edit
		if again, err = c.doc.Submit(ctx, next); err == nil && again.Version != got.Version {
			return fmt.Errorf("a change sent twice became versions %d and %d", got.Version, again.Version)
		}
	}
	return err
}

// deliver brings p up to the authority's head.
func (c *convergence) deliver(ctx context.Context, p *peer) error {
	for {
		edits, _, err := c.doc.since(ctx, p.version)
		if err != nil || len(edits) == 0 {
			return err
		}
		for _, e := range edits {
			if _, err := p.receive(e.Edit); err != nil {
				return err
			}
		}
	}
}

// replayed compares a few versions with a plain replay of the edits.
func (c *convergence) replayed(ctx context.Context, head uint64) error {
	var text []rune
	for e, err := range c.doc.Follow(ctx, 0) {
		if err != nil {
			return err
		}
		text = apply(text, e.Change)
		if e.Version == head || c.rnd.IntN(20) == 0 {
			past, err := c.doc.At(ctx, e.Version)
			if err != nil {
				return err
			}
			total := 0
			for _, s := range past.Spans {
				total += s.Length
			}
			if past.Text != string(text) || total != len(text) {
				return fmt.Errorf("version %d is %q (%d by spans), a replay gives %q", e.Version, past.Text, total, string(text))
			}
		}
		if e.Version == head {
			break
		}
	}
	return nil
}

// apply is Text.Apply again, in the plainest way.
func apply(text []rune, c Change) []rune {
	var out []rune
	for _, op := range c {
		out = append(out, []rune(op.Insert)...)
		out = append(out, text[:op.Keep]...)
		text = text[op.Keep+op.Delete:]
	}
	return append(out, text...)
}
