package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/audit"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/stores"
)

// auditRunFlags are the flags of audit run.
type auditRunFlags struct {
	postgres  postgresFlag
	options   audit.Options
	warnMiB   int64
	sealTo    string
	sealEvery time.Duration
	leaveOut  []string
	takeIn    []string
	verbose   bool
}

func (a *app) auditRunCommand(why *auditFlags) *cobra.Command {
	var f auditRunFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Follow a database into the store",
		Long: `Follow a database into the store until it is interrupted, with how far it is every
--status-every: the lag in bytes of the server's log and in seconds, and a warning
before the log that the server keeps for the slot fills its disk. It may be killed at
any time; begun again it goes on where the store ends, each transaction once.

--seal-to writes the running hash of the store regularly to a file, to another store
or, as -, to standard output; audit verify --against finds any later change by it.
Keep it where who can write the store cannot.

A table whose changes cannot be captured stops the whole trail, so that nothing is
missing unseen. --leave-out goes on without it, and records from where on and --why;
--take-in captures it again, once it can be, beginning with its rows as they are.`,
		Example: `  annals audit run --postgres postgres://audit@localhost/shop
  annals audit run --postgres postgres://audit@localhost/shop --seal-to /mnt/worm/seals.jsonl
  annals audit run --postgres postgres://audit@localhost/shop --catch-up
  annals audit run --postgres postgres://audit@localhost/shop --leave-out visits --why 'ticket 7: it lost its key'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.options.Why = why.why
			return a.auditRun(cmd, &f)
		},
	}
	f.postgres.flags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.options.Slot, "slot", "annals", "name of the replication slot")
	flags.StringVar(&f.options.Publication, "publication", "annals", "name of the publication")
	flags.DurationVar(&f.options.StatusInterval, "status-every", 5*time.Second, "how often to say how far it is")
	flags.Int64Var(&f.warnMiB, "warn-mib", 1024, "warn when the server keeps more of its log than this for the slot")
	flags.BoolVar(&f.options.CatchUp, "catch-up", false, "end once everything that is committed now is in the store")
	flags.StringVar(&f.sealTo, "seal-to", "", "file, store URL or - to which the running hash is written")
	flags.DurationVar(&f.sealEvery, "seal-every", time.Minute, "how often")
	flags.StringArrayVar(&f.leaveOut, "leave-out", nil, "go on without these `tables`, by comma, from where the trail stands; needs --why")
	flags.StringArrayVar(&f.takeIn, "take-in", nil, "capture these `tables`, which were left out, again")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "say also what is done")
	return cmd
}

func (a *app) auditRun(cmd *cobra.Command, f *auditRunFlags) error {
	url, err := f.postgres.get()
	if err != nil {
		return err
	}
	if f.warnMiB <= 0 || f.sealEvery <= 0 || f.options.StatusInterval <= 0 {
		return usagef("--warn-mib, --seal-every and --status-every are more than 0")
	}
	if f.options.LeaveOut, err = tableNames(f.leaveOut); err != nil {
		return err
	}
	if f.options.TakeIn, err = tableNames(f.takeIn); err != nil {
		return err
	}
	if len(f.options.LeaveOut) > 0 && f.options.Why == "" {
		return usagef("--leave-out: --why is it left out?")
	}
	log, err := a.open(toWrite)
	if err != nil {
		return err
	}
	defer log.Close()
	write, done, err := a.sealer(cmd.Context(), f.sealTo)
	if err != nil {
		return err
	}
	defer done()
	f.options.WarnBytes = f.warnMiB << 20
	f.options.Logger = a.auditLogger(f.verbose)
	p := a.printer("LSN", "LAG", "BYTES", "TRANSACTIONS", "EVENTS", "KEPT")
	warned := ""
	f.options.Status = func(s audit.Status) {
		if s.Warning != "" && s.Warning != warned {
			a.note("warning: %s", s.Warning)
		}
		warned = s.Warning
		if f.sealTo == "-" {
			return // standard output is for the seals
		}
		p.add(statusItem(&s))
		_ = p.flush()
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	var sealing sync.WaitGroup
	var sealErr error
	if write != nil {
		sealing.Go(func() {
			if sealErr = sealRegularly(ctx, log, f.sealEvery, write); sealErr != nil {
				cancel()
			}
		})
	}
	err = audit.Capture(ctx, url, log, &f.options)
	cancel()
	sealing.Wait()
	if write != nil && sealErr == nil {
		sealErr = sealOnce(context.WithoutCancel(ctx), log, write) // what came since
	}
	if sealErr != nil {
		return errors.Join(fmt.Errorf("write the running hash: %w", sealErr), err)
	}
	return err
}

func statusItem(s *audit.Status) item {
	return item{[]byte(asJSON(map[string]any{"phase": s.Phase, "lsn": s.LSN.String(), "server_lsn": s.ServerLSN.String(), "lag_bytes": s.LagBytes,
		"lag_seconds": s.Lag.Seconds(), "transactions": s.Transactions, "events": s.Events, "kept_bytes": s.KeptBytes, "warning": s.Warning})),
		[]string{s.LSN.String(), fmt.Sprintf("%.1f s", s.Lag.Seconds()), fmt.Sprint(s.LagBytes), fmt.Sprint(s.Transactions), fmt.Sprint(s.Events), fmt.Sprint(s.KeptBytes)}}
}

// auditLogger says on standard error what capture has to say.
func (a *app) auditLogger(verbose bool) *slog.Logger {
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
}

// sealer returns what writes seals to a file, a store or standard output; nil for "".
func (a *app) sealer(ctx context.Context, to string) (write func(context.Context, audit.Seal) error, done func(), err error) {
	switch {
	case to == "":
		return nil, func() {}, nil
	case to == "-":
		return func(_ context.Context, s audit.Seal) error {
			_, err := fmt.Fprintln(a.out, asJSON(s))
			return err
		}, func() {}, nil
	case stores.IsURL(to):
		log, err := a.openURL(ctx, to, opening{want: toWrite})
		if err != nil {
			return nil, nil, err
		}
		return func(ctx context.Context, s audit.Seal) error { return audit.KeepSeal(ctx, log, s) }, func() { _ = log.Close() }, nil
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	return func(_ context.Context, s audit.Seal) error {
		if _, err := fmt.Fprintln(f, asJSON(s)); err != nil {
			return err
		}
		return f.Sync()
	}, func() { _ = f.Close() }, nil
}

// sealRegularly writes a seal whenever the log has grown, until ctx ends.
func sealRegularly(ctx context.Context, log driver.Log, every time.Duration, write func(context.Context, audit.Seal) error) error {
	var last driver.Position
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
		info, err := log.Info(ctx)
		if err == nil && info.Head > last {
			last, err = info.Head, sealOnce(ctx, log, write)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func sealOnce(ctx context.Context, log driver.Log, write func(context.Context, audit.Seal) error) error {
	s, err := audit.TakeSeal(ctx, log)
	if err != nil || s.Position == 0 {
		return err
	}
	return write(ctx, s)
}
