package guide_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
)

func TestFileStore(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := operate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join("restored", "ANNALS")); err != nil {
		t.Fatal(err)
	}
}

func operate(ctx context.Context) error {
	// code: open
	store, err := filestore.Open("bank", nil)
	if err != nil {
		return err
	}
	defer store.Close()
	db := annals.New(store, nil)
	// end
	if _, err := Accounts.Add(ctx, db, "ada", func(a *Account) error { return a.Deposit(100) }); err != nil {
		return err
	}
	// code: locked
	_, err = filestore.Open("bank", nil)
	var locked *driver.LockedError
	if errors.As(err, &locked) {
		fmt.Println("process", locked.PID, "has it")
	}
	// end
	if locked == nil {
		return fmt.Errorf("a second opening got %w", err)
	}
	// code: reader
	reader, err := filestore.Open("bank", &filestore.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer reader.Close()
	// end
	if _, err := Accounts.Load(annals.New(reader, nil).View(ctx), "ada"); err != nil {
		return err
	}
	// code: backup
	result, err := store.Backup(ctx, "bank-backup", nil)
	if err != nil {
		return err
	}
	fmt.Println("up to", result.Head, "copied", result.Copied, "bytes, had", result.Skipped)
	// end
	// code: restore
	_, err = filestore.Restore(ctx, "bank-backup", "restored", nil, nil)
	// end
	if err != nil {
		return err
	}
	// code: verify
	for fault := range store.Verify(ctx, nil) {
		var damage *driver.CorruptError
		if errors.As(fault, &damage) {
			fmt.Println("from position", damage.Position, "in", damage.Place)
		}
		err = errors.Join(err, fault)
	}
	// end
	return err
}
