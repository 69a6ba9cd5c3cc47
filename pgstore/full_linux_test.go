package pgstore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/pgserver"
)

// The log lies in a tablespace on a small file system, which fills up.
func TestDiskFullIsUnavailableAndLosesNothing(t *testing.T) {
	server := pgserver.ForTest(t, nil)
	dir := filepath.Join(server.Dir(), "small")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	const small, large = "size=24m", "size=64m"
	if err := syscall.Mount("annals", dir, "tmpfs", 0, small+ownerOf(t, filepath.Join(server.Dir(), "data"))); errors.Is(err, os.ErrPermission) {
		t.Skip("to mount a small file system takes root")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	runSQL(t, server.URL("postgres"), fmt.Sprintf(`CREATE TABLESPACE small LOCATION '%s'`, dir))
	runSQL(t, server.URL("postgres"), `CREATE DATABASE small TABLESPACE small`)
	s := openStore(t, server.URL("small"), nil)

	ctx := newContext(t)
	var acked acknowledged
	full := 0
	grow := func() error {
		b := batch(event("a-1", "A", "k:v"), event("a-2", "A"))
		b.Events[1].Data = []byte(strings.Repeat(fmt.Sprint(b.Events[0].ID), 2000)) // some 72 kB, which compress
		for i := range b.Events[1].Data {
			b.Events[1].Data[i] ^= byte(i * i >> 3)
		}
		r, err := s.Append(ctx, b)
		if err == nil {
			acked.add(b, r)
		}
		return err
	}
	for full < 20 {
		err := grow()
		if err == nil {
			if acked.count() > 10_000 {
				t.Fatal("the disk does not fill up")
			}
			continue
		}
		if full++; !errors.Is(err, driver.ErrUnavailable) || !contains(err, "No space left") {
			t.Fatalf("with the disk full Append returned %v", err)
		}
	}
	records := readAll(t, s)
	checkHistory(t, records)
	acked.check(t, records)
	t.Logf("%d batches acknowledged before the disk was full", acked.count())

	if err := syscall.Mount("annals", dir, "tmpfs", syscall.MS_REMOUNT, large); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := grow(); err != nil {
			t.Fatalf("with room again Append returned %v", err)
		}
	}
	records = readAll(t, s)
	checkHistory(t, records)
	acked.check(t, records)
	for err := range s.Verify(ctx, nil) {
		t.Error(err)
	}
}

// ownerOf returns the mount options that give a file system to dir's owner.
func ownerOf(t *testing.T, dir string) string {
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	o := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf(",mode=0700,uid=%d,gid=%d", o.Uid, o.Gid)
}
