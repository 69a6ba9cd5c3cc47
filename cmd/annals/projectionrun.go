package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/projection"
	"github.com/annals-db/annals/projection/declared"
)

func (a *app) projectionRun(o *projecting) *cobra.Command {
	var caughtUp bool
	cmd := &cobra.Command{
		Use: "run [NAME...]", Short: "Run declared projections until interrupted",
		Long: `Run the projections that the configuration file declares, or those named, until
interrupted. Of each the live version runs, and a version that is being built beside
it; where another is switched to, that one. One that stops at an event leaves the others
running. Several processes may run one projection: each event takes effect once.

A file store has one writing process; beside it, projections into SQLite and
PostgreSQL can run, since they only read the log.`,
		Example: `  annals projection run
  annals projection run stock --until-caught-up`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			names := args
			if len(names) == 0 {
				names = slices.Sorted(maps.Keys(a.config.Projections))
			}
			if len(names) == 0 {
				return usagef("no projection is declared in %s", first(a.config.name, "a configuration file: name one with --config"))
			}
			var all []*declared.Version
			for _, name := range names {
				versions, err := a.config.versions(name)
				if err != nil {
					return err
				}
				all = append(all, versions...)
			}
			if err := o.begin(a, toRead, names...); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, o.end()) }()
			all, err = o.current(cmd.Context(), a, all)
			if err != nil {
				return err
			}
			return o.each(cmd.Context(), a, all, !caughtUp, func(ctx context.Context, runners []*projection.Runner) error {
				if caughtUp {
					return o.caughtUp(ctx, a, all, runners)
				}
				<-ctx.Done()
				return context.Cause(ctx)
			})
		},
	}
	cmd.Flags().BoolVar(&caughtUp, "until-caught-up", false, "end when everything that the log has is handled")
	return cmd
}

