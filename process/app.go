package process

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/annals-db/annals"
)

// App is an application: a log, and what is done in it upon the events of the
// logs it follows. Make it with [New] or [Remote].
type App struct {
	name     string
	db       *annals.DB             // nil for a remote one
	log      annals.NotificationLog // what others follow
	handlers map[reflect.Type]Handler
}

// New returns the application of a name, which is unique in its system and part
// of what is kept. Its log is db's; several applications may share one. It
// panics, at the start of the program, on a second handler for a type and on a
// name that is empty or has a slash.
func New(name string, db *annals.DB, handlers ...Handler) *App {
	checkName(name)
	a := &App{name: name, db: db, log: db, handlers: map[reflect.Type]Handler{}}
	for _, h := range handlers {
		if _, twice := a.handlers[h.typ]; twice {
			panic(fmt.Sprintf("process: application %q handles %s twice", name, h.typ))
		}
		a.handlers[h.typ] = h
	}
	return a
}

// Remote returns an application that runs elsewhere and is only followed,
// through its notification log.
func Remote(name string, log annals.NotificationLog) *App {
	checkName(name)
	return &App{name: name, log: log}
}

func checkName(name string) {
	if name == "" || strings.ContainsAny(name, "/\x00") {
		panic(fmt.Sprintf("process: application name %q: it must not be empty nor have a slash", name))
	}
}

// Name returns the application's name.
func (a *App) Name() string { return a.name }

// DB returns the handle to the application's log, nil for a remote one.
func (a *App) DB() *annals.DB { return a.db }

// query selects the events that the application handles.
func (a *App) query() (annals.Query, error) {
	var types []string
	for _, h := range a.handlers {
		names, err := h.names()
		if err != nil {
			return annals.Query{}, fmt.Errorf("application %q: %w", a.name, err)
		}
		types = append(types, names...)
	}
	return annals.Match(annals.QueryItem{Types: types}), nil
}
