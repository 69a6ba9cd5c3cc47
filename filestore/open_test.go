package filestore_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
)

func TestASecondOpenForAppendingIsRefusedAndNamesTheOwner(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, nil)
	_, err := filestore.Open(dir, nil)
	var locked *driver.LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Fatalf("%v, want a LockedError with process %d", err, os.Getpid())
	}
	open(t, dir, &filestore.Options{ReadOnly: true})
}

func TestADirectoryThatIsNotAStoreIsRefusedAndLeftAlone(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "letter.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, readOnly := range []bool{false, true} {
		if _, err := filestore.Open(dir, &filestore.Options{ReadOnly: readOnly}); !errors.Is(err, filestore.ErrNotStore) {
			t.Errorf("read-only %t: %v", readOnly, err)
		}
	}
	if names := files(t, dir, "*"); len(names) != 1 {
		t.Errorf("the directory now holds %q", names)
	}
	file := filepath.Join(dir, "letter.txt")
	if _, err := filestore.Open(file, nil); err == nil {
		t.Error("a file was opened as a store")
	}
}

func TestAStoreThatMustExistAndDoesNotIsNotFound(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	for _, opts := range []*filestore.Options{{MustExist: true}, {ReadOnly: true}} {
		if _, err := filestore.Open(dir, opts); !errors.Is(err, driver.ErrNotFound) {
			t.Errorf("%+v: %v", opts, err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Error("something was made")
		}
	}
}

func TestAStoreOfANewerFormatIsRefusedByName(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, nil).Close()
	edit(t, filepath.Join(dir, "ANNALS"), func(b []byte) []byte {
		return []byte(strings.Replace(string(b), "filestore 1", "filestore 2", 1))
	})
	var format *filestore.FormatError
	if _, err := filestore.Open(dir, nil); !errors.As(err, &format) || format.Version != "2" {
		t.Errorf("%v, want a FormatError of version 2", err)
	}
}

func TestADamagedIdentityIsCorruption(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, nil).Close()
	edit(t, filepath.Join(dir, "ANNALS"), func(b []byte) []byte { b[30] ^= 1; return b })
	var damage *driver.CorruptError
	if _, err := filestore.Open(dir, nil); !errors.As(err, &damage) {
		t.Errorf("%v, want a CorruptError", err)
	}
}

func TestFilesArePrivateToTheirUser(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	s := open(t, dir, &filestore.Options{SegmentBytes: 8 << 10})
	for n := 0; n < 100; n += 10 {
		fill(t, s, n, n+10)
	}
	if _, err := s.State().Save(ctx, "a", nil, 0); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAStoreAtRestTakesNoMoreThanItsLog(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	fill(t, s, 0, 1000)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "log", "0000000001.seg"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 1000*200 {
		t.Errorf("1000 records take %d bytes", info.Size())
	}
}

func TestTimeNeverRunsBackWhateverTheClockDoes(t *testing.T) {
	dir := t.TempDir()
	now := time.Unix(2_000_000_000, 0)
	opts := &filestore.Options{Clock: func() time.Time { return now }}
	s := open(t, dir, opts)
	fill(t, s, 0, 1)
	now = now.Add(-time.Hour)
	fill(t, s, 1, 2)
	s.Close()
	s = open(t, dir, opts)
	fill(t, s, 2, 3)
	var last time.Time
	for r, err := range s.Read(ctx, driver.Query{}, driver.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Time.Before(last) {
			t.Errorf("position %d has time %v, before %v", r.Position, r.Time, last)
		}
		last = r.Time
	}
	if last.Unix() != 2_000_000_000 {
		t.Errorf("the last time is %v", last)
	}
}

func TestAReaderBesideTheWriterSeesSegmentsChange(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, &filestore.Options{SegmentBytes: 4 << 10})
	r := open(t, dir, &filestore.Options{ReadOnly: true})
	for n := 0; n < 300; n += 3 {
		fill(t, s, n, n+3)
		head, err := r.Wait(ctx, driver.Position(n+2))
		if err != nil || head != driver.Position(n+3) {
			t.Fatalf("Wait: %d, %v, want %d", head, err, n+3)
		}
	}
	want, err := contents(s)
	if err != nil {
		t.Fatal(err)
	}
	mustHold(t, r, want)
	mustVerify(t, r)
}

func TestAStoreIsMadeWithTheLogIDItIsTold(t *testing.T) {
	dir, id := t.TempDir(), driver.ID{1, 2, 3}
	open(t, dir, &filestore.Options{LogID: id}).Close()
	for _, opts := range []*filestore.Options{nil, {LogID: driver.ID{4}}, {ReadOnly: true}} {
		s := open(t, dir, opts)
		if info, err := s.Info(ctx); err != nil || info.LogID != id {
			t.Errorf("opened with %+v it is log %s (%v), want %s", opts, info.LogID, err, id)
		}
		s.Close()
	}
}

func TestAReaderBesideTheWriterSeesTheStateAndCannotChangeIt(t *testing.T) {
	dir := t.TempDir()
	writer := open(t, dir, nil)
	reader := driver.StateOf(open(t, dir, &filestore.Options{ReadOnly: true}))
	if reader == nil {
		t.Fatal("there is no state")
	}
	for _, v := range []string{"1", "2"} {
		rev, err := writer.State().Save(ctx, "key", []byte(v), driver.AnyRevision)
		if err != nil {
			t.Fatal(err)
		}
		if got, at, err := reader.Load(ctx, "key"); err != nil || string(got) != v || at != rev {
			t.Errorf("the reader sees %q at %d (%v), want %q at %d", got, at, err, v, rev)
		}
		for k, err := range reader.Keys(ctx, "") {
			if k != "key" || err != nil {
				t.Errorf("it lists %q, %v", k, err)
			}
		}
		if _, err := reader.Save(ctx, "key", nil, rev); !errors.Is(err, driver.ErrReadOnly) {
			t.Errorf("Save returned %v", err)
		}
		if err := reader.Delete(ctx, "key", rev); !errors.Is(err, driver.ErrReadOnly) {
			t.Errorf("Delete returned %v", err)
		}
	}
}
