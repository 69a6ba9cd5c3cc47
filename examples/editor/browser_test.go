package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/annals-db/annals/internal/chromium"
	"github.com/chromedp/chromedp"
)

// type types on the keyboard, where the caret is.
func (w writer) keys(keys string) {
	w.s.t.Helper()
	w.Do(chromedp.Focus("#text"), chromedp.KeyEvent(keys))
}

func (w writer) caret(at int) {
	w.s.t.Helper()
	chromium.Eval[bool](w.Page, fmt.Sprintf(`(t => { t.focus(); t.setSelectionRange(%d, %d); return true })(document.getElementById("text"))`, at, at))
}

func (w writer) press(id string) {
	w.s.t.Helper()
	w.Do(chromedp.Click("#" + id))
}

func TestTwoAndThreePeopleTypeAtOnce(t *testing.T) {
	s := serve(t)
	b := chromium.Start(t)
	path := s.text("Minutes")
	ann, bob := s.writer(b, "Ann", path), s.writer(b, "Bob", path)
	ann.keys("first line\r")
	if got := together(t, ann, bob); got != "first line\n" {
		t.Fatalf("%q", got)
	}
	bob.caret(len("first line\n"))
	ann.caret(0)
	var typing sync.WaitGroup
	typing.Go(func() { ann.keys("Ann writes here. ") })
	typing.Go(func() { bob.keys("Bob writes there.") })
	typing.Wait()
	if got := together(t, ann, bob); got != "Ann writes here. first line\nBob writes there." {
		t.Fatalf("%q", got)
	}
	ann.Wait("Bob's caret is shown", `document.querySelector("#mirror .flag")?.textContent === "Bob"`)
	carol := s.writer(b, "Carol", path)
	for _, w := range []writer{ann, bob, carol} { // all at one place
		w.caret(4)
	}
	typing.Go(func() { ann.keys("aaaa") })
	typing.Go(func() { bob.keys("bbbb") })
	typing.Go(func() { carol.keys("cccc") })
	typing.Wait()
	got := together(t, ann, bob, carol)
	for _, c := range "abc" {
		if n := strings.Count(got[:20], string(c)); n < 4 {
			t.Errorf("of the %d letters %c typed at one place %d are there: %q", 4, c, n, got)
		}
	}
	ann.Wait("both others are named", `document.getElementById("people").textContent.includes("Bob") && document.getElementById("people").textContent.includes("Carol")`)
}

func TestOneGoesOfflineAndReturns(t *testing.T) {
	s := serve(t)
	b := chromium.Start(t)
	path := s.text("Offline")
	ann, bob := s.writer(b, "Ann", path), s.writer(b, "Bob", path)
	ann.keys("Shared. ")
	together(t, ann, bob)
	bob.press("offline")
	bob.Wait("the page says that it is offline", `document.getElementById("status").textContent === "Offline"`)
	bob.caret(8)
	bob.keys("Written on the train.")
	bob.Wait("it says that nothing is lost", `document.getElementById("pending").textContent.includes("kept here")`)
	ann.caret(0)
	ann.keys("Meanwhile: ")
	bob.Shoot("offline")
	chromium.Eval[bool](bob.Page, `(dispatchEvent(new Event("pagehide")), true)`)
	bob.Go(s.url + path) // a reload: what was not sent is still there
	if got := together(t, ann, bob); got != "Meanwhile: Shared. Written on the train." {
		t.Fatalf("%q", got)
	}
	bob.press("offline")
	bob.keys(" More.")
	bob.press("offline")
	if got := together(t, ann, bob); !strings.Contains(got, " More.") {
		t.Fatalf("%q", got)
	}
}

