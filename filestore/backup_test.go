package filestore_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
)

func TestABackupIsAStoreOfItsOwnAndTheNextCopiesOnlyWhatIsNew(t *testing.T) {
	dir, copied := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	s := open(t, dir, &filestore.Options{SegmentBytes: 8 << 10})
	fill(t, s, 0, 500)
	if _, err := s.State().Save(ctx, "a", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	first, err := s.Backup(ctx, copied, nil)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, 500, 700)
	if err := s.State().Delete(ctx, "a", driver.AnyRevision); err != nil {
		t.Fatal(err)
	}
	if _, err := s.State().Save(ctx, "b", []byte("2"), 0); err != nil {
		t.Fatal(err)
	}
	// Reopened, every full segment has its index file.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, &filestore.Options{SegmentBytes: 8 << 10})
	if _, err := s.Backup(ctx, copied, nil); err != nil {
		t.Fatal(err)
	}
	third, err := s.Backup(ctx, copied, nil)
	if err != nil {
		t.Fatal(err)
	}
	if first.Head != 500 || first.Copied == 0 || first.Skipped != 0 {
		t.Errorf("the first backup: %+v", first)
	}
	if third.Head != 700 || third.Skipped < 8*third.Copied {
		t.Errorf("a backup of what is there already: %+v", third)
	}
	want, err := contents(s)
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, copied, nil)
	mustHold(t, b, want)
	mustVerify(t, b)
	if _, _, err := b.State().Load(ctx, "a"); err == nil {
		t.Error("a key that was deleted is in the backup")
	}
	if v, _, err := b.State().Load(ctx, "b"); string(v) != "2" || err != nil {
		t.Errorf("key b is %q, %v", v, err)
	}
}

func TestABackupOfAnotherLogOrHistoryIsRefused(t *testing.T) {
	dir, copied := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	s := open(t, dir, nil)
	fill(t, s, 0, 50)
	if _, err := s.Backup(ctx, copied, nil); err != nil {
		t.Fatal(err)
	}
	other := open(t, t.TempDir(), nil)
	if _, err := other.Backup(ctx, copied, nil); err == nil || !strings.Contains(err.Error(), "holds the log") {
		t.Errorf("a backup over that of another log: %v", err)
	}
	// The copy goes on by itself, and so does the log.
	fork := open(t, copied, nil)
	fill(t, fork, 1000, 1001)
	if err := fork.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup(ctx, copied, nil); err == nil || !strings.Contains(err.Error(), "the log ends at 50") {
		t.Errorf("a backup over a longer history: %v", err)
	}
	fill(t, s, 50, 60)
	if _, err := s.Backup(ctx, copied, nil); err == nil || !strings.Contains(err.Error(), "another history") {
		t.Errorf("a backup over another history: %v", err)
	}
}

func TestAnOpenReadOnlyStoreCanBeBackedUpBesideItsWriter(t *testing.T) {
	dir, copied := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	s := open(t, dir, &filestore.Options{SegmentBytes: 8 << 10})
	fill(t, s, 0, 300)
	r := open(t, dir, &filestore.Options{ReadOnly: true})
	if _, err := r.Backup(ctx, copied, nil); err != nil {
		t.Fatal(err)
	}
	want, err := contents(s)
	if err != nil {
		t.Fatal(err)
	}
	mustHold(t, open(t, copied, nil), want)
}

func TestARestoredBackupHoldsTheLogAndADamagedOneIsNotRestored(t *testing.T) {
	dir, copied := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	s := open(t, dir, &filestore.Options{SegmentBytes: 8 << 10})
	fill(t, s, 0, 300)
	if _, err := s.Backup(ctx, copied, nil); err != nil {
		t.Fatal(err)
	}
	want, err := contents(s)
	if err != nil {
		t.Fatal(err)
	}
	restored := filepath.Join(t.TempDir(), "restored")
	if _, err := filestore.Restore(ctx, copied, restored, nil, nil); err != nil {
		t.Fatal(err)
	}
	mustHold(t, open(t, restored, nil), want)
	if _, err := filestore.Restore(ctx, copied, restored, nil, nil); err == nil {
		t.Error("restoring over a store was not refused")
	}
	edit(t, filepath.Join(copied, "log", "0000000002.seg"), func(b []byte) []byte { b[500] ^= 1; return b })
	other := filepath.Join(t.TempDir(), "other")
	if _, err := filestore.Restore(ctx, copied, other, nil, nil); err == nil || !strings.Contains(err.Error(), "not whole") {
		t.Errorf("restoring a damaged backup: %v", err)
	}
	if _, err := os.Stat(other); !os.IsNotExist(err) {
		t.Errorf("something was restored of a damaged backup: %v", err)
	}
}

func TestRebuiltIndexesAreTheSameFiles(t *testing.T) {
	dir := t.TempDir()
	opts := &filestore.Options{SegmentBytes: 8 << 10}
	s := open(t, dir, opts)
	for n := 0; n < 500; n += 10 {
		fill(t, s, n, n+10)
	}
	s.Close()
	before := map[string]string{}
	for _, name := range files(t, dir, "log/*.idx") {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		before[name] = string(b)
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if len(before) < 3 {
		t.Fatalf("%d index files", len(before))
	}
	if err := filestore.RebuildIndexes(ctx, dir, nil, nil); err != nil {
		t.Fatal(err)
	}
	for name, want := range before {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if string(b) != want {
			t.Errorf("%s is not what it was", name)
		}
	}
	mustVerify(t, open(t, dir, opts))
}
