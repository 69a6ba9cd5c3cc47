package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/internal/when"
)

func (a *app) auditExportCommand(r *auditFlags) *cobra.Command {
	var f auditFilterFlags
	cmd := &cobra.Command{
		Use:   "export DIRECTORY [TABLE [KEY...]]",
		Short: "Export changes for auditors, with a manifest of hashes",
		Long: `Write changes to DIRECTORY, which must not hold an export yet: changes.jsonl with a
change a line, manifest.json, which says of what it is, with the hash of the file and the
running hash of the store, and SHA256SUMS, which sha256sum -c checks. The flags are those of audit log.

` + when.Syntax,
		Example: `  annals audit export q1 --since 2026-01-01 --until 2026-03-31
  annals audit export order-42 orders 42
  (cd q1 && sha256sum -c SHA256SUMS)`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			filter, err := f.filter(a, args[1:])
			if err != nil {
				return err
			}
			trail, log, err := a.trail(cmd, r, args)
			if err != nil {
				return err
			}
			defer log.Close()
			m, err := trail.Export(cmd.Context(), args[0], filter, a.question(cmd, args[1:]))
			if err != nil {
				return err
			}
			return a.one([]byte(asJSON(m)), [][2]string{{"exported", args[0]}, {"changes", fmt.Sprint(m.Changes)},
				{"SHA-256 of changes.jsonl", m.Files[0].SHA256}, {"running hash", m.Seal.Hash}})
		},
	}
	f.flags(cmd)
	return cmd
}
