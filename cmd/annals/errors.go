package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) errorsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "errors",
		Short: "List the exit codes and kinds of error",
		Long: `List the kinds of error with the exit code of each, when it comes and what to do.
An exit code of 0 means that everything asked for is done.`,
		Example: `  annals errors
  annals errors -o json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			p := a.printer("KIND", "EXIT", "WHEN, AND WHAT TO DO")
			p.width = 0
			for _, k := range kinds {
				text, err := json.Marshal(map[string]any{"kind": k.Name, "exit": k.Exit, "says": k.Says})
				if err != nil {
					return err
				}
				p.add(item{text, []string{k.Name, fmt.Sprint(k.Exit), k.Says}})
			}
			return p.finish()
		},
	}
}
