package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"unicode/utf16"

	"github.com/annals-db/annals/collab"
	"github.com/annals-db/annals/driver"
)

// open returns the text that a request is about.
func (e *editor) open(r *http.Request) (*collab.Document, string, error) {
	title, err := e.title(r.Context(), r.PathValue("name"))
	if err != nil {
		return nil, "", err
	}
	if title == "" {
		return nil, "", errNoText
	}
	doc, err := e.texts.Open(r.Context(), r.PathValue("name"))
	return doc, title, err
}

func (e *editor) editText(w http.ResponseWriter, r *http.Request) error {
	return e.showText(w, r, "editor.tmpl")
}

func (e *editor) showHistory(w http.ResponseWriter, r *http.Request) error {
	return e.showText(w, r, "history.tmpl")
}

func (e *editor) showText(w http.ResponseWriter, r *http.Request, page string) error {
	doc, title, err := e.open(r)
	if err != nil {
		return err
	}
	defer doc.Close()
	user := userOf(r)
	if user == "" { // who was sent the address comes back to it
		http.Redirect(w, r, "/?"+url.Values{"to": {r.URL.Path}}.Encode(), http.StatusSeeOther)
		return nil
	}
	return render(w, page, map[string]any{"User": user, "Name": doc.Name(), "Title": title})
}

// connect serves the WebSocket of the page.
func (e *editor) connect(w http.ResponseWriter, r *http.Request) error {
	user := userOf(r)
	if user == "" {
		return statusError{http.StatusForbidden, "Say who you are first."}
	}
	title, err := e.title(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	if title == "" {
		return errNoText
	}
	e.texts.ServeEditor(w, r, r.PathValue("name"), user)
	return nil
}

// restoreText makes the text that of an earlier version again.
func (e *editor) restoreText(w http.ResponseWriter, r *http.Request) error {
	ctx, err := acting(r)
	if err != nil {
		return err
	}
	doc, _, err := e.open(r)
	if err != nil {
		return err
	}
	defer doc.Close()
	version, err := strconv.ParseUint(r.FormValue("version"), 10, 64)
	if err != nil {
		return statusError{http.StatusBadRequest, "A version is a number."}
	}
	if _, err := doc.Restore(ctx, userOf(r), version); err != nil {
		return noVersion(err)
	}
	http.Redirect(w, r, "/texts/"+doc.Name(), http.StatusSeeOther)
	return nil
}

// group is a part of the history as the page shows it.
type group struct {
	Author   string      `json:"author"`
	First    uint64      `json:"first"`
	Last     uint64      `json:"last"`
	Begin    int64       `json:"begin"` // ms since 1970
	End      int64       `json:"end"`
	Inserted int         `json:"inserted"`
	Deleted  int         `json:"deleted"`
	Kind     collab.Kind `json:"kind"`
}

func (e *editor) groups(w http.ResponseWriter, r *http.Request) error {
	doc, _, err := e.open(r)
	if err != nil {
		return err
	}
	defer doc.Close()
	all := []group{}
	for g, err := range doc.History(r.Context()) {
		if err != nil {
			return err
		}
		all = append(all, group{g.Author, g.First, g.Last, g.Begin.UnixMilli(), g.End.UnixMilli(), g.Inserted, g.Deleted, g.Kind})
	}
	return answer(w, all)
}

// part is a piece of a version that one author wrote in one go.
type part struct {
	Text    string `json:"text"`
	Author  string `json:"author"`
	Version uint64 `json:"version"`
	Time    int64  `json:"time"`
}

func (e *editor) version(w http.ResponseWriter, r *http.Request) error {
	doc, _, err := e.open(r)
	if err != nil {
		return err
	}
	defer doc.Close()
	version, err := strconv.ParseUint(r.PathValue("version"), 10, 64)
	if err != nil {
		return statusError{http.StatusBadRequest, "A version is a number."}
	}
	past, err := doc.At(r.Context(), version)
	if err != nil {
		return noVersion(err)
	}
	parts := []part{}
	rest := []rune(past.Text)
	for _, s := range past.Spans {
		parts = append(parts, part{string(rest[:s.Length]), s.Author, s.Version, s.Time.UnixMilli()})
		rest = rest[s.Length:]
	}
	when := int64(0)
	if !past.Time.IsZero() {
		when = past.Time.UnixMilli()
	}
	return answer(w, map[string]any{"version": past.Version, "time": when, "parts": parts, "length": len(utf16.Encode([]rune(past.Text)))})
}

func noVersion(err error) error {
	if errors.Is(err, driver.ErrNotFound) {
		return statusError{http.StatusNotFound, "There is no such version."}
	}
	return err
}

func answer(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(v)
}
