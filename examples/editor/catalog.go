package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/undo"
)

// Catalog is the list of the texts. What is in them is none of its business:
// each is a stream of package collab.
type Catalog struct {
	annals.Entity
	Texts map[string]Entry // by the name that addresses have
}

// Entry is what the catalog knows about a text.
type Entry struct{ Title string }

type (
	TextAdded   struct{ Name, Title string }
	TextRenamed struct{ Name, Title string }
	TextRemoved struct{ Name string }
)

var catalogs = annals.NewModel("catalog",
	annals.Init(func(c *Catalog) { c.Texts = map[string]Entry{} }),
	annals.On(func(c *Catalog, e TextAdded) { c.Texts[e.Name] = Entry{e.Title} }),
	annals.On(func(c *Catalog, e TextRenamed) { c.Texts[e.Name] = Entry{e.Title} }),
	annals.On(func(c *Catalog, e TextRemoved) { delete(c.Texts, e.Name) }),
	undo.Handler[Catalog](),
)

// catalogUndo takes back adding, renaming and removing in the general way: a
// later change of the same entry by somebody else stands in the way.
var catalogUndo = undo.New(catalogs)

const theCatalog = "texts"

// named is an entry with its name.
type named struct{ Name, Title string }

func (e *editor) catalog(ctx context.Context) ([]named, error) {
	c, err := catalogs.Load(e.db.View(ctx), theCatalog)
	if errors.Is(err, annals.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []named
	for name, entry := range c.Texts {
		all = append(all, named{name, entry.Title})
	}
	slices.SortFunc(all, func(a, b named) int {
		return strings.Compare(strings.ToLower(a.Title)+"\x00"+a.Name, strings.ToLower(b.Title)+"\x00"+b.Name)
	})
	return all, nil
}

// title returns the title of a text, "" if there is none of that name.
func (e *editor) title(ctx context.Context, name string) (string, error) {
	c, err := catalogs.Load(e.db.View(ctx), theCatalog)
	if errors.Is(err, annals.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return c.Texts[name].Title, nil
}

// userError is told to the user as it is.
type userError string

func (e userError) Error() string { return string(e) }

func validTitle(title string) (string, error) {
	title = strings.TrimSpace(title)
	switch {
	case title == "":
		return "", userError("A text needs a title.")
	case utf8.RuneCountInString(title) > 200:
		return "", userError("A title has at most 200 characters.")
	case !utf8.ValidString(title) || strings.ContainsFunc(title, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", userError("A title is one line of text.")
	}
	return title, nil
}

// change records an event in the catalog, which comes to be with the first.
func (e *editor) change(ctx context.Context, event func(c *Catalog) (any, error)) error {
	fn := func(c *Catalog) error {
		ev, err := event(c)
		if err != nil {
			return err
		}
		return c.Record(ev)
	}
	_, err := catalogs.Update(ctx, e.db, theCatalog, fn)
	if errors.Is(err, annals.ErrNotFound) {
		_, err = catalogs.Add(ctx, e.db, theCatalog, fn)
	}
	return err
}

// undone says in the user's words why undo or redo was refused.
func undone(err error) error {
	var depends *undo.DependsError
	switch {
	case errors.As(err, &depends):
		return userError(fmt.Sprintf("%s refused: %s has changed that since (%s, version %d).",
			strings.ToUpper(depends.Operation[:1])+depends.Operation[1:], depends.Actor, depends.Type, depends.Version))
	case errors.Is(err, undo.ErrNothing), errors.Is(err, annals.ErrNotFound):
		return userError("There is nothing of yours to undo or redo in this list.")
	}
	return err
}
