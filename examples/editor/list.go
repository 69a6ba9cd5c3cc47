package main

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/annals-db/annals"
)

func (e *editor) listTexts(w http.ResponseWriter, r *http.Request) error {
	texts, err := e.catalog(r.Context())
	if err != nil {
		return err
	}
	return render(w, "documents.tmpl", map[string]any{"User": userOf(r), "Texts": texts, "Said": r.FormValue("said"), "To": r.FormValue("to")})
}

func validUser(name string) bool {
	return name != "" && len(name) <= 60 && utf8.ValidString(name) && strings.TrimSpace(name) == name && !strings.ContainsFunc(name, unicode.IsControl)
}

// setName keeps who the user says to be. Nothing vouches for it: this is an example.
func (e *editor) setName(w http.ResponseWriter, r *http.Request) error {
	name := strings.TrimSpace(r.FormValue("name"))
	if !validUser(name) {
		return userError("A name is 1 to 60 bytes of text on one line.")
	}
	http.SetCookie(w, &http.Cookie{Name: "name", Value: url.QueryEscape(name), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: 365 * 24 * 3600})
	if to := r.FormValue("to"); strings.HasPrefix(to, "/texts/") {
		http.Redirect(w, r, (&url.URL{Path: to}).String(), http.StatusSeeOther)
		return nil
	}
	return home(w, r)
}

func home(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

func (e *editor) addText(w http.ResponseWriter, r *http.Request) error {
	ctx, err := acting(r)
	if err != nil {
		return err
	}
	title, err := validTitle(r.FormValue("title"))
	if err != nil {
		return err
	}
	name := annals.NewID().String()
	if err := e.change(ctx, func(*Catalog) (any, error) { return TextAdded{name, title}, nil }); err != nil {
		return err
	}
	http.Redirect(w, r, "/texts/"+name, http.StatusSeeOther)
	return nil
}

func (e *editor) renameText(w http.ResponseWriter, r *http.Request) error {
	title, err := validTitle(r.FormValue("title"))
	if err != nil {
		return err
	}
	return e.changeText(w, r, func(name string) any { return TextRenamed{name, title} })
}

func (e *editor) removeText(w http.ResponseWriter, r *http.Request) error {
	return e.changeText(w, r, func(name string) any { return TextRemoved{name} })
}

func (e *editor) changeText(w http.ResponseWriter, r *http.Request, event func(name string) any) error {
	ctx, err := acting(r)
	if err != nil {
		return err
	}
	name := r.PathValue("name")
	err = e.change(ctx, func(c *Catalog) (any, error) {
		if _, there := c.Texts[name]; !there {
			return nil, errNoText
		}
		return event(name), nil
	})
	if err != nil {
		return err
	}
	return home(w, r)
}

func (e *editor) undoList(w http.ResponseWriter, r *http.Request) error {
	ctx, err := acting(r)
	if err != nil {
		return err
	}
	if _, err := catalogUndo.Undo(ctx, e.db, theCatalog); err != nil {
		return undone(err)
	}
	return home(w, r)
}

func (e *editor) redoList(w http.ResponseWriter, r *http.Request) error {
	ctx, err := acting(r)
	if err != nil {
		return err
	}
	if _, err := catalogUndo.Redo(ctx, e.db, theCatalog); err != nil {
		return undone(err)
	}
	return home(w, r)
}