// current returns those of versions that are live or being built; of a
// projection that is not registered yet, the first.
func (o *projecting) current(ctx context.Context, a *app, versions []*declared.Version) (run []*declared.Version, err error) {
	began, idle := map[string]bool{}, map[string]error{}
	for _, v := range versions {
		c, err := o.control(ctx, a, v.Name)
		if err != nil {
			return nil, err
		}
		all, err := c.Status(ctx, v.Name)
		if errors.Is(err, driver.ErrNotFound) {
			if !began[v.Name] {
				began[v.Name] = true
				run = append(run, v)
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(s projection.Status) bool { return s.Version == v.Version && s.State != projection.Retired }) {
			run = append(run, v)
			began[v.Name] = true
		} else {
			idle[v.Name] = notDeclared(a, &all[0])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(idle)) {
		if !began[name] {
			return nil, usage(idle[name])
		}
	}
	return run, nil
}

// notDeclared says that the live version is not declared.
func notDeclared(a *app, live *projection.Status) error {
	return fmt.Errorf("projection %s: its live version is %s, which %s does not declare", live.Projection, live.Version, a.config.name)
}

// runners opens versions.
func (o *projecting) runners(ctx context.Context, a *app, versions []*declared.Version) (all []*projection.Runner, err error) {
	for _, v := range versions {
		t, err := o.at(ctx, a.targetOf(o, v.Name))
		if err != nil {
			return nil, err
		}
		r, err := v.Open(ctx, t, a.logger())
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// running calls f while versions run, and ends them then. It returns early
// with the error of a version that ends by itself.
func (o *projecting) running(ctx context.Context, a *app, versions []*declared.Version, f func(context.Context, []*projection.Runner) error) error {
	runners, err := o.runners(ctx, a, versions)
	if err != nil {
		return err
	}
	inner, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	for _, r := range runners {
		wg.Go(func() {
			err := r.Run(inner)
			if inner.Err() == nil && !errors.Is(err, projection.ErrRetired) {
				cancel(err)
			}
		})
	}
	err = f(inner, runners)
	if inner.Err() != nil && ctx.Err() == nil {
		err = context.Cause(inner)
	}
	cancel(nil)
	wg.Wait()
	return err
}

// caughtUp waits until the runners have handled what the log has now, or have
// ended with an error, and prints where they stand.
func (o *projecting) caughtUp(ctx context.Context, a *app, versions []*declared.Version, runners []*projection.Runner) error {
	info, err := o.log.Info(ctx)
	if err != nil {
		return err
	}
	p := a.printer(projectionHeaders...)
	var failed []error
	for i, r := range runners {
		s, err := o.statusOf(ctx, a, versions[i])
		if err == nil && s.Paused {
			err = fmt.Errorf("projection %s %s is paused and will not catch up: resume it", s.Projection, s.Version)
		}
		if err == nil {
			err = o.wait(ctx, a, versions[i], r, info.Head)
		}
		if err != nil && ctx.Err() != nil {
			return err
		}
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if s, err = o.statusOf(ctx, a, versions[i]); err != nil {
			return err
		}
		p.add(projectionItem(&s))
	}
	return errors.Join(append(failed, p.finish())...)
}

// statusOf returns the status of a version that is open.
func (o *projecting) statusOf(ctx context.Context, a *app, v *declared.Version) (projection.Status, error) {
	c, err := o.control(ctx, a, v.Name)
	if err != nil {
		return projection.Status{}, err
	}
	all, err := c.Status(ctx, v.Name)
	if err != nil {
		return projection.Status{}, err
	}
	for _, s := range all {
		if s.Version == v.Version {
			return s, nil
		}
	}
	return projection.Status{}, fmt.Errorf("projection %s: version %s: %w", v.Name, v.Version, driver.ErrNotFound)
}

// wait waits for a runner to handle everything up to head, and shows how far it is.
func (o *projecting) wait(ctx context.Context, a *app, v *declared.Version, r *projection.Runner, head driver.Position) error {
	bar := a.progress(v.Name+" "+v.Version, "events", int64(head))
	defer bar.finish()
	const steps = 200
	for n := driver.Position(1); n <= steps; n++ {
		p := head * n / steps
		if err := r.Wait(ctx, p); err != nil {
			return err
		}
		bar.set(int64(p), int64(head))
	}
	return nil
}

// declaredVersion returns a version that is declared.
func (a *app) declaredVersion(name, version string) (*declared.Version, error) {
	all, err := a.config.versions(name)
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		if v.Version == version {
			return v, nil
		}
	}
	return nil, usagef("projection %s has no version %q in %s", name, version, a.config.name)
}

func (a *app) projectionRebuild(o *projecting) *cobra.Command {
	return &cobra.Command{
		Use: "rebuild NAME VERSION", Short: "Build a version beside the live one, in tables of its own",
		Long: `Run a declared version from the log's beginning in tables of its own, until it has
caught up. Readers see nothing of it. Then compare it, and switch to it or drop it.`,
		Example: `  annals projection rebuild stock v2
  annals projection compare stock v2
  annals projection switch stock v2`,
		Args: between(2, 2, "NAME and VERSION"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			v, err := a.declaredVersion(args[0], args[1])
			if err != nil {
				return err
			}
			if err := o.begin(a, toRead, v.Name); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, o.end()) }()
			all := []*declared.Version{v}
			return o.running(cmd.Context(), a, all, func(ctx context.Context, runners []*projection.Runner) error {
				return o.caughtUp(ctx, a, all, runners)
			})
		},
	}
}

// abreast calls f while the live version and the one named run, as far as they are declared.
func (o *projecting) abreast(ctx context.Context, a *app, name, version string, f func(context.Context, *projection.Control) error) error {
	c, err := o.control(ctx, a, name)
	if err != nil {
		return err
	}
	registered, err := c.Status(ctx, name)
	if err != nil {
		return err
	}
	var run []*declared.Version
	if _, is := a.config.Projections[name]; is {
		all, err := a.config.versions(name)
		if err != nil {
			return err
		}
		for _, v := range all {
			if slices.ContainsFunc(registered, func(s projection.Status) bool {
				return s.Version == v.Version && (s.State == projection.Live || s.Version == version)
			}) {
				run = append(run, v)
			}
		}
	}
	a.noteWaiting(registered, version, run)
	return o.running(ctx, a, run, func(ctx context.Context, _ []*projection.Runner) error { return f(ctx, c) })
}

// noteWaiting says which of the live version and the one named is waited for,
// because it is behind and not among those that run here.
func (a *app) noteWaiting(registered []projection.Status, version string, run []*declared.Version) {
	both := slices.DeleteFunc(slices.Clone(registered), func(s projection.Status) bool {
		return s.State == projection.Retired || s.State != projection.Live && s.Version != version
	})
	if len(both) < 2 || both[0].Position > 0 && both[0].Position == both[1].Position {
		return
	}
	for _, s := range both {
		if s.Behind > 0 && !slices.ContainsFunc(run, func(v *declared.Version) bool { return v.Version == s.Version }) {
			a.note("waiting for who runs %s %s, which is not declared here: it is at position %d of %d", s.Projection, s.Version, s.Position, s.Head)
		}
	}
}

func (a *app) projectionCompare(o *projecting) *cobra.Command {
	limit, exitCode := 20, false
	cmd := &cobra.Command{
		Use: "compare NAME VERSION", Short: "Compare a version with the live one, row by row",
		Long: `Bring both versions to one position of the log and compare their tables row by row.
All rows that differ are counted, and up to --limit of each table listed with the
columns that differ; a row that only one of them has is listed whole.`,
		Example: `  annals projection compare stock v2
  annals projection compare stock v2 --limit 1000 --exit-code`,
		Args: between(2, 2, "NAME and VERSION"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if limit < 0 {
				return usagef("--limit is negative")
			}
			if err := o.begin(a, toRead, args[0]); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, o.end()) }()
			var found []projection.Comparison
			err = o.abreast(cmd.Context(), a, args[0], args[1], func(ctx context.Context, c *projection.Control) (err error) {
				found, err = c.Compare(ctx, args[0], args[1], limit)
				return err
			})
			if err != nil {
				return err
			}
			return a.compared(found, exitCode)
		},
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", limit, "list at most so many differences of each table")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with code 1 if any row differs")
	return cmd
}

