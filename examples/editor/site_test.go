package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/annals-db/annals/internal/chromium"
	"github.com/chromedp/chromedp"
)

// What a stranger asks for is refused in words, and shown as text.
func TestStrangersAreRefusedInWords(t *testing.T) {
	s := serve(t)
	eve := s.user("<img src=x onerror=alert(1)>")
	path := s.text("Plans")
	for _, c := range []struct {
		path   string
		status int
		says   string
	}{
		{"/texts/%3Cscript%3Ealert(1)%3C%2Fscript%3E", http.StatusNotFound, "no such text"},
		{"/texts/..%2F..%2Fetc%2Fpasswd", http.StatusNotFound, "no such text"},
		{"/texts/unknown/connect", http.StatusNotFound, "no such text"},
		{"/texts/%00/groups", http.StatusNotFound, "no such text"},
		{path + "/versions/1", http.StatusNotFound, "no such version"},
		{path + "/versions/-1", http.StatusBadRequest, "a number"},
		{path + "/versions/99999999999999999999", http.StatusBadRequest, "a number"},
		{path + "/connect", http.StatusUpgradeRequired, "WebSocket"},
	} {
		status, body := eve.get(c.path)
		if status != c.status || !strings.Contains(body, c.says) || strings.Contains(body, "<script") {
			t.Errorf("%s is answered with %d %s", c.path, status, body)
		}
	}
	for _, title := range []string{"", "  ", strings.Repeat("x", 201), "a\nb", "\xff"} {
		if body, _ := eve.post("/texts", url.Values{"title": {title}}); !strings.Contains(body, "role=\"alert\"") {
			t.Errorf("the title %q is answered with %s", title, body)
		}
	}
	if body, _ := eve.post("/texts", url.Values{"title": {"<script>alert(2)</script>"}}); strings.Contains(body, "<script>alert") || strings.Contains(body, "<img") {
		t.Errorf("markup is shown as %s", body)
	}
	nobody := s.user("")
	if body, where := nobody.post("/texts", url.Values{"title": {"x"}}); where != "/" || !strings.Contains(body, "Say who you are first") {
		t.Errorf("nobody's text is answered at %s with %s", where, body)
	}
	if status, _ := nobody.get(path + "/connect"); status != http.StatusForbidden {
		t.Errorf("nobody's connection is answered with %d", status)
	}
	foreign, _ := http.NewRequest(http.MethodPost, s.url+"/texts", strings.NewReader("title=x"))
	foreign.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	foreign.Header.Set("Origin", "https://evil.example")
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	r, err := eve.Do(foreign)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusForbidden {
		t.Errorf("a form of another site is answered with %d", r.StatusCode)
	}
}

// Who has no name yet and opens the address of a text is led there.
func TestAnAddressThatWasSentLeadsToTheText(t *testing.T) {
	s := serve(t)
	path := s.text("Sent")
	u := s.user("")
	_, page := u.get(path)
	if !strings.Contains(page, fmt.Sprintf(`name="to" value="%s"`, path)) {
		t.Errorf("the page that asks for the name is %s", page)
	}
	if _, where := u.post("/name", url.Values{"name": {"Dora"}, "to": {path}}); where != path {
		t.Errorf("who has said the name is at %s", where)
	}
	for _, to := range []string{"//example.org/texts/", "https://example.org/texts/x", ""} {
		if _, where := u.post("/name", url.Values{"name": {"Dora"}, "to": {to}}); where != "/" {
			t.Errorf("from %q one comes to %s", to, where)
		}
	}
}

// Everything can be reached and done by keyboard, has a name that a screen reader
// says, and shows where the focus is.
func TestThePagesWorkWithoutAMouse(t *testing.T) {
	s := serve(t)
	b := chromium.Start(t)
	path := s.text("Keys")
	ann := s.writer(b, "Ann", path)
	const names = `Array.from(document.querySelectorAll("a, button, input:not([type=hidden]), textarea, summary, [role=region]"))
		.filter(e => !(e.ariaLabel || e.labels?.length || e.textContent.trim())).map(e => e.outerHTML)`
	const focus = `(() => { const e = document.activeElement, s = getComputedStyle(e), p = e.closest(".paper");
		return (e.id || e.textContent.trim()) + (s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 || p && getComputedStyle(p).boxShadow !== "none" ? "" : " (unseen)") })()`
	tab := func() string {
		ann.Do(chromedp.KeyEvent("\t"))
		return chromium.Eval[string](ann.Page, focus)
	}
	if bare := chromium.Eval[[]string](ann.Page, names); len(bare) > 0 {
		t.Errorf("the editor has controls without a name: %v", bare)
	}
	var order []string
	for range 6 {
		order = append(order, tab())
	}
	if want := []string{"All texts", "undo", "redo", "History", "offline", "text"}; !slices.Equal(order, want) {
		t.Errorf("the focus goes to %q, want %q", order, want)
	}
	ann.Do(chromedp.KeyEvent("one\rtwo"))
	together(t, ann)
	ann.Go(s.url + path + "/history")
	ann.Wait("the history is there", `document.getElementById("text").dataset.version !== undefined`)
	if bare := chromium.Eval[[]string](ann.Page, names); len(bare) > 0 {
		t.Errorf("the history has controls without a name: %v", bare)
	}
	order = nil
	for range 2 {
		order = append(order, tab())
	}
	if want := []string{"Back to the text", "slider"}; !slices.Equal(order, want) {
		t.Errorf("the focus goes to %q, want %q", order, want)
	}
	ann.Do(chromedp.KeyEvent("\u0302")) // arrow left
	ann.Wait("an earlier version is shown and said", `document.getElementById("what").textContent.startsWith("Version") &&
		Number(document.getElementById("text").dataset.version) < Number(document.getElementById("slider").max)`)
	ann.Go(s.url)
	if bare := chromium.Eval[[]string](ann.Page, names); len(bare) > 0 {
		t.Errorf("the list has controls without a name: %v", bare)
	}
}

// How long an edit takes to another page, by the clock of the machine both are
// on; it is told, not judged.
func TestHowSoonAnEditIsInAnotherPage(t *testing.T) {
	s := serve(t)
	b := chromium.Start(t)
	path := s.text("Soon")
	ann, bob := s.writer(b, "Ann", path), s.writer(b, "Bob", path)
	chromium.Eval[bool](bob.Page, `(t => {
		const value = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value");
		window.seen = [];
		Object.defineProperty(t, "value", { get() { return value.get.call(this) }, set(v) { value.set.call(this, v); seen.push(performance.timeOrigin + performance.now()) } });
		return true;
	})(document.getElementById("text"))`)
	const edits = 50
	var typed []float64
	for i := range edits {
		typed = append(typed, chromium.Eval[float64](ann.Page, `(t => {
			t.setRangeText("x", 0, 0, "end");
			const now = performance.timeOrigin + performance.now();
			t.dispatchEvent(new InputEvent("input"));
			return now;
		})(document.getElementById("text"))`))
		bob.Wait("the edit is there", fmt.Sprintf("seen.length === %d", i+1))
	}
	seen := chromium.Eval[[]float64](bob.Page, `seen`)
	var took []time.Duration
	for i := range typed {
		took = append(took, time.Duration((seen[i]-typed[i])*float64(time.Millisecond)))
	}
	slices.Sort(took)
	t.Logf("from the input event in one page to the text area of another, durable in between: median %v, 95th %v of %d edits",
		took[edits/2].Round(10*time.Microsecond), took[edits*95/100].Round(10*time.Microsecond), edits)
}
