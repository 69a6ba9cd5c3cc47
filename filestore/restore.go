package filestore

import (
	"context"
	"errors"
	"fmt"
)

// Restore makes a store in the directory dir, which must be empty or not there
// yet, of the backup in the directory from. The backup is verified first; if
// it has a fault, nothing is restored. The restored log keeps its ID. Only FS
// and Logger of the options are looked at.
func Restore(ctx context.Context, from, dir string, opts *Options, backup *BackupOptions) (BackupResult, error) {
	o := opts.withDefaults()
	source, err := Open(from, &Options{ReadOnly: true, FS: o.FS, Logger: o.Logger})
	if err != nil {
		return BackupResult{}, fmt.Errorf("restore: %w", err)
	}
	defer source.Close()
	entries, err := o.FS.ReadDir(slashed(dir))
	if err != nil && !isGone(err) {
		return BackupResult{}, fmt.Errorf("restore to %s: %w", dir, err)
	}
	if len(entries) > 0 {
		return BackupResult{}, fmt.Errorf("restore to %s: the directory is not empty", dir)
	}
	var faults []error
	for fault := range source.Verify(ctx, nil) {
		if faults = append(faults, fault); len(faults) == 10 {
			break
		}
	}
	if len(faults) > 0 {
		return BackupResult{}, fmt.Errorf("restore: the backup %s is not whole: %w", from, errors.Join(faults...))
	}
	return source.Backup(ctx, dir, backup)
}
