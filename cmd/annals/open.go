package main

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/stores"
)

// access is what a command wants of a store.
type access int

const (
	toRead  access = iota // it must exist; others may write it meanwhile
	toWrite               // it is made if need be
)

const defaultStore = "file:annals.db"

// opening is how a store is opened.
type opening struct {
	want   access
	logID  driver.ID  // of the log where the store is made; zero for a random one
	source driver.Log // what is to be copied to the store; nil for nothing
}

// storeURL returns the URL of the store: flag, environment, file, default.
func (a *app) storeURL() string {
	return first(a.storeFlag, os.Getenv("ANNALS_STORE"), a.config.Store, defaultStore)
}

// open opens the store.
func (a *app) open(want access) (driver.Log, error) {
	return a.openURL(a.ctx, a.storeURL(), opening{want: want})
}

func (a *app) openURL(ctx context.Context, url string, o opening) (driver.Log, error) {
	opts := &stores.Options{ReadOnly: o.want == toRead, LogID: o.logID, Source: o.source, Logger: a.logger()}
	if o.source != nil {
		var bar *progress
		opts.Progress = func(done, total driver.Position) {
			if bar == nil {
				bar = a.progress("copying to "+redact(url), "events", -1)
			}
			bar.set(int64(done), int64(total))
		}
		defer func() {
			if bar != nil {
				bar.finish()
			}
		}()
	}
	log, err := stores.Open(ctx, url, opts)
	switch {
	case as[*stores.URLError](err):
		return nil, usage(err)
	case o.want == toRead && is(fs.ErrNotExist, driver.ErrNotFound)(err):
		return nil, notFound{fmt.Errorf("%w; append, import and demo make a log", err)}
	}
	return log, err
}

// notFound is an error of what is not there.
type notFound struct{ error }

func (e notFound) Unwrap() []error { return []error{e.error, driver.ErrNotFound} }

// redact takes what is secret out of a URL, so that it can be shown.
func redact(url string) string { return stores.Redact(url) }

// directory returns the directory of a file store, an error for any other.
func directory(url, command string) (string, error) {
	path, ok := strings.CutPrefix(url, "file:")
	if !ok || path == "" {
		return "", usagef("%s needs a store of the form file:PATH or sqlite:PATH, not %q", command, redact(url))
	}
	return path, nil
}

// logger shows what a store has to say beside its answers.
func (a *app) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{
		Level: slog.LevelWarn,
		ReplaceAttr: func(_ []string, attr slog.Attr) slog.Attr {
			if attr.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return attr
		},
	}))
}
