package main

import (
	"github.com/spf13/cobra"
)

func (a *app) auditSealCommand() *cobra.Command {
	to := "-"
	cmd := &cobra.Command{
		Use:   "seal",
		Short: "Write the running hash of the store, by which a later change is found",
		Long: `Write the running hash of the store as it is now, with its position, to a file, to
another store or to standard output. audit verify --against compares the store with
it. Keep it where who can write the store cannot.`,
		Example: `  annals audit seal --to /mnt/worm/seals.jsonl
  annals audit seal | mail -s seal auditor@example.com`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := a.open(toRead)
			if err != nil {
				return err
			}
			defer log.Close()
			write, done, err := a.sealer(cmd.Context(), to)
			if err != nil {
				return err
			}
			defer done()
			return sealOnce(cmd.Context(), log, write)
		},
	}
	cmd.Flags().StringVar(&to, "to", "-", "file, store URL or - for standard output")
	return cmd
}
