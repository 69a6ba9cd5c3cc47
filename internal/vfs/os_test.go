package vfs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/annals-db/annals/internal/vfs"
)

func TestALockExcludesASecondHolderUntilItIsClosed(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	first, err := vfs.OS.Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vfs.OS.Lock(name); !errors.Is(err, vfs.ErrLocked) {
		t.Fatalf("a second holder got %v, want ErrLocked", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := vfs.OS.Lock(name)
	if err != nil {
		t.Fatalf("after closing: %v", err)
	}
	again.Close()
}

func TestAFileIsWrittenSyncedRenamedAndFoundAgain(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a")
	f, err := vfs.OS.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("xyz"), 2); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Size(); n != 5 || err != nil {
		t.Fatalf("size %d, %v, want 5", n, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := vfs.OS.Rename(name, filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	if err := vfs.OS.SyncDir(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := vfs.OS.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the old name: %v, want ErrNotExist", err)
	}
	entries, err := vfs.OS.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "b" {
		t.Fatalf("entries %v, %v", entries, err)
	}
}
