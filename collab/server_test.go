package collab

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
	"github.com/coder/websocket"
)

// site serves texts at ws://…/NAME?author=….
type site struct {
	t    *testing.T
	log  driver.Log
	docs *Documents
	srv  *httptest.Server
}

func newSite(t *testing.T, log driver.Log, opts *Options) *site {
	t.Helper()
	if log == nil {
		log = memstore.New(nil)
		t.Cleanup(func() { log.Close() })
	}
	docs, err := New(t.Context(), annals.New(log, nil), opts)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, log: log, docs: docs}
	s.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		docs.ServeEditor(w, r, r.URL.Path[1:], r.URL.Query().Get("author"))
	}))
	t.Cleanup(func() { docs.Close(); s.srv.Close() })
	return s
}

func (s *site) url(name, author string) string {
	return "ws" + strings.TrimPrefix(s.srv.URL, "http") + "/" + name + "?author=" + author
}

func (s *site) client(author string, opts *ClientOptions) *Client {
	s.t.Helper()
	c, err := Dial(s.t.Context(), s.url("notes", author), opts)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

func (s *site) doc() *Document {
	s.t.Helper()
	d, err := s.docs.Open(s.t.Context(), "notes")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(d.Close)
	return d
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func typed(t *testing.T, c *Client, change Change) {
	t.Helper()
	ok(t, c.Edit(func(Text) Change { return change }))
}

// settle waits until all have everything, and returns the text they have.
func (s *site) settle(clients ...*Client) string {
	s.t.Helper()
	ctx := deadline(s.t)
	for _, c := range clients {
		ok(s.t, c.Settle(ctx))
	}
	text, version := s.doc().Text()
	for i, c := range clients {
		ok(s.t, c.Reach(ctx, version))
		if got, _ := c.Text(); got.String() != text.String() {
			s.t.Fatalf("client %d has %q, the server %q", i, got.String(), text.String())
		}
	}
	return text.String()
}

func TestTwoClientsSeeEachOther(t *testing.T) {
	s := newSite(t, nil, nil)
	ann := s.client("ann", &ClientOptions{Units: UTF16})
	bob := s.client("bob", nil)
	typed(t, ann, Insert(0, "😀 one"))
	s.settle(ann, bob)
	typed(t, bob, Insert(1, "\u0301!"))
	if got := s.settle(ann, bob); got != "😀\u0301! one" {
		t.Fatalf("%q", got)
	}
	ann.Select(0, 3)
	ctx := deadline(t)
	ok(t, bob.wait(ctx, func() bool { p := bob.peers[ann.opts.Client]; return p.Author == "ann" && p.Head == 3 }))
	typed(t, bob, Insert(1, "xy")) // within what is selected
	if p := bob.Peers(); len(p) != 1 || p[0].Anchor != 0 || p[0].Head != 5 {
		t.Errorf("ann's selection is %+v", p)
	}
	ann.Close()
	ok(t, bob.wait(ctx, func() bool { return len(bob.peers) == 0 }))
}

// A caret that is not told yet goes along with what is done before it is.
func TestACaretIsNeverToldOutsideTheText(t *testing.T) {
	s := newSite(t, nil, nil)
	ann, bob := s.client("ann", &ClientOptions{Pause: -1}), s.client("bob", nil)
	typed(t, ann, Insert(0, "twelve chars"))
	s.settle(ann, bob)
	ann.SetOffline(true)
	ann.Select(10, 12)
	typed(t, ann, Delete(2, 9))
	typed(t, bob, Delete(0, 1))
	s.settle(bob)
	ann.SetOffline(false)
	if got := s.settle(ann, bob); got != "ws" {
		t.Errorf("%q", got)
	}
	ok(t, bob.wait(deadline(t), func() bool { p := bob.peers[ann.opts.Client]; return p.Anchor == 1 && p.Head == 2 }))
}

func TestWhatIsDoneOfflineIsKeptAndComesTogether(t *testing.T) {
	s := newSite(t, nil, &Options{tail: 4, SnapshotEvery: 8})
	ann, bob := s.client("ann", &ClientOptions{Pause: -1}), s.client("bob", &ClientOptions{Pause: -1, Units: UTF16})
	typed(t, ann, Insert(0, "shared𝄞"))
	s.settle(ann, bob)
	bob.SetOffline(true)
	for range 40 {
		typed(t, ann, Insert(0, "a"))
		typed(t, bob, Insert(7, "𝄞"))
	}
	s.settle(ann)
	bob.SetOffline(false)
	if got, want := s.settle(ann, bob), strings.Repeat("a", 40)+"shared𝄞"+strings.Repeat("𝄞", 40); got != want {
		t.Errorf("%q", got)
	}
}

func TestUndoLeavesWhatOthersWrote(t *testing.T) {
	s := newSite(t, nil, nil)
	ann, bob := s.client("ann", nil), s.client("bob", nil)
	typed(t, ann, Insert(0, "from ann"))
	s.settle(ann, bob)
	typed(t, bob, Insert(4, " (bob was here)"))
	typed(t, bob, Delete(0, 1))
	s.settle(ann, bob)
	if !ann.Undo() || s.settle(ann, bob) != " (bob was here)" {
		t.Errorf("after ann's undo: %q", s.settle(ann, bob))
	}
	if ann.Undo() {
		t.Error("ann undid twice what she did once")
	}
	again := s.client("ann", nil) // another window, which knows it from the log
	if !again.Redo() {
		t.Error("nothing to redo in ann's other window")
	}
	if got := s.settle(ann, bob, again); got != "rom (bob was here) ann" && got != "from (bob was here) ann" {
		t.Errorf("after ann's redo: %q", got)
	}
	if !bob.Undo() {
		t.Error("bob has nothing to undo")
	}
	if got := s.settle(ann, bob, again); strings.Contains(got, "bob") || !strings.Contains(got, "ann") {
		t.Errorf("after bob's undo: %q", got)
	}
}

func TestALargeChangeGoesInPartsAndIsUndoneWhole(t *testing.T) {
	s := newSite(t, nil, nil)
	ann, bob := s.client("ann", nil), s.client("bob", &ClientOptions{Units: UTF16})
	large := strings.Repeat("𝄞\u0001\"\n", 60_000)
	typed(t, ann, Insert(0, large))
	if s.settle(ann, bob) != large {
		t.Fatal("the text is not what was pasted")
	}
	if !ann.Undo() || s.settle(ann, bob) != "" {
		t.Fatal("it is not undone whole")
	}
	again := s.client("ann", nil)
	if !again.Redo() || s.settle(ann, bob, again) != large {
		t.Fatal("it is not done again whole in another window")
	}
	typed(t, bob, Delete(0, 200_000))
	if s.settle(ann, bob); !bob.Undo() || s.settle(ann, bob) != large {
		t.Fatal("what was deleted does not come back whole")
	}
}

// What one has written is taken back to the last letter, what others have written
// stays to the last letter: at random places, by seed, with offline spells.
func TestUndoneIsOnesOwnAndNothingElse(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 8))
		s := newSite(t, nil, nil)
		ann, bob := s.client("ann", &ClientOptions{Pause: -1}), s.client("bob", &ClientOptions{Pause: -1, Units: UTF16})
		for range 30 {
			for _, c := range []*Client{ann, bob} {
				letter := map[*Client]string{ann: "A", bob: "𝔹"}[c]
				ok(t, c.Edit(func(now Text) Change { return Insert(rnd.IntN(now.Len()+1), letter) }))
			}
			switch rnd.IntN(6) {
			case 0:
				bob.SetOffline(false)
				s.settle(ann, bob)
			case 1:
				bob.SetOffline(true)
			case 2:
				bob.SetOffline(false)
			}
		}
		bob.SetOffline(false)
		for ann.Undo() {
			if rnd.IntN(4) == 0 {
				s.settle(ann, bob)
			}
		}
		if got := s.settle(ann, bob); got != strings.Repeat("𝔹", 30) {
			t.Fatalf("seed %d: after ann has undone all: %q", seed, got)
		}
		for ann.Redo() {
		}
		if got := s.settle(ann, bob); strings.Count(got, "A") != 30 || strings.Count(got, "𝔹") != 30 {
			t.Fatalf("seed %d: after ann has done all again: %q", seed, got)
		}
	}
}

