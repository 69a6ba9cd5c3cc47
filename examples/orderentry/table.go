package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/undo"
)

//go:embed static
var static embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"money": money,
	"last":  func(versions []uint64) uint64 { return versions[len(versions)-1] },
}).ParseFS(static, "static/*/*.tmpl"))

// theOrder is the one order that there is.
const theOrder = "1"

// table serves the order.
type table struct{ db *annals.DB }

// userError is told to the user as it is.
type userError string

func (e userError) Error() string { return string(e) }

func (t *table) handler() http.Handler {
	files, err := fs.Sub(static, "static")
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /static/", http.StripPrefix("/static/", http.FileServerFS(files)))
	mux.HandleFunc("GET /{$}", t.show)
	mux.HandleFunc("GET /changed", t.changed)
	mux.HandleFunc("POST /name", t.setName)
	mux.HandleFunc("POST /lines", t.act(t.add))
	mux.HandleFunc("POST /lines/{line}", t.act(t.edit))
	mux.HandleFunc("POST /lines/{line}/remove", t.act(t.remove))
	mux.HandleFunc("POST /undo", t.act(t.undo))
	mux.HandleFunc("POST /redo", t.act(t.redo))
	mux.HandleFunc("POST /revert", t.act(t.revert))
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
	return http.NewCrossOriginProtection().Handler(guarded)
}

