package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/sqlitestore"
)

// backupSQLite copies the database that has the log to a new file.
func (a *app) backupSQLite(ctx context.Context, to string) error {
	log, err := a.open(toRead)
	if err != nil {
		return err
	}
	defer log.Close()
	store, ok := log.(*sqlitestore.Store)
	if !ok {
		return errors.New("only a store on the disk can be backed up")
	}
	info, err := store.Backup(ctx, to)
	if err != nil {
		return err
	}
	return a.copiedFile("backup", to, info)
}

// restoreSQLite makes the file to of a backup that is sound.
func (a *app) restoreSQLite(ctx context.Context, backup, to string) error {
	if to == "" {
		return usagef("store %q names no file; write sqlite:PATH", "sqlite:")
	}
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return usagef("%s is there already; restore makes a new store", to)
	}
	store, err := sqlitestore.Open(backup, &sqlitestore.Options{ReadOnly: true, Logger: a.logger()})
	if errors.Is(err, fs.ErrNotExist) {
		return notFound{err}
	}
	if err != nil {
		return err
	}
	defer store.Close()
	for fault := range store.Verify(ctx, nil) {
		return fault
	}
	info, err := store.Backup(ctx, to)
	if err != nil {
		return err
	}
	return a.copiedFile("restored", to, info)
}

func (a *app) copiedFile(what, path string, info driver.Info) error {
	text := fmt.Appendf(nil, `{%q:%q,"log_id":%q,"head":%d}`, what, path, info.LogID, info.Head)
	return a.one(text, [][2]string{{what, path}, {"log ID", info.LogID.String()}, {"head", fmt.Sprint(info.Head)}})
}
