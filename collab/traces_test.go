package collab

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"unicode/utf8"
)

// trace is the recorded writing of a text: by one, or by several with the
// transactions that each had seen.
type trace struct {
	StartContent, EndContent string
	NumAgents                int
	Txns                     []struct {
		Parents []int
		Agent   int
		Patches [][3]any
	}
}

func readTrace(t *testing.T, name string) *trace {
	t.Helper()
	f, err := os.Open("../../shared/data/editing-traces/" + name + ".json.gz")
	if err != nil {
		t.Skipf("the editing trace is not here (%v); its generated twin runs", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	ok(t, err)
	tr := &trace{NumAgents: 1}
	ok(t, json.NewDecoder(z).Decode(tr))
	return tr
}

// change returns what a transaction does to a text.
func (tr *trace) change(txn int) (c Change) {
	for _, p := range tr.Txns[txn].Patches {
		c = c.Compose(Replace(int(p[0].(float64)), int(p[1].(float64)), p[2].(string)))
	}
	return c
}

// seen returns, for each transaction, how many of each agent's transactions
// were known where it was made. An agent knows all of its own.
func (tr *trace) seen() [][2]int {
	all := make([][2]int, len(tr.Txns))
	made := [2]int{}
	after := make([][2]int, len(tr.Txns))
	for i, txn := range tr.Txns {
		for _, p := range txn.Parents {
			for a := range 2 {
				all[i][a] = max(all[i][a], after[p][a])
			}
		}
		after[i] = all[i]
		made[txn.Agent]++
		after[i][txn.Agent] = made[txn.Agent]
	}
	return all
}

// play has both agents type what they did, each at the point at which it had
// seen exactly what it had seen then.
func (tr *trace) play(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	s := newSite(t, nil, nil)
	ctx := t.Context()
	clients := []*Client{s.client("agent0", &ClientOptions{Client: "agent0", Pause: -1}), s.client("agent1", &ClientOptions{Client: "agent1", Pause: -1, Units: UTF16})}
	hold := func(c *Client, seq uint64) {
		c.mu.Lock()
		c.s.hold = seq
		c.tell()
		c.mu.Unlock()
	}
	hold(clients[0], 1)
	hold(clients[1], 1)
	for i, seen := range tr.seen() {
		agent := tr.Txns[i].Agent
		me, other := clients[agent], clients[1-agent]
		hold(other, uint64(seen[1-agent])+1) // what I have seen by now is sent, and no more
		ok(t, me.wait(ctx, func() bool { return me.s.version-me.own() >= uint64(seen[1-agent]) }))
		c := tr.change(i)
		if len(c) == 0 {
			t.Fatalf("transaction %d changes nothing", i)
		}
		typed(t, me, c)
	}
	hold(clients[0], 0)
	hold(clients[1], 0)
	text := s.settle(clients...)
	if text != tr.EndContent {
		t.Fatalf("all have %d bytes, which are not the end content", len(text))
	}
	_, version := s.doc().Text()
	t.Logf("%d transactions of two agents over the wire: both, the server and the end content are equal (%d versions, %d characters)",
		len(tr.Txns), version, utf8.RuneCountInString(text))
}

// own is the number of the client's own edits that were accepted.
func (c *Client) own() uint64 { return c.s.seq - uint64(len(c.s.outgoing)) }

func TestFriendsForever(t *testing.T) { readTrace(t, "friendsforever").play(t) }

// The twin of it: two agents that work apart and come together, as a plain
// rebase of one by the other gives it.
func TestFriendsForeverTwin(t *testing.T) {
	tr := &trace{NumAgents: 2}
	rnd := rand.New(rand.NewPCG(5, 5))
	add := func(agent int, parents []int, c Change) int {
		var patches [][3]any
		at := 0
		for _, op := range c {
			switch {
			case op.Insert != "":
				patches = append(patches, [3]any{float64(at), float64(0), op.Insert})
				at += utf8.RuneCountInString(op.Insert)
			case op.Delete > 0:
				patches = append(patches, [3]any{float64(at), float64(op.Delete), ""})
			default:
				at += op.Keep
			}
		}
		tr.Txns = append(tr.Txns, struct {
			Parents []int
			Agent   int
			Patches [][3]any
		}{parents, agent, patches})
		return len(tr.Txns) - 1
	}
	text := []rune("x")
	heads := []int{add(0, nil, Insert(0, "x"))}
	for range 60 {
		if rnd.IntN(3) > 0 { // one writes
			c := Replace(rnd.IntN(len(text)), rnd.IntN(2), fmt.Sprint(rnd.IntN(100), "é😀"))
			heads = []int{add(rnd.IntN(2), heads, c)}
			text = apply(text, c)
			continue
		}
		// both write apart: one at the beginning, the other at the end
		base, left, right := heads, Change{}, Change{}
		var l, r []int
		for k := range 1 + rnd.IntN(5) {
			c := Insert(k, fmt.Sprint("l", k))
			l = []int{add(0, either(l, base), c)}
			left = left.Compose(c)
		}
		for k := range 1 + rnd.IntN(5) {
			c := Insert(len(text)+k, "→")
			r = []int{add(1, either(r, base), c)}
			right = right.Compose(c)
		}
		right, _ = Transform(right, left)
		text = apply(apply(text, left), right)
		heads = []int{l[0], r[0]}
	}
	tr.EndContent = string(text)
	tr.play(t)
}

func either(a, b []int) []int {
	if a != nil {
		return a
	}
	return b
}

func (tr *trace) typeThrough(t *testing.T, pause int) {
	if testing.Short() {
		t.Skip("short")
	}
	s := newSite(t, nil, nil)
	c := s.client("writer", &ClientOptions{Units: UTF16, Pause: -1})
	if tr.StartContent != "" {
		typed(t, c, Insert(0, tr.StartContent))
	}
	for i := range tr.Txns {
		typed(t, c, tr.change(i))
		if pause > 0 && i%pause == 0 {
			ok(t, c.Settle(t.Context()))
		}
	}
	text := s.settle(c)
	if text != tr.EndContent {
		t.Fatalf("the text has %d bytes and is not the end content", len(text))
	}
	_, version := s.doc().Text()
	t.Logf("%d transactions typed through one client: it, the server and the end content are equal (%d versions)", len(tr.Txns), version)
}

func TestSvelteComponent(t *testing.T) { readTrace(t, "sveltecomponent").typeThrough(t, 0) }

func TestSvelteComponentTwin(t *testing.T) {
	tr := &trace{}
	rnd := rand.New(rand.NewPCG(7, 7))
	var text []rune
	for range 400 {
		at := rnd.IntN(len(text) + 1)
		n := rnd.IntN(min(len(text)-at, 3) + 1)
		s := []string{"a", "word ", "é→", "😀", "\n"}[rnd.IntN(5)]
		tr.Txns = append(tr.Txns, struct {
			Parents []int
			Agent   int
			Patches [][3]any
		}{Patches: [][3]any{{float64(at), float64(n), s}}})
		text = apply(text, Replace(at, n, s))
	}
	tr.EndContent = string(text)
	tr.typeThrough(t, 10)
}
