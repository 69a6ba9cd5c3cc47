package main

import (
	"context"
	"fmt"
	"io/fs"
	"strings"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/sqlitestore"
)

// openSQLite opens sqlite:PATH.
func openSQLite(_ context.Context, a *app, url string, o opening) (driver.Log, error) {
	path := strings.TrimPrefix(url, "sqlite:")
	if path == "" {
		return nil, usagef("store %q names no file; write sqlite:PATH", url)
	}
	log, err := sqlitestore.Open(path, &sqlitestore.Options{ReadOnly: o.want == toRead, LogID: o.logID, Logger: a.logger()})
	if err != nil && is(fs.ErrNotExist, driver.ErrNotFound)(err) && o.want == toRead {
		return nil, fmt.Errorf("%w; append, import and demo make a log", notFound{err})
	}
	if err != nil {
		return nil, err
	}
	return log, nil
}

// notFound is an error of what is not there.
type notFound struct{ error }

func (e notFound) Unwrap() []error { return []error{e.error, driver.ErrNotFound} }
