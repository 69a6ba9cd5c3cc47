package undo_test

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/undo"
)

// Document is a text that is edited.
type Document struct {
	annals.Entity
	Text string
}

// Edited replaces parts of a document, one after the other.
type Edited struct{ Patches []Patch }

// Patch replaces so many code points from a place on.
type Patch struct {
	At, Deleted int
	Inserted    string
}

var documents = annals.NewModel("document", annals.On(func(d *Document, e Edited) {
	for _, p := range e.Patches {
		d.Text, _ = p.apply(d.Text)
	}
}))

// apply returns the text after p and what p took out.
func (p Patch) apply(text string) (after, removed string) {
	begin := offset(text, p.At)
	end := begin + offset(text[begin:], p.Deleted)
	return text[:begin] + p.Inserted + text[end:], text[begin:end]
}

func offset(text string, points int) int {
	at := 0
	for range points {
		_, n := utf8.DecodeRuneInString(text[at:])
		at += n
	}
	return at
}

var documentUndo = undo.New(documents, undo.Inverse(func(before *Document, e Edited) []any {
	var back Edited
	text := before.Text
	for _, p := range e.Patches {
		after, removed := p.apply(text)
		back.Patches = append(back.Patches, Patch{p.At, utf8.RuneCountInString(p.Inserted), removed})
		text = after
	}
	slices.Reverse(back.Patches)
	return []any{back}
}))

// edits are the actions on a document, and the text after each, from before the
// first, as a separate replay over code points gives it.
type edits struct {
	actions []Edited
	sums    [][32]byte
	end     string
}

func (e *edits) add(text []rune, action Edited) []rune {
	if e.sums == nil {
		e.sums = append(e.sums, sha256.Sum256([]byte(string(text))))
	}
	for _, p := range action.Patches {
		text = slices.Replace(text, p.At, p.At+p.Deleted, []rune(p.Inserted)...)
	}
	e.actions = append(e.actions, action)
	e.end = string(text)
	e.sums = append(e.sums, sha256.Sum256([]byte(e.end)))
	return text
}

// TestEditing undoes and redoes the writing of a file, action by action.
func TestEditing(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	f, err := os.Open("../../shared/data/editing-traces/sveltecomponent.json.gz")
	if err != nil {
		t.Skipf("the editing trace is not here (%v); its generated twin is TestEditingTwin", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var trace struct {
		StartContent, EndContent string
		Txns                     []struct{ Patches [][3]any }
	}
	if err := json.NewDecoder(z).Decode(&trace); err != nil {
		t.Fatal(err)
	}
	var e edits
	text := []rune(trace.StartContent)
	for _, txn := range trace.Txns {
		var action Edited
		for _, p := range txn.Patches {
			action.Patches = append(action.Patches, Patch{int(p[0].(float64)), int(p[1].(float64)), p[2].(string)})
		}
		text = e.add(text, action)
	}
	if e.end != trace.EndContent {
		t.Fatal("the separate replay does not give the end content")
	}
	edit(t, &e, 1000)
}

func TestEditingTwin(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 3))
	var e edits
	var text []rune
	for range 300 {
		var action Edited
		n := len(text)
		for range 1 + rnd.IntN(3) {
			at := rnd.IntN(n + 1)
			p := Patch{at, rnd.IntN(min(n-at, 3) + 1), []string{"", "a", "é→", "longer text"}[rnd.IntN(4)]}
			n += utf8.RuneCountInString(p.Inserted) - p.Deleted
			action.Patches = append(action.Patches, p)
		}
		text = e.add(text, action)
	}
	edit(t, &e, 100)
}

// edit does all actions, undoes all and redoes all, and looks at the text after
// so many random numbers of undoings, and at so many random versions.
func edit(t *testing.T, e *edits, looks int) {
	log := memstore.New(nil)
	defer log.Close()
	db, ctx := annals.New(log, nil), annals.WithActor(t.Context(), "writer")
	n := len(e.actions)
	began := time.Now()
	do := func(change func() error) {
		t.Helper()
		if err := change(); err != nil {
			t.Fatal(err)
		}
	}
	text := func() string {
		t.Helper()
		d, err := documents.Load(db.View(ctx), "d")
		if err != nil {
			t.Fatal(err)
		}
		return d.Text
	}
	for i, action := range e.actions {
		write := func(d *Document) error { return d.Record(action) }
		do(func() (err error) {
			if i == 0 {
				_, err = documents.Add(ctx, db, "d", write)
			} else {
				_, err = documents.Update(ctx, db, "d", write)
			}
			return err
		})
	}
	if text() != e.end {
		t.Fatal("the state is not the end content")
	}
	rnd := rand.New(rand.NewPCG(1, 8))
	chosen := map[int]bool{n: true}
	for len(chosen) < min(looks, n) {
		chosen[rnd.IntN(n+1)] = true
	}
	equal := 0
	for k := 0; ; k++ {
		if chosen[k] {
			if sha256.Sum256([]byte(text())) != e.sums[n-k] {
				t.Fatalf("after undoing %d of %d actions the text is not that of the first %d", k, n, n-k)
			}
			equal++
		}
		if k == n {
			break
		}
		do(func() (err error) { _, err = documentUndo.Undo(ctx, db, "d"); return err })
	}
	t.Logf("after undoing k of %d actions, for %d random k, the text is that of a replay of the first n-k", n, equal)
	for range n {
		do(func() (err error) { _, err = documentUndo.Redo(ctx, db, "d"); return err })
	}
	if text() != e.end {
		t.Fatal("after redoing all, the state is not the end content")
	}
	h := history.Of(log, "document-d", history.Model(db, documents))
	do(func() error { return h.Prepare(ctx) })
	for range looks {
		v := 1 + rnd.IntN(3*n)
		want := e.sums[min(v, n)]
		switch {
		case v > 2*n:
			want = e.sums[v-2*n]
		case v > n:
			want = e.sums[2*n-v]
		}
		state, _, err := h.State(ctx, history.Version(uint64(v)))
		if err != nil || sha256.Sum256([]byte(state.(map[string]any)["Text"].(string))) != want {
			t.Fatalf("version %d: %v", v, err)
		}
	}
	t.Logf("%d versions, state at %d random ones equal; %s in all, %s", 3*n, looks, time.Since(began).Round(time.Millisecond), fmt.Sprint(n, " actions"))
}
