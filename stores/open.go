package stores

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/pgstore"
	"github.com/annals-db/annals/sqlitestore"
)

// Known says which URLs there are.
const Known = "file:PATH, mem:, sqlite:PATH, postgres://… and nats://…"

// Options are the options of [Open].
type Options struct {
	// ReadOnly opens a store that is there, to read it while others may write.
	// Defaults to false: it is made if need be.
	ReadOnly bool
	// LogID is the ID of the log where the store is made. Defaults to a random one.
	LogID driver.ID
	// Logger is told what the store has to say beside its answers. Defaults to silence.
	Logger *slog.Logger
	// Source is a log that is to be copied to the store: a new cluster is seeded
	// with it. What is not copied by opening is left to package move. Defaults to none.
	Source driver.Log
	// Progress is told how far Source is copied. Defaults to nil.
	Progress func(done, total driver.Position)
}

// URLError says what is wrong with a URL, whatever the store.
type URLError struct {
	URL    string // without what is secret in it
	Reason string
}

func (e *URLError) Error() string { return fmt.Sprintf("store %q: %s", e.URL, e.Reason) }

func wrong(url, format string, args ...any) error {
	return &URLError{Redact(url), fmt.Sprintf(format, args...)}
}

var schemes = map[string]func(ctx context.Context, url string, o Options) (driver.Log, error){
	"file":       openFile,
	"sqlite":     openSQLite,
	"nats":       openNATS,
	"postgres":   openPostgres,
	"postgresql": openPostgres,
	"mem": func(_ context.Context, _ string, o Options) (driver.Log, error) {
		return memstore.New(&memstore.Options{LogID: o.LogID}), nil
	},
}

// IsURL reports whether text begins like the URL of a store.
func IsURL(text string) bool {
	scheme, _, ok := strings.Cut(text, ":")
	return ok && schemes[scheme] != nil
}

// Open opens the store that a URL names. A URL that names none is a
// *[URLError]; a store that is not there and is to be read wraps
// [driver.ErrNotFound] or fs.ErrNotExist.
func Open(ctx context.Context, url string, opts *Options) (driver.Log, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	scheme, _, ok := strings.Cut(url, ":")
	if !ok {
		return nil, wrong(url, "it is not a URL; this build knows %s (did you mean file:%s?)", Known, url)
	}
	open, ok := schemes[scheme]
	if !ok {
		return nil, wrong(url, "stores of kind %q are not in this build, which knows %s", scheme, Known)
	}
	return open(ctx, url, o)
}

func openFile(_ context.Context, url string, o Options) (driver.Log, error) {
	path := strings.TrimPrefix(url, "file:")
	if path == "" {
		return nil, wrong(url, "it names no directory; write file:PATH")
	}
	if st, err := os.Stat(path); err == nil && !st.IsDir() {
		return nil, fmt.Errorf("open %s: %w: it is a file, and a store is a directory", path, filestore.ErrNotStore)
	}
	log, err := filestore.Open(path, &filestore.Options{ReadOnly: o.ReadOnly, LogID: o.LogID, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	return log, nil
}

func openSQLite(_ context.Context, url string, o Options) (driver.Log, error) {
	path := strings.TrimPrefix(url, "sqlite:")
	if path == "" {
		return nil, wrong(url, "it names no file; write sqlite:PATH")
	}
	log, err := sqlitestore.Open(path, &sqlitestore.Options{ReadOnly: o.ReadOnly, LogID: o.LogID, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	return log, nil
}

func openPostgres(ctx context.Context, url string, o Options) (driver.Log, error) {
	log, err := pgstore.Open(ctx, url, &pgstore.Options{ReadOnly: o.ReadOnly, LogID: o.LogID, Logger: o.Logger})
	var unreadable *pgconn.ParseConfigError
	if errors.As(err, &unreadable) {
		return nil, wrong(url, "%v", unreadable)
	}
	if err != nil {
		return nil, err
	}
	return log, nil
}
