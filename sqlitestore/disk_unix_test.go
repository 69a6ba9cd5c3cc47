//go:build unix

package sqlitestore_test

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/sqlitestore"
)

// fillDisk appends until a limit on the size of files, which stands for a full
// disk, stops it; then lifts the limit and goes on.
func fillDisk(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	s, err := sqlitestore.Open(path, nil)
	if err != nil {
		return err
	}
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	limit := before
	limit.Cur = 3 << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	ctx := context.Background()
	var mu sync.Mutex
	known := map[driver.Position]driver.ID{}
	var refused error
	add := func(w int) error {
		e := event(fmt.Sprintf("item-%d", w), "a:1")
		e.Data = []byte(`"` + strings.Repeat("x", 2000) + `"`)
		r, err := s.Append(ctx, batch(e))
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			refused = err
			return err
		}
		known[r.First] = e.ID
		return nil
	}
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for add(w) == nil {
			}
		})
	}
	wg.Wait()
	full := len(known)
	if !errors.Is(refused, driver.ErrUnavailable) || errors.Is(refused, driver.ErrOutcomeUnknown) || !strings.Contains(refused.Error(), "cannot be written") {
		return fmt.Errorf("on a full disk an append returned %w", refused)
	}
	if err := compare(ctx, s, known); err != nil {
		return fmt.Errorf("on a full disk: %w", err)
	}
	for n := 0; add(0) == nil; n++ { // what there was no room for was a whole group
		if n == 2000 {
			return errors.New("a full disk takes appends without end")
		}
	}
	if err := compare(ctx, s, known); err != nil {
		return fmt.Errorf("on a full disk: %w", err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	for w := range 16 {
		if err := add(w); err != nil {
			return fmt.Errorf("with room again: %w", err)
		}
	}
	if err := compare(ctx, s, known); err != nil {
		return fmt.Errorf("with room again: %w", err)
	}
	fmt.Printf("%d appends before the disk was full; then %v\n", full, refused)
	return s.Close()
}

// compare returns an error unless the log holds exactly what is known, and is sound.
func compare(ctx context.Context, s *sqlitestore.Store, known map[driver.Position]driver.ID) error {
	all, err := collect(ctx, s, driver.Query{}, driver.ReadOptions{})
	if err != nil {
		return err
	}
	if len(all) != len(known) {
		return fmt.Errorf("the log has %d records, %d were acknowledged", len(all), len(known))
	}
	for _, r := range all {
		if known[r.Position] != r.ID {
			return fmt.Errorf("position %d is not what was acknowledged", r.Position)
		}
	}
	for err := range s.Verify(ctx, nil) {
		return err
	}
	return nil
}

func TestAFullDiskIsAnErrorLosesNothingAndTheStoreStaysUsable(t *testing.T) {
	path := newFile(t)
	cmd, out := child(t, "fill", path)
	var told strings.Builder
	if _, err := fmt.Fprint(&told, readAll(out)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v", err)
	}
	t.Log(told.String())
	s := open(t, path, nil)
	equal(t, "faults", faults(t, s), []error(nil))
}
