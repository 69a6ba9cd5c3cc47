package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/annals-db/annals/internal/when"
	"github.com/annals-db/annals/stores"
)

// app is one run of the command: its streams, its global flags, and what
// follows from them.
type app struct {
	in       io.Reader
	out, err io.Writer
	now      func() time.Time

	storeFlag, outputFlag, tzFlag, configFlag string
	timeout                                   time.Duration

	config  config
	zone    *time.Location
	format  format
	started bool            // whether the command itself has begun: before, an error is one of usage
	ctx     context.Context // of the command, ended by --timeout or a signal
	cancel  context.CancelFunc
}

const about = `Annals keeps every change to an application's state as an event, for ever and in
order, and gives any past state back.

  annals demo                              a made-up shop, its history, its past
  annals append item-1 Created '{"n":10}'  record an event
  annals state item-1                      the state that the events add up to
  annals state item-1 --as-of 2026-01-31   the state at the end of that day

The log is in the store that --store names, else the variable ANNALS_STORE, else
"store" in the configuration file, else file:annals.db, a directory here.`

// execute runs the command that args name.
func (a *app) execute(ctx context.Context, args []string) error {
	root := &cobra.Command{
		Use: "annals", Short: "An event store with version control for state", Long: about,
		SuggestionsMinimumDistance: 2, SilenceErrors: true, SilenceUsage: true, Args: noArgs,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.begin(cmd) },
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetArgs(args)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagError(err) })
	root.CompletionOptions.HiddenDefaultCmd = false
	f := root.PersistentFlags()
	f.StringVar(&a.storeFlag, "store", "", "the store: "+stores.Known+" (default file:annals.db)")
	f.StringVarP(&a.outputFlag, "output", "o", "", "table, json, jsonl or none (default table on a terminal, else jsonl)")
	f.StringVar(&a.tzFlag, "tz", "", "time zone of dates and of times that name none, such as Europe/Paris (default UTC)")
	f.StringVar(&a.configFlag, "config", "", "configuration file (default annals.json in the user's configuration directory, or $ANNALS_CONFIG)")
	f.DurationVar(&a.timeout, "timeout", 0, "give up after this time (default never)")
	// The names are those of flags above, so that this cannot fail.
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json", "jsonl", "none"}, cobra.ShellCompDirectiveNoFileComp))
	_ = root.RegisterFlagCompletionFunc("store", cobra.FixedCompletions([]string{"file:", "sqlite:", "postgres://", "nats://", "mem:"}, cobra.ShellCompDirectiveNoSpace|cobra.ShellCompDirectiveNoFileComp))
	root.AddCommand(
		a.appendCommand(), a.readCommand(), a.tailCommand(), a.stateCommand(),
		a.logCommand(), a.showCommand(), a.diffCommand(), a.blameCommand(), a.firstCommand(), a.bisectCommand(),
		a.traceCommand(), a.queryCommand(), a.whatIfCommand(), a.foldCommand(),
		a.importCommand(), a.exportCommand(), a.copyCommand(),
		a.projectionCommand(), a.relayCommand(), a.groupCommand(), a.deadCommand(),
		a.verifyCommand(), a.infoCommand(), a.backupCommand(), a.restoreCommand(),
		a.auditCommand(),
		a.benchCommand(), a.demoCommand(), a.errorsCommand(), a.versionCommand(),
	)
	err := root.ExecuteContext(ctx)
	if a.cancel != nil {
		a.cancel()
	}
	if err != nil && !a.started {
		return usage(err)
	}
	return err
}

// flagError says in words why the value of a flag is none.
func flagError(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	flag, want := invalid.GetFlag(), ""
	switch flag.Value.Type() {
	case "int", "int64":
		want = "a number"
	case "uint", "uint32", "uint64":
		want = "a number from 0 on"
	case "duration":
		want = "a duration, such as 90s, 15m or 24h"
	case "bool":
		want = "true or false"
	default:
		return err
	}
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("--%s: %s is too large or too small", flag.Name, invalid.GetValue())
	}
	return fmt.Errorf("--%s: %q is not %s", flag.Name, invalid.GetValue(), want)
}

// begin settles what the global flags say, before the command itself runs.
func (a *app) begin(cmd *cobra.Command) (err error) {
	if a.config, err = readConfig(a.configFlag); err != nil {
		return err
	}
	if a.format, err = parseFormat(first(a.outputFlag, a.config.Output)); err != nil {
		return err
	}
	if a.format == formatAuto {
		a.format = formatLines
		if isTerminal(a.out) {
			a.format = formatTable
		}
	}
	zone := first(a.tzFlag, a.config.Zone, "UTC")
	if a.zone, err = time.LoadLocation(zone); err != nil {
		return fmt.Errorf("--tz: there is no time zone %q", zone)
	}
	if cmd.Flags().Changed("store") && a.storeFlag == "" {
		return errors.New("--store is empty")
	}
	if a.timeout < 0 {
		return errors.New("--timeout is negative")
	}
	if a.timeout > 0 {
		ctx, cancel := context.WithTimeoutCause(cmd.Context(), a.timeout, errTimedOut)
		a.cancel = cancel
		cmd.SetContext(ctx)
	}
	a.ctx = cmd.Context()
	a.started = true
	return nil
}

// time reads a time as people type it.
func (a *app) time(flag, text string) (time.Time, error) {
	t, err := when.Parse(text, a.now(), a.zone)
	if err != nil {
		return t, usagef("--%s: %v", flag, err)
	}
	return t, nil
}

func (a *app) note(format string, args ...any) { fmt.Fprintf(a.err, format+"\n", args...) }

// first returns the first of texts that is not empty.
func first(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !cmd.HasParent() {
		return fmt.Errorf("there is no command %q%s", args[0], suggestions(cmd, args[0]))
	}
	return fmt.Errorf("%s takes no arguments, but got %q", cmd.CommandPath(), args)
}

func suggestions(cmd *cobra.Command, name string) string {
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return "; annals help lists them"
}

// between requires from low to high arguments, which names say.
func between(low, high int, names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < low || len(args) > high {
			return fmt.Errorf("%s takes %s, but got %d arguments; see %s --help", cmd.CommandPath(), names, len(args), cmd.CommandPath())
		}
		return nil
	}
}
