package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Example: "  annals version",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			version, revision := "(devel)", ""
			if b, ok := debug.ReadBuildInfo(); ok {
				version = b.Main.Version
				for _, s := range b.Settings {
					if s.Key == "vcs.revision" {
						revision = s.Value
					}
				}
			}
			text := fmt.Appendf(nil, `{"version":%q,"revision":%q,"go":%q,"platform":%q}`, version, revision, runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH)
			return a.one(text, [][2]string{{"annals", version}, {"revision", revision}, {"built with", runtime.Version()}, {"platform", runtime.GOOS + "/" + runtime.GOARCH}})
		},
	}
}
