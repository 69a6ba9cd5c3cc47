package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/group"
	"github.com/annals-db/annals/projection"
	"github.com/annals-db/annals/relay"
)

const deadNames = `NAME is that of a projection, relay/NAME that of a relay, group/NAME that of a consumer
group.`

func (a *app) deadCommand() *cobra.Command {
	var o projecting
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "List, show, retry and drop events that were set aside",
		Long: `An event whose handler has failed often enough, or that a broker refuses, is set
aside as a dead letter, and later events of its key wait behind it. Other keys go on.
` + deadNames,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&o.target, "target", "", "where projections are kept (default as declared)")
	cmd.PersistentFlags().StringVar(&o.version, "version", "", "of which version of a projection (default the live one)")
	cmd.AddCommand(a.deadLs(&o), a.deadShow(&o), a.deadRetry(&o), a.deadDrop(&o))
	return cmd
}

// deadJSON is a dead letter as it is printed.
type deadJSON struct {
	Of       string          `json:"of"`
	Position driver.Position `json:"position"`
	Key      string          `json:"key"`
	Stream   string          `json:"stream,omitempty"`
	Type     string          `json:"type,omitempty"`
	Error    string          `json:"error,omitempty"` // "" where it waits behind another
	Attempts int             `json:"attempts,omitempty"`
	Time     *time.Time      `json:"time,omitempty"`
	Version  string          `json:"version,omitempty"` // of a projection
}

func (d *deadJSON) item() (item, error) {
	text, err := json.Marshal(d)
	why := d.Error
	if why == "" {
		why = "waits behind another"
	}
	return item{text, []string{d.Of, d.Version, fmt.Sprint(d.Position), d.Key, d.Type, fmt.Sprint(d.Attempts), why}}, err
}

// versioned refuses a version of what has none; an empty name is everything.
func (o *projecting) versioned(name string) error {
	if o.version != "" && (name == "" || strings.Contains(name, "/")) {
		return usagef("--version is that of a projection: name one")
	}
	return nil
}

// letters returns the dead letters of one name; of a projection those of the
// version that the flags say, else of the live one, and with building also of
// those that are being built beside it.
func (o *projecting) letters(ctx context.Context, a *app, name string, building bool) ([]deadJSON, error) {
	var all []deadJSON
	if err := o.versioned(name); err != nil {
		return nil, err
	}
	if of, is := strings.CutPrefix(name, "group/"); is {
		s, err := group.Inspect(ctx, o.log, of)
		for _, p := range s.Parked {
			all = append(all, deadJSON{name, p.Position, p.Key, p.Stream, p.Type, p.Error, p.Attempts, &p.At, ""})
		}
		return all, err
	}
	if of, is := strings.CutPrefix(name, "relay/"); is {
		_, known := a.config.Relays[of]
		err := a.states(ctx, o.log, func(state driver.State) error {
			if !known {
				var err error
				if known, err = hasRelay(ctx, o.log, state, of); !known {
					return err
				}
			}
			found, err := relayLetters(ctx, o.log, state, of)
			all = append(all, found...)
			return err
		})
		if err == nil && !known {
			err = fmt.Errorf("relay %s: %w", of, driver.ErrNotFound)
		}
		return all, err
	}
	c, err := o.control(ctx, a, name)
	if err != nil {
		return nil, err
	}
	versions, err := c.Status(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		if o.version == v.Version || o.version == "" && (v.State == projection.Live || building && v.State == projection.Building) {
			letters, err := c.Letters(ctx, name, v.Version)
			if err != nil {
				return nil, err
			}
			for _, l := range letters {
				all = append(all, deadJSON{name, l.Position, l.Key, l.Stream, l.Type, l.Error, l.Attempts, &l.Time, v.Version})
			}
		}
	}
	if !slices.ContainsFunc(versions, func(v projection.Status) bool { return o.version == "" || o.version == v.Version }) {
		err = fmt.Errorf("projection %s: version %s: %w", name, o.version, driver.ErrNotFound)
	}
	return all, err
}

// hasRelay reports whether a relay of that name has ever run with that state.
func hasRelay(ctx context.Context, log driver.Log, state driver.State, name string) (bool, error) {
	for s, err := range relay.All(ctx, log, state) {
		if err != nil || s.Name == name {
			return err == nil, err
		}
	}
	return false, nil
}

func relayLetters(ctx context.Context, log driver.Log, state driver.State, name string) (all []deadJSON, err error) {
	r, err := relay.New(log, name, nil, &relay.Options{State: state})
	if err != nil {
		return nil, err
	}
	for l, err := range r.Letters().All(ctx) {
		if err != nil {
			return nil, err
		}
		for i, p := range l.Positions {
			d := deadJSON{Of: "relay/" + name, Position: p, Key: l.Key}
			if i == 0 {
				d.Error, d.Attempts, d.Time = l.Error, l.Attempts, &l.Since
			}
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b deadJSON) int { return int(a.Position) - int(b.Position) })
	return all, nil
}

