package main

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/memstore"
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

// schemes open the kinds of store that this build has, by URL scheme.
var schemes = map[string]func(ctx context.Context, a *app, url string, o opening) (driver.Log, error){
	"file":       openFile,
	"sqlite":     openSQLite,
	"nats":       openNATS,
	"postgres":   openPostgres,
	"postgresql": openPostgres,
	"mem": func(_ context.Context, _ *app, _ string, o opening) (driver.Log, error) {
		return memstore.New(&memstore.Options{LogID: o.logID}), nil
	},
}

const knownSchemes = "file:PATH, mem:, sqlite:PATH, postgres://… and nats://…"

// storeURL returns the URL of the store: flag, environment, file, default.
func (a *app) storeURL() string {
	return first(a.storeFlag, os.Getenv("ANNALS_STORE"), a.config.Store, defaultStore)
}

// open opens the store.
func (a *app) open(want access) (driver.Log, error) {
	return a.openURL(a.ctx, a.storeURL(), opening{want: want})
}

func (a *app) openURL(ctx context.Context, url string, o opening) (driver.Log, error) {
	scheme, _, ok := strings.Cut(url, ":")
	if !ok {
		return nil, usagef("store %q is not a URL; this build knows %s (did you mean file:%s?)", url, knownSchemes, url)
	}
	open, ok := schemes[scheme]
	if !ok {
		return nil, usagef("store %q: stores of kind %q are not in this build, which knows %s", redact(url), scheme, knownSchemes)
	}
	return open(ctx, a, url, o)
}

// redact takes what is secret out of a URL, so that it can be shown.
func redact(text string) string {
	before, after, ok := strings.Cut(text, "://")
	if !ok {
		return text
	}
	address, query, asked := strings.Cut(after, "?")
	if at := strings.LastIndex(address, "@"); at >= 0 {
		address = "…" + address[at:]
	}
	if !asked {
		return before + "://" + address
	}
	parts := strings.Split(query, "&")
	for i, p := range parts {
		if name, value, _ := strings.Cut(p, "="); strings.Contains(strings.ToLower(name), "password") || strings.Contains(value, "@") || strings.Contains(value, "%40") {
			parts[i] = name + "=…"
		}
	}
	return before + "://" + address + "?" + strings.Join(parts, "&")
}

// directory returns the directory of a file store, an error for any other.
func directory(url, command string) (string, error) {
	path, ok := strings.CutPrefix(url, "file:")
	if !ok || path == "" {
		return "", usagef("%s needs a store of the form file:PATH, not %q", command, redact(url))
	}
	return path, nil
}

func openFile(_ context.Context, a *app, url string, o opening) (driver.Log, error) {
	path := strings.TrimPrefix(url, "file:")
	if path == "" {
		return nil, usagef("store %q names no directory; write file:PATH", "file:")
	}
	if st, err := os.Stat(path); err == nil && !st.IsDir() {
		return nil, fmt.Errorf("open %s: %w: it is a file, and a store is a directory", path, filestore.ErrNotStore)
	}
	log, err := filestore.Open(path, &filestore.Options{ReadOnly: o.want == toRead, LogID: o.logID, Logger: a.logger()})
	if err != nil && is(fs.ErrNotExist)(err) && o.want == toRead {
		return nil, fmt.Errorf("%w at %s; append, import and demo make one", err, path)
	}
	if err != nil {
		return nil, err
	}
	return log, nil
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
