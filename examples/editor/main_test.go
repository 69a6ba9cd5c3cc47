package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/annals-db/annals/internal/chromium"
)

// The test binary is also the program, so that a test can kill it.
func TestMain(m *testing.M) {
	if os.Getenv("EDITOR_AS_PROGRAM") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// site is the program, running on a store of its own.
type site struct {
	t       testing.TB
	store   string
	url     string // http://host:port
	args    []string
	program *exec.Cmd
}

func serve(t testing.TB, args ...string) *site {
	t.Helper()
	s := &site{t: t, store: t.TempDir() + "/store", args: args}
	s.start("localhost:0")
	t.Cleanup(s.kill)
	return s
}

func (s *site) start(listen string) {
	s.t.Helper()
	s.program = exec.Command(os.Args[0], append([]string{"-store", "file:" + s.store, "-listen", listen}, s.args...)...)
	s.program.Env = append(os.Environ(), "EDITOR_AS_PROGRAM=1")
	s.program.Stderr = os.Stderr
	out, err := s.program.StdoutPipe()
	if err == nil {
		err = s.program.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.t.Fatalf("the program does not say where it serves: %v", err)
	}
	s.url = strings.TrimSpace(line)
}

// kill ends the program as a power cut would, restart starts it again at the same address.
func (s *site) kill() {
	_ = s.program.Process.Kill()
	_ = s.program.Wait()
}

func (s *site) restart() {
	s.t.Helper()
	s.start(strings.TrimPrefix(s.url, "http://"))
}

// user is somebody who speaks HTTP to the site.
type user struct {
	*http.Client
	s *site
}

func (s *site) user(name string) user {
	s.t.Helper()
	jar, _ := cookiejar.New(nil)
	u := user{&http.Client{Jar: jar, Timeout: time.Minute}, s}
	if name != "" {
		u.post("/name", url.Values{"name": {name}})
	}
	return u
}

// post sends a form and returns what comes of it, and where.
func (u user) post(path string, form url.Values) (body, where string) {
	u.s.t.Helper()
	r, err := u.PostForm(u.s.url+path, form)
	if err != nil {
		u.s.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		u.s.t.Fatal(err)
	}
	return string(b), r.Request.URL.Path
}

func (u user) get(path string) (int, string) {
	u.s.t.Helper()
	r, err := u.Get(u.s.url + path)
	if err != nil {
		u.s.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		u.s.t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// text makes a new text and returns its path.
func (s *site) text(title string) string {
	s.t.Helper()
	_, where := s.user("maker").post("/texts", url.Values{"title": {title}})
	if !strings.HasPrefix(where, "/texts/") {
		s.t.Fatalf("the new text is at %s", where)
	}
	return where
}

// writer is a user with a page of a text.
type writer struct {
	*chromium.Page
	s *site
}

func (s *site) writer(b *chromium.Browser, name, path string) writer {
	s.t.Helper()
	w := writer{b.User(), s}
	w.Go(s.url + "/")
	chromium.Eval[bool](w.Page, fmt.Sprintf(`fetch("/name", {method: "POST", body: new URLSearchParams({name: %s})}).then(r => r.ok)`, chromium.Quote(name)))
	w.open(path)
	return w
}

func (w writer) open(path string) {
	w.s.t.Helper()
	w.Go(w.s.url + path)
	w.Wait("the text is there", `document.getElementById("text")?.disabled === false && document.getElementById("status").dataset.status === "online"`)
}

// together waits until all pages have sent everything and are at one version,
// and returns the text they all have.
func together(t testing.TB, writers ...writer) string {
	t.Helper()
	type state struct {
		Pending, Version, Text, Status, Said string
	}
	deadline := time.Now().Add(chromium.Patience)
	for {
		var all []state
		same := true
		for _, w := range writers {
			st := chromium.Eval[state](w.Page, `({Pending: document.body.dataset.pending, Version: document.body.dataset.version,
				Text: document.getElementById("text").value, Status: document.getElementById("status").dataset.status, Said: document.getElementById("status").textContent})`)
			same = same && st.Pending == "0" && st.Status == "online" && (len(all) == 0 || all[0].Version == st.Version)
			all = append(all, st)
		}
		if same {
			for _, st := range all {
				if st.Text != all[0].Text {
					t.Fatalf("at version %s the pages have %q and %q", st.Version, all[0].Text, st.Text)
				}
			}
			return all[0].Text
		}
		if time.Now().After(deadline) {
			t.Fatalf("the pages do not come together: %+v", all)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
