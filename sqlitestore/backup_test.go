package sqlitestore_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/sqlitestore"
)

func TestABackupIsTheLogWithTheTablesOfTheApplication(t *testing.T) {
	s, ctx := withTable(t), testContext(t)
	for range 50 {
		appendTo(t, s, event("item-1", "a:1"), event("item-2"))
	}
	if _, err := s.DB().Exec(countOne, "item-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.State().Save(ctx, "key", []byte("value"), 0); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "backup.db")
	info, err := s.Backup(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "head", info.Head, driver.Position(100))
	want, err := s.TreeHead(ctx, 100)
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, s, event("item-3"))

	b := open(t, path, &sqlitestore.Options{MustExist: true})
	here, err := s.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	there, err := b.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "log ID", there.LogID, here.LogID)
	equal(t, "head", there.Head, driver.Position(100))
	got, err := b.TreeHead(ctx, 100)
	equal(t, "tree head", got, want)
	equal(t, "error", err, error(nil))
	equal(t, "records", records(t, b, driver.Query{}), records(t, s, driver.Query{})[:100])
	equal(t, "count", counted(t, b, "item-1"), 1)
	value, _, err := b.State().Load(ctx, "key")
	equal(t, "state", string(value), "value")
	equal(t, "error", err, error(nil))
	equal(t, "faults", faults(t, b), []error(nil))
	equal(t, "next position", appendTo(t, b, event("item-1")).First, driver.Position(101))
}

func TestABackupRunsBesideAppendsAndEndsAtABatch(t *testing.T) {
	s, ctx := open(t, newFile(t), nil), testContext(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := s.Append(ctx, batch(event("item-1"), event("item-2"), event("item-3"))); err != nil {
					t.Errorf("Append: %v", err)
					return
				}
			}
		})
	}
	for range 5 {
		path := filepath.Join(t.TempDir(), "backup.db")
		info, err := s.Backup(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Head%3 != 0 {
			t.Errorf("the backup ends at position %d, inside a batch", info.Head)
		}
		b := open(t, path, nil)
		equal(t, "faults", faults(t, b), []error(nil))
		want, err := s.TreeHead(ctx, info.Head)
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.TreeHead(ctx, info.Head)
		equal(t, "tree head", got, want)
		equal(t, "error", err, error(nil))
	}
	close(stop)
	wg.Wait()
}

func TestABackupThatCannotBeMadeLeavesNothing(t *testing.T) {
	s := open(t, newFile(t), nil)
	appendTo(t, s, event("item-1"))
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(testContext(t))
	cancel()
	if _, err := s.Backup(ctx, filepath.Join(dir, "a.db")); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context Backup returned %v", err)
	}
	if _, err := s.Backup(testContext(t), s.Path()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("onto the file itself Backup returned %v", err)
	}
	if _, err := s.Backup(testContext(t), filepath.Join(dir, "missing", "a.db")); err == nil {
		t.Error("a backup into a directory that is not there is made")
	}
	left, err := os.ReadDir(dir)
	equal(t, "files left", len(left), 0)
	equal(t, "error", err, error(nil))
	equal(t, "records", len(records(t, s, driver.Query{})), 1)
}
