package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	sqlite3 "github.com/ncruces/go-sqlite3"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/vfs"
)

// Backup writes the whole file as it is at one moment, tables of the
// application included, to a new file path, and says what log it holds. It runs
// beside appends. The file is there, synced, when it returns; if it fails there
// is none. To restore, open the file, or put it in the place of the old one
// (whose -wal and -shm files go too) while no one has that open.
func (s *Store) Backup(ctx context.Context, path string) (driver.Info, error) {
	info, err := s.backup(ctx, path)
	if err != nil {
		return driver.Info{}, s.storeError("back up", fmt.Errorf("to %s: %w", path, err))
	}
	return info, nil
}

func (s *Store) backup(ctx context.Context, path string) (driver.Info, error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fs.ErrExist
		}
		return driver.Info{}, err
	}
	partial := path + ".partial"
	if err := os.Remove(partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return driver.Info{}, err
	}
	defer os.Remove(partial) //nolint:errcheck // it is renamed where all went well
	if err := makeFile(partial); err != nil {
		return driver.Info{}, err
	}
	ctx, cancel := s.whileOpen(ctx)
	defer cancel()
	err := s.use(ctx, func(c *conn) error {
		return c.vacuumInto(ctx, partial)
	})
	if cause := context.Cause(ctx); cause != nil {
		return driver.Info{}, cause
	}
	if err != nil {
		return driver.Info{}, err
	}
	info, err := s.copied(ctx, partial)
	if err != nil {
		return driver.Info{}, err
	}
	if err := syncFile(partial); err != nil {
		return driver.Info{}, err
	}
	if err := os.Rename(partial, path); err != nil {
		return driver.Info{}, err
	}
	return info, vfs.OS.SyncDir(filepath.Dir(path))
}

// vacuumInto writes what the connection sees to a new file.
func (c *conn) vacuumInto(ctx context.Context, path string) (err error) {
	if err := c.db.Exec(`PRAGMA query_only = 0`); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.db.Exec(`PRAGMA query_only = 1`)) }()
	defer c.db.SetInterrupt(c.db.SetInterrupt(ctx))
	stmt, _, err := c.db.Prepare(`VACUUM INTO ?`)
	if err != nil {
		return err
	}
	defer stmt.Close()
	return exec(stmt, name(path))
}

// copied looks at the end of a copy, as opening it will.
func (s *Store) copied(ctx context.Context, path string) (driver.Info, error) {
	copied := &Store{path: path, opts: s.opts}
	db, err := sqlite3.Open(name(path, "mode=ro"))
	if err != nil {
		return driver.Info{}, err
	}
	c := &conn{db: db, names: &copied.names}
	defer c.close() //nolint:errcheck // nothing was written
	if err := c.prepare(); err != nil {
		return driver.Info{}, err
	}
	if has, err := copied.identify(db); err != nil || !has {
		return driver.Info{}, errors.Join(err, errors.New("the copy holds no log"))
	}
	head, at, err := c.headOf()
	if err != nil {
		return driver.Info{}, err
	}
	if _, err := c.checkEnd(); err != nil {
		return driver.Info{}, err
	}
	info := driver.Info{LogID: copied.id, Store: "sqlite", Head: head, Durability: durability, Limits: s.opts.Limits}
	if head > 0 {
		info.Time = instant(at)
	}
	return info, ctx.Err()
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