// act answers a form: it does something as the user, and shows the order again
// with what there is to say about it.
func (t *table) act(do func(ctx context.Context, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user := userOf(r)
		if user == "" {
			http.Error(w, "Say who you are first.", http.StatusForbidden)
			return
		}
		err := do(annals.WithActor(r.Context(), user), r)
		var said userError
		switch {
		case err == nil:
			http.Redirect(w, r, "/", http.StatusSeeOther)
		case errors.As(err, &said):
			http.Redirect(w, r, "/?"+url.Values{"said": {string(said)}}.Encode(), http.StatusSeeOther)
		default:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}
}

// change changes the order, which comes to be with its first line.
func (t *table) change(ctx context.Context, fn func(o *Order) error) error {
	_, err := orders.Update(ctx, t.db, theOrder, fn)
	if errors.Is(err, annals.ErrNotFound) {
		_, err = orders.Add(ctx, t.db, theOrder, fn)
	}
	return err
}

func (t *table) add(ctx context.Context, r *http.Request) error {
	l, err := lineOf(r, "")
	if err != nil {
		return err
	}
	return t.change(ctx, func(o *Order) error {
		return o.Record(LineAdded{o.Last + 1, l.Product, l.Quantity, l.Price})
	})
}

func (t *table) edit(ctx context.Context, r *http.Request) error {
	number, errNumber := number(r)
	made, errMade := lineOf(r, "")
	seen, errSeen := lineOf(r, "seen-")
	if err := errors.Join(errNumber, errSeen); err != nil {
		return err
	}
	if errMade != nil {
		return errMade
	}
	return t.change(ctx, func(o *Order) error { return o.edit(number, seen, made) })
}

func (t *table) remove(ctx context.Context, r *http.Request) error {
	n, err := number(r)
	if err != nil {
		return err
	}
	return t.change(ctx, func(o *Order) error {
		if _, there := o.Lines[n]; !there {
			return userError(fmt.Sprintf("Line %d is gone.", n))
		}
		return o.Record(LineRemoved{n})
	})
}

func (t *table) undo(ctx context.Context, _ *http.Request) error {
	_, err := orderUndo.Undo(ctx, t.db, theOrder)
	return inTheWay(err)
}

func (t *table) redo(ctx context.Context, _ *http.Request) error {
	_, err := orderUndo.Redo(ctx, t.db, theOrder)
	return inTheWay(err)
}

func (t *table) revert(ctx context.Context, r *http.Request) error {
	version, err := strconv.ParseUint(r.FormValue("version"), 10, 64)
	if err != nil {
		return userError("A version is a number.")
	}
	_, err = orderUndo.Revert(ctx, t.db, theOrder, version)
	if errors.Is(err, annals.ErrNotFound) {
		return userError(fmt.Sprintf("There is no version %d.", version))
	}
	return err
}

// inTheWay says why undo or redo was refused.
func inTheWay(err error) error {
	var depends *undo.DependsError
	switch {
	case errors.As(err, &depends):
		what := strings.ToUpper(depends.Operation[:1]) + depends.Operation[1:]
		return userError(fmt.Sprintf("%s refused: %s has changed that since (%s, version %d).", what, depends.Actor, depends.Type, depends.Version))
	case errors.Is(err, undo.ErrNothing), errors.Is(err, annals.ErrNotFound):
		return userError("There is nothing of yours to take back or to bring back.")
	}
	return err
}

// show shows the order and what was done to it, the last first.
func (t *table) show(w http.ResponseWriter, r *http.Request) {
	view := t.db.View(r.Context())
	data := map[string]any{"User": userOf(r), "Said": r.FormValue("said"), "Version": uint64(0)}
	position, err := view.Position()
	if err == nil {
		data["Position"] = position
		var o *Order
		if o, err = orders.Load(view, theOrder); err == nil {
			data["Rows"], data["Total"] = o.rows()
			data["Version"] = o.Version()
			var actions []undo.Action
			if actions, err = orderUndo.Actions(r.Context(), t.db, theOrder); err == nil {
				slices.Reverse(actions)
				data["Actions"] = actions[:min(len(actions), 50)]
			}
		}
	}
	var page bytes.Buffer
	if err == nil || errors.Is(err, annals.ErrNotFound) {
		err = pages.ExecuteTemplate(&page, "order.tmpl", data)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = page.WriteTo(w)
}

// changed answers as soon as something lies after a position, or after a while.
func (t *table) changed(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseUint(r.FormValue("after"), 10, 64)
	if err != nil {
		http.Error(w, "after is a position", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 25*time.Second)
	defer cancel()
	if _, err := t.db.Log().Wait(ctx, annals.Position(after)); err != nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func number(r *http.Request) (int, error) {
	n, err := strconv.Atoi(r.PathValue("line"))
	if err != nil {
		return 0, userError("A line has a number.")
	}
	return n, nil
}

// lineOf reads a line from a form, whose fields' names begin with prefix.
func lineOf(r *http.Request, prefix string) (Line, error) {
	product := strings.TrimSpace(r.FormValue(prefix + "product"))
	quantity, errQuantity := strconv.Atoi(r.FormValue(prefix + "quantity"))
	price, errPrice := cents(r.FormValue(prefix + "price"))
	switch {
	case !validText(product, 100):
		return Line{}, userError("A product is 1 to 100 characters on one line.")
	case errQuantity != nil || quantity < 1 || quantity > 1_000_000:
		return Line{}, userError("A quantity is a whole number from 1 to 1,000,000.")
	case errPrice != nil:
		return Line{}, errPrice
	}
	return Line{product, quantity, price}, nil
}

func validText(s string, most int) bool {
	return s != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, unicode.IsControl)
}

// cents reads an amount such as 12.5, and money writes it.
func cents(s string) (int64, error) {
	whole, part, _ := strings.Cut(strings.TrimSpace(s), ".")
	n, err := strconv.ParseUint(whole+(part + "00")[:2], 10, 32)
	if err != nil || len(part) > 2 || whole == "" {
		return 0, userError("A price is an amount such as 12.50, up to 40 million.")
	}
	return int64(n), nil
}

func money(cents int64) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }

// userOf returns the name that the user has given, "" if none.
func userOf(r *http.Request) string {
	c, err := r.Cookie("name")
	if err != nil {
		return ""
	}
	name, err := url.QueryUnescape(c.Value)
	if err != nil || !validText(name, 40) {
		return ""
	}
	return name
}

// setName keeps who the user says to be. Nothing vouches for it: this is an example.
func (t *table) setName(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimSpace(r.FormValue("name"))
	if !validText(name, 40) {
		http.Error(w, "A name is 1 to 40 characters on one line.", http.StatusBadRequest)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "name", Value: url.QueryEscape(name), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
