// Package chromium gives tests pages in a real Chromium, by chromedp. Start with
// [Start]; each user of a test is a [Browser.User], with cookies of its own.
package chromium

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// T is what this package needs of a test.
type T interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Logf(format string, args ...any)
	Cleanup(func())
	Context() context.Context
	TempDir() string
}

// Patience is how long a page may take for what a test waits for. It is far
// more than it takes on a quiet machine.
const Patience = 60 * time.Second

// Browser is a running Chromium.
type Browser struct {
	t   T
	ctx context.Context
}

// Start runs a Chromium for a test, with a new profile. A test fails where there
// is none.
func Start(t T) *Browser {
	t.Helper()
	path := os.Getenv("ANNALS_CHROMIUM")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil && path == "" {
			path = found
		}
	}
	if path == "" {
		t.Fatal("the tests of pages need Chromium: install the package chromium, or name the program in ANNALS_CHROMIUM")
	}
	opts := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.WSURLReadTimeout(Patience),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-background-timer-throttling", true), chromedp.Flag("disable-renderer-backgrounding", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true), chromedp.Flag("disable-dev-shm-usage", true),
	}
	allocator, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), opts...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx)
		cancel()
		stop()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return &Browser{t, ctx}
}

// Page is a page in the browser, with what went wrong in it.
type Page struct {
	t   T
	ctx context.Context

	mu     sync.Mutex
	errors []string
}

// User opens a blank page of a user with cookies and storage of its own.
// What its scripts fail with fails the test.
func (b *Browser) User() *Page {
	b.t.Helper()
	return b.open(b.ctx, chromedp.WithNewBrowserContext())
}

// Tab opens another page of p's user.
func (p *Page) Tab() *Page {
	p.t.Helper()
	return (&Browser{p.t, p.ctx}).open(p.ctx)
}

func (b *Browser) open(parent context.Context, opts ...chromedp.ContextOption) *Page {
	b.t.Helper()
	p := &Page{t: b.t}
	ctx, cancel := chromedp.NewContext(parent, append(opts, chromedp.WithListener(p.heard))...)
	p.ctx = ctx
	b.t.Cleanup(func() {
		cancel()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, e := range p.errors {
			b.t.Errorf("script: %s", e)
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		b.t.Fatalf("open a page: %v", err)
	}
	return p
}

// heard takes in what happens in the page by itself.
func (p *Page) heard(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		what := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			what += " " + e.ExceptionDetails.Exception.Description
		}
		p.note(what)
	case *page.EventJavascriptDialogOpening: // such as: leave this page?
		go func() {
			_, _ = chromedp.Call(p.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
		}()
	}
}

func (p *Page) note(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errors = append(p.errors, what)
}

// Do runs actions, within Patience.
func (p *Page) Do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatalf("in the page: %v", err)
	}
}

// Go goes to an address.
func (p *Page) Go(url string) {
	p.t.Helper()
	p.Do(chromedp.Navigate(url))
}

// Eval runs JavaScript in a page, waits for its promise if it gives one, and
// returns what comes.
func Eval[R any](p *Page, script string) R {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	r, err := chromedp.Run(ctx, chromedp.Evaluate[R](script, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("in the page: %v\n%s", err, script[:min(len(script), 300)])
	}
	return r
}

// Wait waits until JavaScript gives true.
func (p *Page) Wait(what, script string) {
	p.t.Helper()
	for deadline := time.Now().Add(Patience); ; time.Sleep(20 * time.Millisecond) {
		if Eval[bool](p, "Boolean("+script+")") {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("it does not come about that %s; the page shows %q", what, Eval[string](p, `document.body.innerText.slice(0, 2000)`))
		}
	}
}

// Resize makes the page so many CSS pixels wide and high, in a colour scheme.
func (p *Page) Resize(width, height int64, scheme string) {
	p.t.Helper()
	p.Do(chromedp.EmulateViewport(width, height))
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, media); err != nil {
		p.t.Fatal(err)
	}
}

// Shoot saves a picture of the page in the folder that ANNALS_SCREENSHOTS names,
// if it names one.
func (p *Page) Shoot(name string) {
	p.t.Helper()
	dir := os.Getenv("ANNALS_SCREENSHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// Quote returns s as a JavaScript string.
func Quote(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(quoted)
}
