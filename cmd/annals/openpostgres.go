package main

import (
	"context"
	"fmt"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/pgstore"
)

// openPostgres opens postgres://user@host/database, with the parameter
// "schema" for the log in it.
func openPostgres(ctx context.Context, a *app, url string, o opening) (driver.Log, error) {
	log, err := pgstore.Open(ctx, url, &pgstore.Options{ReadOnly: o.want == toRead, LogID: o.logID, Logger: a.logger()})
	if err != nil && is(driver.ErrNotFound)(err) && o.want == toRead {
		return nil, fmt.Errorf("%w; append, import and demo make a log in a database that is there", err)
	}
	if err != nil {
		return nil, err
	}
	return log, nil
}