// names returns everything that may have dead letters.
func (o *projecting) names(ctx context.Context, a *app) (names []string, err error) {
	seen := map[string]bool{}
	for _, url := range a.targets() {
		t, err := o.at(ctx, url)
		if errors.Is(err, errors.ErrUnsupported) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all, err := projection.NewControl(o.log, t).List(ctx)
		if err != nil {
			return nil, err
		}
		for _, s := range all {
			if a.targetOf(o, s.Projection) == url || url == "documents:" && a.targetOf(o, s.Projection) == "" {
				seen[s.Projection] = true
			}
		}
	}
	err = a.states(ctx, o.log, func(state driver.State) error {
		for s, err := range relay.All(ctx, o.log, state) {
			if err != nil {
				return err
			}
			seen["relay/"+s.Name] = true
		}
		return nil
	})
	if driver.StateOf(o.log) != nil && err == nil {
		var groups []string
		groups, err = group.List(ctx, o.log)
		for _, g := range groups {
			seen["group/"+g] = true
		}
	}
	return slices.Sorted(maps.Keys(seen)), err
}

func (a *app) deadLs(o *projecting) *cobra.Command {
	return &cobra.Command{
		Use: "ls [NAME]", Short: "List dead letters",
		Long: `List dead letters, of everything that has some or of one. Of a projection those of the
live version and of those that are being built are listed. ` + deadNames,
		Example: `  annals dead ls
  annals dead ls relay/orders
  annals dead ls stock --version v2`,
		Args: between(0, 1, "perhaps a NAME"),
		RunE: func(cmd *cobra.Command, names []string) (err error) {
			if err := o.begin(a, toRead); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, o.end()) }()
			if len(names) == 0 {
				if err := o.versioned(""); err != nil {
					return err
				}
				if names, err = o.names(cmd.Context(), a); err != nil {
					return err
				}
			}
			p := a.printer("OF", "VERSION", "POSITION", "KEY", "TYPE", "ATTEMPTS", "ERROR")
			for _, name := range names {
				all, err := o.letters(cmd.Context(), a, name, true)
				if err != nil {
					return err
				}
				for i := range all {
					row, err := all[i].item()
					if err != nil {
						return err
					}
					p.add(row)
				}
			}
			return p.finish()
		},
	}
}

func position(text string) (driver.Position, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 {
		return 0, usagef("%q is no position: a number from 1", text)
	}
	return driver.Position(n), nil
}

func (a *app) deadShow(o *projecting) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME POSITION", Short: "Show a dead letter: its error and its event",
		Long:    "Show a dead letter: its error and its event. " + deadNames,
		Example: `  annals dead show stock 17`,
		Args:    between(2, 2, "NAME and POSITION"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			at, err := position(args[1])
			if err != nil {
				return err
			}
			if err := o.begin(a, toRead); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, o.end()) }()
			d, err := o.letter(cmd.Context(), a, args[0], at)
			if err != nil {
				return err
			}
			for r, err := range o.log.Read(cmd.Context(), driver.Query{}, driver.ReadOptions{After: at - 1, UpTo: at}) {
				if err != nil {
					return err
				}
				return a.showDead(&d, &r)
			}
			return nil
		},
	}
}

// letter returns the dead letter at a position.
func (o *projecting) letter(ctx context.Context, a *app, name string, at driver.Position) (deadJSON, error) {
	all, err := o.letters(ctx, a, name, false)
	if err != nil {
		return deadJSON{}, err
	}
	for _, d := range all {
		if d.Position == at {
			return d, nil
		}
	}
	return deadJSON{}, fmt.Errorf("%s has no dead letter at position %d: %w", name, at, driver.ErrNotFound)
}

func (a *app) deadRetry(o *projecting) *cobra.Command {
	var key string
	var dry bool
	cmd := &cobra.Command{
		Use: "retry NAME", Short: "Handle dead letters again, in order",
		Long: `Handle the dead letters again, key by key and in order; of a key up to the first that
fails again. With --dry-run nothing stays: a projection's handlers run in a transaction
that is undone, and of a relay what would be published is printed.

A projection that the configuration file declares is handled here, one that an
application declares by the process that runs it, which must be running. A group's
events are delivered again by the worker that has their partition. ` + deadNames,
		Example: `  annals dead retry stock --dry-run
  annals dead retry relay/orders --key order-17`,
		Args: between(1, 1, "one NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.retry(cmd.Context(), o, args[0], key, dry)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "only of this key")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would come of it")
	return cmd
}

func (a *app) deadDrop(o *projecting) *cobra.Command {
	return &cobra.Command{
		Use: "drop NAME POSITION", Short: "Drop a dead letter: its event never takes effect",
		Long: `Drop a dead letter: its event never takes effect, or is never published. What waits
behind it follows: of a relay at once, of a projection with the next retry. ` + deadNames,
		Example: `  annals dead drop stock 17`,
		Args:    between(2, 2, "NAME and POSITION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := position(args[1])
			if err != nil {
				return err
			}
			return a.drop(cmd.Context(), o, args[0], at)
		},
	}
}