func TestAKilledServerLosesNothingAndDoublesNothing(t *testing.T) {
	log := memstore.New(nil)
	defer log.Close()
	var current atomic.Pointer[Documents]
	start := func() *Documents {
		d, err := New(t.Context(), annals.New(log, nil), &Options{SnapshotEvery: 10})
		ok(t, err)
		current.Store(d)
		return d
	}
	docs := start()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		current.Load().ServeEditor(w, r, "notes", r.URL.Query().Get("author"))
	}))
	defer srv.Close()
	var clients []*Client
	for _, author := range []string{"ann", "bob"} {
		c, err := Dial(t.Context(), "ws"+strings.TrimPrefix(srv.URL, "http")+"/?author="+author, &ClientOptions{Pause: -1})
		ok(t, err)
		defer c.Close()
		clients = append(clients, c)
	}
	for i := range 60 {
		for n, c := range clients {
			ok(t, c.Edit(func(now Text) Change { return Insert(now.Len()*n, string(rune('a'+n))) }))
		}
		if i%20 == 10 {
			srv.CloseClientConnections()
			docs.Close()
			docs = start()
		}
	}
	ctx := deadline(t)
	for _, c := range clients {
		ok(t, c.Settle(ctx))
	}
	doc, err := docs.Open(ctx, "notes")
	ok(t, err)
	text, version := doc.Text()
	docs.Close()
	if got := text.String(); strings.Count(got, "a") != 60 || strings.Count(got, "b") != 60 || version != 120 {
		t.Errorf("version %d: %q", version, got)
	}
}

