package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/filestore"
)

func (a *app) backupCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "backup PATH",
		Short: "Copy a store on the disk while it is in use",
		Long: `Copy the log as it is durable now to PATH, which becomes a store of its own with the
same log ID. The store may be written meanwhile.

The backup of a file store is a directory. Into that of an earlier backup of the same
log only what is new is copied. The backup of a store in SQLite is a new file, with
whatever else is in the database.`,
		Example: `  annals backup /backup/inventory
  annals --store file:/backup/inventory verify
  annals --store sqlite:shop.db backup /backup/shop.db`,
		Args: between(1, 1, "one PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.HasPrefix(a.storeURL(), "sqlite:") {
				return a.backupSQLite(cmd.Context(), args[0])
			}
			if _, err := directory(a.storeURL(), "backup"); err != nil {
				return err
			}
			log, err := a.open(toRead)
			if err != nil {
				return err
			}
			defer log.Close()
			store, ok := log.(*filestore.Store)
			if !ok {
				return errors.New("only a file store can be backed up")
			}
			bar := a.progress("copying", "bytes", -1)
			defer bar.finish()
			r, err := store.Backup(cmd.Context(), args[0], &filestore.BackupOptions{Progress: bar.set})
			bar.finish()
			if err != nil {
				return err
			}
			return a.copied("backup", args[0], r)
		},
	}
}

func (a *app) restoreCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "restore BACKUP",
		Short: "Make a store of a backup",
		Long: `Make the store that --store names, which must not be there yet, of a BACKUP. The
backup is verified first; if it has a fault nothing is restored.`,
		Example: `  annals --store file:inventory restore /backup/inventory
  annals --store sqlite:shop.db restore /backup/shop.db`,
		Args: between(1, 1, "one BACKUP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if path, ok := strings.CutPrefix(a.storeURL(), "sqlite:"); ok {
				return a.restoreSQLite(cmd.Context(), args[0], path)
			}
			dir, err := directory(a.storeURL(), "restore")
			if err != nil {
				return err
			}
			if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
				return usagef("%s is there already and not empty; restore makes a new store", dir)
			}
			bar := a.progress("copying", "bytes", -1)
			defer bar.finish()
			r, err := filestore.Restore(cmd.Context(), args[0], dir, &filestore.Options{Logger: a.logger()},
				&filestore.BackupOptions{Progress: bar.set})
			bar.finish()
			if err != nil {
				return err
			}
			return a.copied("restored", dir, r)
		},
	}
}

func (a *app) copied(what, dir string, r filestore.BackupResult) error {
	text := fmt.Appendf(nil, `{%q:%q,"log_id":%q,"head":%d,"bytes_copied":%d,"bytes_there":%d}`, what, dir, r.LogID, r.Head, r.Copied, r.Skipped)
	return a.one(text, [][2]string{{what, dir}, {"log ID", r.LogID.String()}, {"head", fmt.Sprint(r.Head)},
		{"bytes copied", fmt.Sprint(r.Copied)}, {"bytes there before", fmt.Sprint(r.Skipped)}})
}
