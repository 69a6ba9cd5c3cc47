package collab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/codec"
	"github.com/annals-db/annals/codec/zstd"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/memstore"
)

var moment = time.Date(2024, 5, 1, 9, 0, 0, 0, time.UTC)

func bytesOf(s string) *byte { return unsafe.StringData(s) }

// clock is a log's clock that tests set.
type clock struct{ now time.Time }

func (c *clock) log(t *testing.T) driver.Log {
	log := memstore.New(&memstore.Options{Clock: func() time.Time { return c.now }})
	t.Cleanup(func() { log.Close() })
	return log
}

func submit(t *testing.T, d *Document, author string, c Change) Edit {
	t.Helper()
	_, version := d.Text()
	e, err := d.Submit(t.Context(), Proposal{Author: author, Base: version, Change: c})
	ok(t, err)
	return e
}

func TestHistoryIsGroupedByPausesAndSpansSayWhoWroteWhat(t *testing.T) {
	at := &clock{moment}
	s := newSite(t, at.log(t), nil)
	d := s.doc()
	after := func(pause time.Duration, author string, c Change) {
		at.now = at.now.Add(pause)
		submit(t, d, author, c)
	}
	after(0, "ann", Insert(0, "Hello"))
	after(5*time.Second, "ann", Insert(5, " world"))
	after(5*time.Second, "bob", Replace(0, 1, "J"))
	after(time.Minute, "ann", Insert(11, "!"))
	after(time.Hour, "ann", Delete(11, 1))
	var groups []string
	for g, err := range d.History(t.Context()) {
		ok(t, err)
		groups = append(groups, fmt.Sprintf("%s %d-%d +%d -%d", g.Author, g.First, g.Last, g.Inserted, g.Deleted))
	}
	want := []string{"ann 1-2 +11 -0", "bob 3-3 +1 -1", "ann 4-4 +1 -0", "ann 5-5 +0 -1"}
	if !slices.Equal(groups, want) {
		t.Errorf("groups %q, want %q", groups, want)
	}
	r, err := d.At(t.Context(), 4)
	ok(t, err)
	var spans []string
	for _, s := range r.Spans {
		spans = append(spans, fmt.Sprintf("%s %d v%d", s.Author, s.Length, s.Version))
	}
	if r.Text != "Jello world!" || !slices.Equal(spans, []string{"bob 1 v3", "ann 10 v2", "ann 1 v4"}) {
		t.Errorf("%q by %q", r.Text, spans)
	}
	if _, err := d.At(t.Context(), 6); !errors.Is(err, driver.ErrNotFound) {
		t.Errorf("a version that does not exist: %v", err)
	}
}