func TestTwoServersOnOneLogAgree(t *testing.T) {
	one := newSite(t, nil, nil)
	two := newSite(t, one.log, nil)
	ann, bob := one.client("ann", &ClientOptions{Pause: -1}), two.client("bob", &ClientOptions{Pause: -1})
	for range 50 {
		typed(t, ann, Insert(0, "a"))
		typed(t, bob, Insert(0, "b"))
	}
	ctx := deadline(t)
	ok(t, errors.Join(ann.Settle(ctx), bob.Settle(ctx)))
	ok(t, errors.Join(ann.Reach(ctx, 100), bob.Reach(ctx, 100)))
	one.settle(ann)
	if got := two.settle(ann, bob); len(got) != 100 {
		t.Errorf("%q", got)
	}
}

// What a stranger may send is refused in words, and harms nobody.
func TestBadInputIsRefusedAndOthersAreUndisturbed(t *testing.T) {
	s := newSite(t, nil, &Options{MaxLength: 1000})
	ann := s.client("ann", nil)
	typed(t, ann, Insert(0, "a😀b"))
	s.settle(ann)
	hello := `{"type":"hello","units":"utf-16","client":"x"}`
	for _, c := range []struct{ name, message, want string }{
		{"a position beyond the text", `{"type":"edit","seq":1,"base":1,"change":[5,"x"]}`, "beyond the text"},
		{"a deletion beyond the text", `{"type":"edit","seq":1,"base":1,"change":[3,-2]}`, "beyond the text"},
		{"half a surrogate pair kept", `{"type":"edit","seq":1,"base":1,"change":[2,"x"]}`, "inside a surrogate pair"},
		{"half a surrogate pair deleted", `{"type":"edit","seq":1,"base":1,"change":[1,-1]}`, "inside a surrogate pair"},
		{"half a surrogate pair inserted", `{"type":"edit","seq":1,"base":1,"change":["\ud83d"]}`, "half a surrogate pair"},
		{"a NUL", `{"type":"edit","seq":1,"base":1,"change":["\u0000"]}`, "NUL"},
		{"a base from the future", `{"type":"edit","seq":1,"base":2,"change":["x"]}`, "its base is version 2, and the last is 1"},
		{"a caret beyond the text", `{"type":"caret","base":1,"anchor":0,"head":9}`, "beyond the text"},
		{"a caret inside a pair", `{"type":"caret","base":1,"anchor":2,"head":2}`, "surrogate pair"},
		{"a caret before the text", `{"type":"caret","base":1,"anchor":-1,"head":0}`, "not in the text"},
		{"no JSON", `{"type":`, "cannot be read"},
		{"a list", `[]`, "cannot be read"},
		{"an unknown field", `{"type":"edit","password":1}`, "cannot be read"},
		{"a key twice", `{"type":"edit","type":"edit"}`, "cannot be read"},
		{"an unknown type", `{"type":"drop"}`, "unknown type"},
		{"a second hello", hello, "unknown type"},
		{"an unknown kind", `{"type":"edit","seq":1,"base":1,"change":["x"],"kind":"evil"}`, "kind"},
		{"a change without a seq", `{"type":"edit","base":1,"change":["x"]}`, "proper name"},
		{"a count of nothing", `{"type":"edit","seq":1,"base":1,"change":[0]}`, "cannot be read"},
		{"an enormous count", `{"type":"edit","seq":1,"base":1,"change":[99999999999999999999]}`, "cannot be read"},
		{"counts that overflow", `{"type":"edit","seq":1,"base":1,"change":[1073741824,"x",1073741824,"x",1073741824]}`, "cannot be read"},
		{"a fraction", `{"type":"edit","seq":1,"base":1,"change":[1.5]}`, "cannot be read"},
		{"a nested list", `{"type":"edit","seq":1,"base":1,"change":[["x"]]}`, "cannot be read"},
		{"null", `{"type":"edit","seq":1,"base":1,"change":null}`, "cannot be read"},
		{"too long a text", `{"type":"edit","seq":1,"base":1,"change":["` + strings.Repeat("x", 1000) + `"]}`, "over the limit of 1000"},
		{"an enormous message", `{"type":"edit","seq":1,"base":1,"change":["` + strings.Repeat("x", 2<<20) + `"]}`, "too big"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if reason := s.stranger(hello, c.message); !strings.Contains(reason, c.want) {
				t.Errorf("the answer is %q, want %q in it", reason, c.want)
			}
		})
	}
	for _, first := range []string{
		`{"type":"edit","seq":1,"base":0,"change":["x"]}`, `{"type":"hello","units":"bytes","client":"x"}`,
		`{"type":"hello","units":"utf-16"}`, `{"type":"hello","units":"utf-16","client":"x\u0007"}`,
	} {
		if reason := s.stranger(first); !strings.Contains(reason, "the first message is a hello") {
			t.Errorf("%s is answered with %q", first, reason)
		}
	}
	if reason := s.stranger(`{"type":"hello","units":"utf-16","client":"x","since":7}`); !strings.Contains(reason, "not reached") {
		t.Errorf("a version from the future is answered with %q", reason)
	}
	if reason := s.stranger(`{"type":"hello","units":"utf-16","client":"` + ann.opts.Client + `"}`); !strings.Contains(reason, "another user") {
		t.Errorf("another's editor is answered with %q", reason)
	}
	for _, name := range []string{"%3Cscript%3Ealert(1)%3C%2Fscript%3E", "..%2F..%2Fetc", "%00", "a%20b", strings.Repeat("x", 101), "%FF", "-x"} {
		if _, err := Dial(deadline(t), s.url(name, "eve"), nil); err == nil || !strings.Contains(err.Error(), "400") {
			t.Errorf("text %q: %v", name, err)
		}
	}
	for _, author := range []string{"", "%00", "%FF", strings.Repeat("x", 101)} {
		if _, err := Dial(deadline(t), s.url("notes", author), nil); err == nil || !strings.Contains(err.Error(), "400") {
			t.Errorf("author %q: %v", author, err)
		}
	}
	typed(t, ann, Insert(3, " and on"))
	if got := s.settle(ann); got != "a😀b and on" {
		t.Errorf("%q", got)
	}
}

// stranger sends messages as they are, and returns what ends the connection.
func (s *site) stranger(messages ...string) string {
	ctx := deadline(s.t)
	ws, _, err := websocket.Dial(ctx, s.url("notes", "eve"), nil) //nolint:bodyclose // the library does
	ok(s.t, err)
	defer ws.CloseNow()
	for _, m := range messages {
		if err := ws.Write(ctx, websocket.MessageText, []byte(m)); err != nil {
			break
		}
	}
	reason := ""
	for {
		_, data, err := ws.Read(ctx)
		if err != nil {
			if websocket.CloseStatus(err) == websocket.StatusMessageTooBig {
				return "too big"
			}
			if reason == "" {
				reason = err.Error()
			}
			return reason
		}
		if strings.Contains(string(data), `"refused"`) {
			reason = string(data)
		}
	}
}
