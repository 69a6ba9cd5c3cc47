package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/collab"
)

//go:embed static
var static embed.FS

var pages = template.Must(template.ParseFS(static, "static/*/*.tmpl"))

// editor is the site: its texts and the list of them.
type editor struct {
	db     *annals.DB
	texts  *collab.Documents
	logger *slog.Logger
}

func newEditor(ctx context.Context, db *annals.DB, most int, logger *slog.Logger) (*editor, error) {
	texts, err := collab.New(ctx, db, &collab.Options{Logger: logger, MaxLength: most})
	if err != nil {
		return nil, err
	}
	return &editor{db, texts, logger}, nil
}

func (e *editor) handler() http.Handler {
	files, err := fs.Sub(static, "static")
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /static/", http.StripPrefix("/static/", http.FileServerFS(files)))
	mux.HandleFunc("GET /{$}", e.page(e.listTexts))
	mux.HandleFunc("POST /name", e.page(e.setName))
	mux.HandleFunc("POST /texts", e.page(e.addText))
	mux.HandleFunc("POST /undo", e.page(e.undoList))
	mux.HandleFunc("POST /redo", e.page(e.redoList))
	mux.HandleFunc("POST /texts/{name}/rename", e.page(e.renameText))
	mux.HandleFunc("POST /texts/{name}/remove", e.page(e.removeText))
	mux.HandleFunc("GET /texts/{name}", e.page(e.editText))
	mux.HandleFunc("GET /texts/{name}/history", e.page(e.showHistory))
	mux.HandleFunc("POST /texts/{name}/restore", e.page(e.restoreText))
	mux.HandleFunc("GET /texts/{name}/groups", e.page(e.groups))
	mux.HandleFunc("GET /texts/{name}/versions/{version}", e.page(e.version))
	mux.HandleFunc("GET /texts/{name}/connect", e.page(e.connect))
	return http.NewCrossOriginProtection().Handler(guarded(mux))
}

// guarded has browsers load nothing but what the site itself serves.
func guarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "same-origin")
		h.ServeHTTP(w, r)
	})
}

// statusError is an error with the status it is answered with.
type statusError struct {
	status int
	text   string
}

func (e statusError) Error() string { return e.text }

var errNoText = statusError{http.StatusNotFound, "There is no such text."}

// page answers with what fn returns as an error.
func (e *editor) page(fn func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := fn(w, r)
		var status statusError
		var user userError
		switch {
		case err == nil:
		case errors.As(err, &user) && r.Method == http.MethodPost:
			http.Redirect(w, r, "/?"+url.Values{"said": {user.Error()}}.Encode(), http.StatusSeeOther)
		case errors.As(err, &status):
			http.Error(w, status.text, status.status)
		case r.Context().Err() != nil:
		default:
			e.logger.Error("request failed", "path", r.URL.Path, "error", err)
			http.Error(w, "Something went wrong. It is in the server's log.", http.StatusInternalServerError)
		}
	}
}

// render answers with a page.
func render(w http.ResponseWriter, name string, data any) error {
	var page bytes.Buffer
	if err := pages.ExecuteTemplate(&page, name, data); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, err := page.WriteTo(w)
	return err
}

// userOf returns the name that the user has given, "" if none.
func userOf(r *http.Request) string {
	c, err := r.Cookie("name")
	if err != nil {
		return ""
	}
	name, err := url.QueryUnescape(c.Value)
	if err != nil || !validUser(name) {
		return ""
	}
	return name
}

// acting returns the request's context with the user as the actor.
func acting(r *http.Request) (context.Context, error) {
	user := userOf(r)
	if user == "" {
		return nil, userError("Say who you are first.")
	}
	return annals.WithActor(r.Context(), user), nil
}