// Snapshots never change an answer: whether kept, deleted, damaged or of
// another text, the versions are those of a plain replay.
func TestSnapshotsNeverChangeAnAnswer(t *testing.T) {
	log := memstore.New(nil)
	defer log.Close()
	rnd := rand.New(rand.NewPCG(4, 4))
	var texts []string
	s := newSite(t, log, &Options{SnapshotEvery: 10})
	d := s.doc()
	other, err := s.docs.Open(t.Context(), "other")
	ok(t, err)
	for i := range 95 {
		text, _ := d.Text()
		texts = append(texts, text.String())
		submit(t, d, fmt.Sprint("user", i%3), Replace(rnd.IntN(text.Len()+1), 0, pieces[rnd.IntN(len(pieces))]))
		submit(t, other, "eve", Insert(0, "other "))
	}
	check := func(what string, opts *Options) {
		t.Helper()
		docs, err := New(t.Context(), annals.New(log, nil), opts)
		ok(t, err)
		defer docs.Close()
		d, err := docs.Open(t.Context(), "notes")
		ok(t, err)
		for version, want := range texts {
			got, err := d.At(t.Context(), uint64(version))
			if err != nil || got.Text != want {
				t.Fatalf("%s: version %d is %q, %v, want %q", what, version, got.Text, err, want)
			}
		}
		var groups []Group
		for g, err := range d.History(t.Context()) {
			ok(t, err)
			groups = append(groups, g)
		}
		if len(groups) != 95 || groups[94].Last != 95 || groups[40].Author != "user1" {
			t.Fatalf("%s: %d groups: %+v", what, len(groups), groups)
		}
		if _, version := d.Text(); version != 95 {
			t.Fatalf("%s: the head is version %d", what, version)
		}
	}
	state := log.State()
	keys := func(prefix string) []string {
		var all []string
		for k, err := range state.Keys(t.Context(), prefix) {
			ok(t, err)
			all = append(all, k)
		}
		return all
	}
	kept := keys("collab/text-notes/")
	if len(kept) != 9 {
		t.Fatalf("snapshots kept: %q", kept)
	}
	check("with snapshots", &Options{SnapshotEvery: 10})
	check("with snapshots and groups", &Options{SnapshotEvery: 10})
	if len(keys("collab/text-notes/groups")) != 1 {
		t.Fatal("the groups are not kept")
	}
	check("without", &Options{SnapshotEvery: -1})
	check("with another pause", &Options{SnapshotEvery: 10, Pause: time.Second})
	others := keys("collab/text-other/")
	for i, k := range kept {
		switch i % 3 {
		case 0:
			ok(t, state.Delete(t.Context(), k, driver.AnyRevision))
		case 1:
			_, err := state.Save(t.Context(), k, []byte("damaged"), driver.AnyRevision)
			ok(t, err)
		case 2:
			value, _, err := state.Load(t.Context(), others[i])
			ok(t, err)
			_, err = state.Save(t.Context(), k, value, driver.AnyRevision)
			ok(t, err)
		}
	}
	_, err = state.Save(t.Context(), "collab/text-notes/groups", []byte("damaged"), driver.AnyRevision)
	ok(t, err)
	check("damaged", &Options{SnapshotEvery: 10})
	if again := keys("collab/text-notes/0"); len(again) != 9 {
		t.Errorf("made again: %q", again)
	}
}

func TestATextOutlivesItsStoreAndItsCodec(t *testing.T) {
	dir := t.TempDir()
	layer, err := zstd.New(nil)
	ok(t, err)
	for round, opts := range []*Options{nil, {Codec: codec.Stack(codec.JSON, layer)}, {Codec: codec.Stack(codec.JSON, layer)}} {
		log, err := filestore.Open(dir, nil)
		ok(t, err)
		docs, err := New(t.Context(), annals.New(log, nil), opts)
		ok(t, err)
		d, err := docs.Open(t.Context(), "notes")
		ok(t, err)
		text, version := d.Text()
		if int(version) != 3*round || text.Len() != 3*round {
			t.Errorf("round %d begins at version %d with %q", round, version, text.String())
		}
		for range 3 {
			submit(t, d, "ann", Insert(0, "é"))
		}
		d.Close()
		docs.Close()
		ok(t, log.Close())
	}
}

// folded is a model of the application's own over the same stream.
type folded struct {
	annals.Entity
	Text string
}

func TestAModelOfOnesOwnFoldsTheSameStream(t *testing.T) {
	s := newSite(t, nil, nil)
	d := s.doc()
	for i := range 20 {
		submit(t, d, "ann", Insert(i/2, "é"))
	}
	db := annals.New(s.log, nil)
	model := annals.NewModel("text", annals.On(func(f *folded, e TextEdited) {
		if after, err := NewText(f.Text).Apply(e.Change); err == nil {
			f.Text = after.String()
		}
	}))
	h := history.Of(s.log, "text-notes", history.Model(db, model))
	for _, v := range []uint64{1, 7, 20} {
		state, _, err := h.State(context.Background(), history.Version(v))
		past, err2 := d.At(t.Context(), v)
		ok(t, errors.Join(err, err2))
		if state.(map[string]any)["Text"] != past.Text {
			t.Errorf("version %d: %v, want %q", v, state, past.Text)
		}
	}
}