// compared prints the differences.
func (a *app) compared(found []projection.Comparison, exitCode bool) error {
	p := a.printer("TABLE", "KEY", "LIVE", "NEW")
	differing := 0
	for _, c := range found {
		differing += c.Differing
		for _, d := range c.Differences {
			text, err := json.Marshal(struct {
				Table string `json:"table"`
				projection.Difference
			}{c.Table, d})
			if err != nil {
				return err
			}
			p.add(item{text, []string{c.Table, d.Key, columnsOf(d.Live), columnsOf(d.Next)}})
		}
	}
	if err := p.finish(); err != nil {
		return err
	}
	for _, c := range found {
		listed := ""
		if len(c.Differences) < c.Differing {
			listed = fmt.Sprintf(", the first %d listed", len(c.Differences))
		}
		a.note("%s: %s live, %s new, %d differ%s", c.Table, count(c.LiveRows, "row"), count(c.NextRows, "row"), c.Differing, listed)
		for what, columns := range map[string][]string{"live": c.OnlyLive, "new": c.OnlyNext} {
			for _, name := range columns {
				a.note("%s: column %s is only in the %s version", c.Table, name, what)
			}
		}
	}
	if exitCode && differing > 0 {
		return fmt.Errorf("the versions differ in %s", count(differing, "row"))
	}
	return nil
}

// columnsOf shows the columns of a row that differ, "-" where there is no row.
func columnsOf(row map[string]any) string {
	if row == nil {
		return "-"
	}
	text, err := json.Marshal(row)
	if err != nil {
		return fmt.Sprint(row)
	}
	return string(text)
}

func (a *app) projectionSwitch(o *projecting) *cobra.Command {
	return &cobra.Command{
		Use: "switch NAME VERSION", Short: "Make a version the live one, in one step",
		Long: `Bring both versions to one position of the log and let readers find the tables of
VERSION where those of the live one were, in one transaction. The old version is
retired and keeps its tables until it is dropped; revive lets it catch up again.`,
		Example: `  annals projection switch stock v2
  annals projection drop stock v1`,
		Args: between(2, 2, "NAME and VERSION"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := o.begin(a, toWrite, args[0]); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, o.end()) }()
			return o.abreast(cmd.Context(), a, args[0], args[1], func(ctx context.Context, c *projection.Control) error {
				return c.Switch(ctx, args[0], args[1])
			})
		},
	}
}