func TestUndoByOneLeavesWhatTheOtherWrote(t *testing.T) {
	s := serve(t)
	b := chromium.Start(t)
	path := s.text("Undo")
	ann, bob := s.writer(b, "Ann", path), s.writer(b, "Bob", path)
	ann.keys("Ann's words.")
	together(t, ann, bob)
	bob.caret(5)
	bob.keys(" BOB")
	together(t, ann, bob)
	ann.Do(chromedp.Focus("#text"), chromedp.KeyEvent("z", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	if got := together(t, ann, bob); got != " BOB" {
		t.Fatalf("after Ann's undo: %q", got)
	}
	ann.press("redo")
	if got := together(t, ann, bob); got != "Ann's BOB words." && got != "Ann's words. BOB" && got != " BOBAnn's words." {
		t.Fatalf("after Ann's redo: %q", got)
	}
	ann.Go(s.url + path) // undo is known after a reload
	together(t, ann, bob)
	ann.press("undo")
	if got := together(t, ann, bob); got != " BOB" {
		t.Fatalf("after Ann's undo in a new page: %q", got)
	}
	ann.press("undo")
	ann.Wait("the page says that there is nothing", `document.getElementById("news").textContent.includes("Nothing of yours to undo")`)
}

func TestALargePasteArrivesAndIsUndoneWhole(t *testing.T) {
	s := serve(t, "-max", "150000")
	b := chromium.Start(t)
	path := s.text("Large")
	ann, bob := s.writer(b, "Ann", path), s.writer(b, "Bob", path)
	const paste = `(t => { t.setRangeText("𝄞 a line\n".repeat(%d)); t.dispatchEvent(new InputEvent("input")); return true })(document.getElementById("text"))`
	chromium.Eval[bool](ann.Page, fmt.Sprintf(paste, 14_000))
	if got := together(t, ann, bob); got != strings.Repeat("𝄞 a line\n", 14_000) {
		t.Fatalf("%d bytes have arrived", len(got))
	}
	ann.press("undo")
	if got := together(t, ann, bob); got != "" {
		t.Fatalf("%d bytes are left", len(got))
	}
	// More than a text may have is refused in words, and nobody else is disturbed.
	chromium.Eval[bool](ann.Page, fmt.Sprintf(paste, 20_000))
	ann.refused("over the limit of 150000")
	bob.keys("on")
	got := together(t, ann, bob)
	if !strings.HasSuffix(got, "on") && !strings.HasPrefix(got, "on") {
		t.Fatalf("%.100q", got)
	}
	// What is in the text and what is kept aside are all that was pasted.
	if all := len(got) - len("on") + len(ann.unsent()); all != len(strings.Repeat("𝄞 a line\n", 20_000)) {
		t.Errorf("of the paste %d bytes are there", all)
	}
	ann.press("undo")
	if got := together(t, ann, bob); got != "on" {
		t.Fatalf("after undoing the part that was accepted: %.100q", got)
	}
}

// refused waits until the page says why it was refused.
func (w writer) refused(why string) {
	w.s.t.Helper()
	w.Wait("the page says why: "+why, fmt.Sprintf(`document.getElementById("reason").checkVisibility() && document.getElementById("reason").textContent.includes(%s)`, chromium.Quote(why)))
}

// unsent is what the page keeps of what was refused.
func (w writer) unsent() string {
	w.s.t.Helper()
	return chromium.Eval[string](w.Page, `document.getElementById("unsent").value`)
}

// What the server refuses is taken back and kept to be copied, over a reload
// too, and whoever wrote it goes on.
func TestWhatIsRefusedIsNotLost(t *testing.T) {
	s := serve(t, "-max", "100")
	b := chromium.Start(t)
	path := s.text("Refused")
	ann, bob := s.writer(b, "Ann", path), s.writer(b, "Bob", path)
	ann.keys("Kept. ")
	together(t, ann, bob)
	const add = `(t => { t.setRangeText(%s, t.value.length, t.value.length, "end"); t.dispatchEvent(new InputEvent("input")); return true })(document.getElementById("text"))`
	goOn := func(letter string) {
		t.Helper()
		before := together(t, ann, bob)
		ann.caret(0)
		ann.keys(letter)
		if got := together(t, ann, bob); got != letter+before {
			t.Fatalf("after going on: %q", got)
		}
	}
	for _, c := range []struct{ what, why, script, unsent string }{
		{"more than a text may have", "over the limit of 100", fmt.Sprintf(add, `"too long ".repeat(20)`), strings.Repeat("too long ", 20)},
		{"half a surrogate pair", "half a surrogate pair", fmt.Sprintf(add, `"half \ud834 pair"`), "half \ufffd pair"},
		{"a message that is too large", "too large", `(() => {
			const send = WebSocket.prototype.send;
			WebSocket.prototype.send = function (m) { send.call(this, m.includes("enormous") ? m + " ".repeat(2 << 20) : m) };
		})(), ` + fmt.Sprintf(add, `"enormous"`), "enormous"},
	} {
		chromium.Eval[bool](ann.Page, c.script)
		ann.refused(c.why)
		if got := ann.unsent(); got != c.unsent {
			t.Errorf("of %s the page keeps %q", c.what, got)
		}
		goOn("x")
		ann.open(path) // a reload
		ann.refused(c.why)
		if got := ann.unsent(); got != c.unsent {
			t.Errorf("of %s the page keeps %q over a reload", c.what, got)
		}
		ann.press("copy")
		ann.Wait("it is copied or selected", `document.getElementById("copy").textContent !== "Copy" && document.getElementById("unsent").selectionEnd > 0`)
		ann.press("forget")
		ann.Wait("it is gone", `!document.getElementById("refused").checkVisibility() && document.activeElement.id === "text"`)
	}
	if got := together(t, ann, bob); got != "xxxKept. " {
		t.Errorf("at the end: %q", got)
	}
	// What was refused later is kept beside what was before.
	chromium.Eval[bool](ann.Page, fmt.Sprintf(add, `"first ".repeat(30)`))
	ann.refused("over the limit")
	goOn("y")
	chromium.Eval[bool](ann.Page, fmt.Sprintf(add, `"second ".repeat(30)`))
	ann.Wait("both are kept", `document.getElementById("unsent").value.includes("first") && document.getElementById("unsent").value.includes("second")`)
	ann.Resize(320, 700, "light")
	if wide := chromium.Eval[int](ann.Page, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
		t.Errorf("the page is %d px wider than the screen", wide)
	}
	ann.Shoot("refused")
}

func TestTheServerIsKilledWhileTwoType(t *testing.T) {
	s := serve(t)
	b := chromium.Start(t)
	path := s.text("Power cuts")
	ann, bob := s.writer(b, "Ann", path), s.writer(b, "Bob", path)
	ann.keys("|")
	together(t, ann, bob)
	ann.caret(0)
	bob.caret(1)
	const letters = 60
	var typing sync.WaitGroup
	half := make(chan struct{}, 2)
	write := func(w writer, letter string) {
		for i := range letters {
			w.Do(chromedp.KeyEvent(letter))
			if i == letters/3 || i == 2*letters/3 {
				half <- struct{}{}
			}
		}
	}
	typing.Go(func() { write(ann, "a") })
	typing.Go(func() { write(bob, "b") })
	for range 2 {
		<-half
		s.kill()
		<-half
		s.restart()
	}
	typing.Wait()
	got := together(t, ann, bob)
	if want := strings.Repeat("a", letters) + "|" + strings.Repeat("b", letters); got != want {
		t.Fatalf("%q", got)
	}
}

// Random edits by seed, in two pages and offline spells, with letters that take
// two code units.
func TestRandomEditsConverge(t *testing.T) {
	s := serve(t)
	b := chromium.Start(t)
	path := s.text("Random")
	writers := []writer{s.writer(b, "Ann", path), s.writer(b, "Bob", path), s.writer(b, "Carol", path)}
	for seed := range uint64(seeds()) {
		rnd := rand.New(rand.NewPCG(seed, 9))
		for range 40 {
			w := writers[rnd.IntN(len(writers))]
			if rnd.IntN(8) == 0 {
				chromium.Eval[bool](w.Page, `(document.getElementById("offline").click(), true)`)
			}
			chromium.Eval[bool](w.Page, randomEdit(rnd))
		}
		for _, w := range writers {
			chromium.Eval[bool](w.Page, `(b => { if (b.getAttribute("aria-pressed") === "true") b.click(); return true })(document.getElementById("offline"))`)
		}
		text := together(t, writers...)
		if past := s.head(path); past != text {
			t.Fatalf("seed %d: the pages have %q, the server %q", seed, text, past)
		}
		t.Logf("seed %d: three pages and the server have the same %d bytes", seed, len(text))
	}
}

// seeds is how many runs of random edits there are: more by ANNALS_SEEDS.
func seeds() int {
	n, err := strconv.Atoi(os.Getenv("ANNALS_SEEDS"))
	if err != nil {
		return 4
	}
	return n
}

// randomEdit is a script that edits the text area as typing does. It keeps to
// whole characters, as a caret does.
func randomEdit(rnd *rand.Rand) string {
	piece := []string{"a", "word ", "\n", "é", "😀", "e\u0301", "𝄞", ""}[rnd.IntN(8)]
	return fmt.Sprintf(`(t => {
		const points = Array.from(t.value);
		const at = Math.floor(%f * (points.length + 1)), n = Math.min(points.length - at, %d);
		const from = points.slice(0, at).join("").length, to = from + points.slice(at, at + n).join("").length;
		t.focus();
		t.setRangeText(%s, from, to, "end");
		t.dispatchEvent(new InputEvent("input"));
		return true;
	})(document.getElementById("text"))`, rnd.Float64(), rnd.IntN(4), chromium.Quote(piece))
}

// history returns the groups of a text.
func (s *site) history(path string) []group {
	s.t.Helper()
	var groups []group
	_, body := s.user("reader").get(path + "/groups")
	if err := json.Unmarshal([]byte(body), &groups); err != nil {
		s.t.Fatalf("%v: %s", err, body)
	}
	return groups
}

// at returns the text at a version as the server tells it.
func (s *site) at(path string, version uint64) string {
	s.t.Helper()
	var past struct{ Parts []part }
	_, body := s.user("reader").get(fmt.Sprintf("%s/versions/%d", path, version))
	if err := json.Unmarshal([]byte(body), &past); err != nil {
		s.t.Fatalf("%v: %s", err, body)
	}
	var text strings.Builder
	for _, p := range past.Parts {
		text.WriteString(p.Text)
	}
	return text.String()
}

func (s *site) head(path string) string {
	s.t.Helper()
	groups := s.history(path)
	return s.at(path, groups[len(groups)-1].Last)
}

func TestTheHistorySliderShowsWhatAReplayGives(t *testing.T) {
	s := serve(t)
	b := chromium.Start(t)
	path := s.text("Slider")
	ann, bob := s.writer(b, "Ann", path), s.writer(b, "Bob", path)
	ann.keys("The quick fox")
	together(t, ann, bob)
	bob.caret(9)
	bob.keys(" brown 🦊")
	together(t, ann, bob)
	ann.caret(0)
	ann.keys("Once: ")
	together(t, ann, bob)
	replay := s.replay(path)
	ann.Go(s.url + path + "/history")
	ann.Wait("the history is there", `document.getElementById("text").dataset.version !== undefined`)
	head := len(replay) - 1
	for version, want := range replay {
		chromium.Eval[bool](ann.Page, fmt.Sprintf(`(r => { r.value = %d; r.dispatchEvent(new Event("input")); return true })(document.getElementById("slider"))`, version))
		ann.Wait(fmt.Sprint("version ", version, " is shown"), fmt.Sprintf(`document.getElementById("text").dataset.version === "%d"`, version))
		got := chromium.Eval[string](ann.Page, `Array.from(document.querySelectorAll("#text .part")).map(p => p.textContent).join("")`)
		if got != want {
			t.Errorf("version %d shows %q, a replay gives %q", version, got, want)
		}
	}
	authors := chromium.Eval[int](ann.Page, `new Set(Array.from(document.querySelectorAll("#text .part")).map(p => p.className.match(/author-\d/)[0])).size`)
	if authors != 2 {
		t.Errorf("two authors have %d colours", authors)
	}
	if said := chromium.Eval[string](ann.Page, `document.getElementById("slider").getAttribute("aria-valuetext")`); !strings.Contains(said, fmt.Sprintf("Version %d of %d, Ann", head, head)) {
		t.Errorf("the slider says %q", said)
	}
	ann.press("earlier")
	ann.press("earlier")
	ann.Wait("an earlier version is shown", `document.getElementById("text").textContent === "The quick fox"`)
	ann.press("restore")
	ann.Wait("the text is there again", `document.getElementById("text")?.value === "The quick fox"`)
	if got := together(t, ann, bob); got != "The quick fox" {
		t.Errorf("after restoring: %q", got)
	}
	ann.press("undo")
	if got := together(t, ann, bob); got != replay[head] {
		t.Errorf("after undoing the restoring: %q, want %q", got, replay[head])
	}
}

// replay returns every version of a text, by a plain replay of the store that
// the program has open.
func (s *site) replay(path string) []string {
	s.t.Helper()
	return replayStore(s.t, s.store, "text-"+strings.TrimPrefix(path, "/texts/"))
}

func TestTheListCanBeUndoneByItsUsers(t *testing.T) {
	s := serve(t)
	ann, bob := s.user("Ann"), s.user("Bob")
	_, path := ann.post("/texts", url.Values{"title": {"<b>Plans</b> & \"more\""}})
	if body, _ := bob.post(path+"/rename", url.Values{"title": {"Bob's title"}}); !strings.Contains(body, "Bob&#39;s title") {
		t.Fatal(body)
	}
	if body, _ := ann.post("/undo", nil); !strings.Contains(body, "Undo refused: Bob has changed that since (TextRenamed, version 2).") {
		t.Errorf("Ann's undo is answered with %s", body)
	}
	if body, _ := bob.post("/undo", nil); !strings.Contains(body, "&lt;b&gt;Plans&lt;/b&gt; &amp; &#34;more&#34;") || strings.Contains(body, "<b>") {
		t.Errorf("after Bob's undo: %s", body)
	}
	if body, _ := bob.post("/undo", nil); !strings.Contains(body, "nothing of yours") {
		t.Errorf("a second undo of Bob's is answered with %s", body)
	}
	if body, _ := ann.post("/undo", nil); !strings.Contains(body, "None yet") {
		t.Errorf("after Ann's undo: %s", body)
	}
	if body, _ := ann.post("/redo", nil); !strings.Contains(body, "Plans") {
		t.Errorf("after Ann's redo: %s", body)
	}
}

// TestPictures saves pictures of the pages where ANNALS_SCREENSHOTS says, and
// shows that nothing is wider than a small screen.
func TestPictures(t *testing.T) {
	s := serve(t)
	b := chromium.Start(t)
	path := s.text("Minutes of the meeting about the garden, the bees and the well")
	ann, bob := s.writer(b, "Ann", path), s.writer(b, "Bob", path)
	ann.keys("The garden\r\rAnn and Bob were there. It was agreed that the bees stay where they are until the spring, and that somebody asks about the well.\r")
	together(t, ann, bob)
	bob.caret(35)
	bob.keys(", with Carol by telephone,")
	together(t, ann, bob)
	carol := s.writer(b, "Carol with quite a long name", path)
	carol.caret(12)
	carol.Do(chromedp.KeyEvent("\u0305", chromedp.KeyModifiers(chromedp.ModifierShift))) // End: the line is selected
	ann.Wait("all carets are there", `document.querySelectorAll("#mirror .flag").length === 2`)
	fits := func(w writer, what string) {
		t.Helper()
		if wide := chromium.Eval[int](w.Page, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
			t.Errorf("%s is %d px wider than the screen", what, wide)
		}
	}
	for _, scheme := range []string{"light", "dark"} {
		ann.Resize(1000, 700, scheme)
		ann.Shoot("typing-" + scheme)
		ann.Resize(320, 640, scheme)
		fits(ann, "the editor")
		ann.Shoot("typing-320-" + scheme)
	}
	bob.press("offline")
	bob.keys(" He left early.")
	bob.Resize(1000, 700, "light")
	bob.Shoot("offline")
	bob.press("offline")
	together(t, ann, bob)
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1000, 320} {
			carol.Go(s.url + path + "/history")
			carol.Resize(width, 700, scheme)
			carol.Wait("the history is there", `document.getElementById("text").dataset.version !== undefined`)
			chromium.Eval[bool](carol.Page, `(r => { r.focus(); r.value = r.max - 2; r.dispatchEvent(new Event("input")); return true })(document.getElementById("slider"))`)
			carol.Wait("the version is shown", `document.getElementById("text").dataset.version === document.getElementById("slider").value`)
			fits(carol, "the history")
			carol.Shoot(fmt.Sprintf("history-%d-%s", width, scheme))
			carol.Go(s.url + "/")
			fits(carol, "the list")
			carol.Shoot(fmt.Sprintf("list-%d-%s", width, scheme))
		}
	}
}

// A server that was restored from a backup has lost what the pages have: they
// take its text, and what was not sent is kept.
func TestARestoredServerCostsNothingThatIsUnsent(t *testing.T) {
	s := serve(t)
	b := chromium.Start(t)
	path := s.text("Restored")
	ann, bob := s.writer(b, "Ann", path), s.writer(b, "Bob", path)
	ann.keys("one")
	together(t, ann, bob)
	s.kill()
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(s.store)); err != nil {
		t.Fatal(err)
	}
	s.restart()
	together(t, ann, bob)
	ann.keys(" two")
	together(t, ann, bob)
	bob.press("offline")
	bob.caret(0)
	bob.keys("unsent ")
	s.kill()
	if err := errors.Join(os.RemoveAll(s.store), os.CopyFS(s.store, os.DirFS(backup))); err != nil {
		t.Fatal(err)
	}
	s.restart()
	bob.press("offline")
	bob.refused("has a version that the text has not reached")
	if got := bob.unsent(); got != "unsent " {
		t.Errorf("of what was not sent the page keeps %q", got)
	}
	if got := together(t, ann, bob); got != "one" {
		t.Errorf("the pages have %q", got)
	}
}
