package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/internal/chromium"
	"github.com/chromedp/chromedp"
)

// site serves an order of its own.
type site struct {
	t     *testing.T
	table *table
	url   string
}

func serve(t *testing.T) *site {
	t.Helper()
	log, err := filestore.Open(t.TempDir()+"/store", nil)
	if err != nil {
		t.Fatal(err)
	}
	tab := &table{db: annals.New(log, nil)}
	srv := httptest.NewServer(tab.handler())
	t.Cleanup(func() {
		srv.CloseClientConnections() // those that wait
		srv.Close()
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return &site{t, tab, srv.URL}
}

// order returns the order as text.
func (s *site) order() string {
	s.t.Helper()
	o, err := orders.Load(s.table.db.View(s.t.Context()), theOrder)
	if errors.Is(err, annals.ErrNotFound) {
		return ""
	}
	if err != nil {
		s.t.Fatal(err)
	}
	var lines []string
	rows, _ := o.rows()
	for _, r := range rows {
		lines = append(lines, fmt.Sprintf("%d %d × %s at %s", r.Number, r.Quantity, r.Product, money(r.Price)))
	}
	return strings.Join(lines, "; ")
}

func (s *site) is(want string) {
	s.t.Helper()
	if got := s.order(); got != want {
		s.t.Errorf("the order is %q, want %q", got, want)
	}
}

// clerk is a user with a page.
type clerk struct{ *chromium.Page }

func (s *site) clerk(b *chromium.Browser, name string) clerk {
	s.t.Helper()
	c := clerk{b.User()}
	c.Go(s.url)
	c.fill("#name", name)
	c.press("form button")
	c.Wait("the order is there", `document.getElementById("order")`)
	return c
}

func (c clerk) fill(selector, value string) {
	c.Do(chromedp.SetValue(selector, value))
}

// press presses a button and waits for the page that comes.
func (c clerk) press(selector string) {
	chromium.Eval[bool](c.Page, `window.old = true`)
	c.Do(chromedp.Click(selector))
	c.Wait("the next page is there", `!window.old && document.readyState === "complete"`)
}

func (c clerk) add(product, quantity, price string) {
	c.fill(`#add input[name=product]`, product)
	c.fill(`#add input[name=quantity]`, quantity)
	c.fill(`#add input[name=price]`, price)
	c.press("#add button")
}

func (c clerk) set(line int, field, value string) {
	c.fill(fmt.Sprintf(`#line-%d input[name=%s]`, line, field), value)
	c.press(fmt.Sprintf(`#line-%d button`, line))
}

func (c clerk) sees(script string) { c.Wait("the page shows it", script) }

func TestEachTakesBackTheirOwn(t *testing.T) {
	s := serve(t)
	b := chromium.Start(t)
	ann, bob := s.clerk(b, "Ann"), s.clerk(b, "Bob")
	ann.add("Spade", "2", "19.90")
	ann.add("Rake", "1", "12.50")
	bob.sees(`document.querySelectorAll("#order tbody tr").length === 2`) // without a reload
	bob.set(1, "quantity", "5")
	s.is("1 5 × Spade at 19.90; 2 1 × Rake at 12.50")

	ann.press("#undo") // the rake; what Bob did stays
	s.is("1 5 × Spade at 19.90")
	ann.press("#undo") // the spade: but Bob has changed its quantity
	ann.sees(`document.getElementById("said").textContent === "Undo refused: Bob has changed that since (QuantitySet, version 3)."`)
	s.is("1 5 × Spade at 19.90")
	ann.Resize(1000, 800, "light")
	ann.Shoot("order-refused")

	bob.press("#undo")
	s.is("1 2 × Spade at 19.90")
	ann.press("#undo")
	s.is("")
	ann.press("#redo")
	ann.press("#redo")
	s.is("1 2 × Spade at 19.90; 2 1 × Rake at 12.50")
	bob.press("#redo")
	s.is("1 5 × Spade at 19.90; 2 1 × Rake at 12.50")
	bob.press("#redo")
	bob.sees(`document.getElementById("said").textContent.includes("nothing of yours")`)
}

func TestFieldsOfOneLineAreApart(t *testing.T) {
	s := serve(t)
	b := chromium.Start(t)
	ann, bob := s.clerk(b, "Ann"), s.clerk(b, "Bob")
	ann.add("Spade", "2", "19.90")
	bob.sees(`document.getElementById("line-1")`)
	bob.fill(`#line-1 input[name=price]`, "15") // typed, not saved
	ann.set(1, "quantity", "7")
	bob.sees(`document.getElementById("said").textContent.includes("Others have changed the order")`)
	bob.press("#line-1 button")
	s.is("1 7 × Spade at 15.00")
	ann.press("#undo") // the quantity, though Bob has set the price since
	s.is("1 2 × Spade at 15.00")
}

func TestRevertToAVersionIsAnActionLikeAnother(t *testing.T) {
	s := serve(t)
	b := chromium.Start(t)
	ann := s.clerk(b, "Ann")
	ann.add("Spade", "2", "19.90")
	ann.add("Rake", "1", "12.50")
	ann.set(1, "product", "Shovel")
	ann.press("#line-2 button[formaction]")
	s.is("1 2 × Shovel at 19.90")
	ann.press("#actions li:nth-child(3) button") // after the second action
	s.is("1 2 × Spade at 19.90; 2 1 × Rake at 12.50")
	ann.press("#undo")
	s.is("1 2 × Shovel at 19.90")
	for _, scheme := range []string{"light", "dark"} {
		ann.Resize(320, 700, scheme)
		if wide := chromium.Eval[int](ann.Page, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
			t.Errorf("the page is %d px wider than the screen", wide)
		}
		ann.Shoot("order-320-" + scheme)
	}
}

func TestBadInputIsRefusedInWords(t *testing.T) {
	s := serve(t)
	jar, _ := cookiejar.New(nil)
	c := &http.Client{Jar: jar}
	post := func(path string, form url.Values) (int, string) {
		t.Helper()
		r, err := c.PostForm(s.url+path, form)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, _ := io.ReadAll(r.Body)
		return r.StatusCode, string(body)
	}
	good := func() url.Values { return url.Values{"product": {"Spade"}, "quantity": {"1"}, "price": {"1"}} }
	if status, _ := post("/lines", good()); status != http.StatusForbidden {
		t.Errorf("a line of nobody's: %d", status)
	}
	if status, _ := post("/name", url.Values{"name": {"a\x00b"}}); status != http.StatusBadRequest {
		t.Errorf("a name with a NUL: %d", status)
	}
	post("/name", url.Values{"name": {"<i>Eve</i>"}})
	for _, bad := range []struct{ field, value, said string }{
		{"product", "", "A product is"}, {"product", "a\nb", "A product is"}, {"product", "\xff", "A product is"}, {"product", strings.Repeat("x", 101), "A product is"},
		{"quantity", "0", "A quantity is"}, {"quantity", "1.5", "A quantity is"}, {"quantity", "99999999999999999999", "A quantity is"},
		{"price", "-1", "A price is"}, {"price", "1.234", "A price is"}, {"price", "", "A price is"}, {"price", "1e9", "A price is"}, {"price", "999999999999", "A price is"},
	} {
		form := good()
		form.Set(bad.field, bad.value)
		if _, body := post("/lines", form); !strings.Contains(body, bad.said) {
			t.Errorf("%s %q is answered with %s", bad.field, bad.value, body)
		}
	}
	s.is("")
	form := good()
	form.Set("product", "<script>alert(1)</script>")
	if _, body := post("/lines", form); strings.Contains(body, "<script>alert") || strings.Contains(body, "<i>") || !strings.Contains(body, "&lt;script&gt;alert(1)") {
		t.Errorf("markup is shown as %s", body)
	}
	for path, said := range map[string]string{"/lines/9/remove": "Line 9 is gone", "/lines/x/remove": "A line has a number", "/revert?version=99": "There is no version 99", "/revert?version=x": "A version is a number"} {
		if _, body := post(path, nil); !strings.Contains(body, said) {
			t.Errorf("%s is answered with %s", path, body)
		}
	}
}
