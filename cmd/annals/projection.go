package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/projection"
	"github.com/annals-db/annals/projection/declared"
)

func (a *app) projectionCommand() *cobra.Command {
	var o projecting
	cmd := &cobra.Command{
		Use:   "projection",
		Short: "Keep read models up to date, rebuild them beside the live ones, and switch",
		Long: `A projection keeps a read model, tables or documents, up to date with the log. An
application declares it in Go, or a configuration file says what a jq fold makes of
each event:

  { "store": "file:shop",
    "projections": { "stock": {
      "target": "sqlite:stock.db",
      "query": ["type=StockMoved"],
      "key": "sku", "by": "$event.stream | ltrimstr(\"product-\")",
      "columns": { "quantity": "integer" },
      "fold": ".quantity += $event.data.quantity" } } }

  annals --config shop.json projection run --until-caught-up
  sqlite3 stock.db 'SELECT * FROM stock ORDER BY quantity DESC LIMIT 5'

A new version is declared beside the old one under "versions", built beside it,
compared with it and switched to: rebuild, compare, switch. What was registered in
Go can be looked at, paused, resumed, reset, compared and switched where it is kept,
which --target names.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&o.target, "target", "", "where projections are kept: sqlite:PATH, postgres://… or documents: (default as declared)")
	cmd.AddCommand(a.projectionLs(&o), a.projectionStatus(&o), a.projectionRun(&o), a.projectionRebuild(&o), a.projectionCompare(&o),
		a.projectionSwitch(&o), a.projectionAct(&o, "pause", "Keep a projection from handling events until it is resumed", (*projection.Control).Pause),
		a.projectionAct(&o, "resume", "Let a paused projection go on", (*projection.Control).Resume),
		a.projectionAct(&o, "reset", "Empty a projection's tables and let it begin again", (*projection.Control).Reset),
		a.projectionAct(&o, "drop", "Remove a version that is not live, with its tables", (*projection.Control).Drop),
		a.projectionAct(&o, "revive", "Let a retired version catch up, so that it can be switched back to", (*projection.Control).Revive))
	return cmd
}

// projecting is what the flags of the projection commands say, and what is
// open for them.
type projecting struct {
	target  string
	version string // of the dead commands
	log     driver.Log
	open    map[string]*declared.Target
}

// targetOf returns the target of a projection: as the flag says, else as declared, else documents.
func (a *app) targetOf(o *projecting, name string) string {
	if o.target != "" {
		return o.target
	}
	return a.config.Projections[name].Target
}

// begin opens the log, for writing where documents are kept beside it or want says so.
func (o *projecting) begin(a *app, want access, names ...string) (err error) {
	for _, name := range names {
		if t := a.targetOf(o, name); t == "" || t == "documents:" {
			want = toWrite
		}
	}
	o.open = map[string]*declared.Target{}
	o.log, err = a.open(want)
	return err
}

// end closes what is open.
func (o *projecting) end() error {
	var errs []error
	for _, t := range o.open {
		errs = append(errs, t.Close())
	}
	if o.log != nil {
		errs = append(errs, o.log.Close())
	}
	return errors.Join(errs...)
}

// at returns the target at a URL, opened once.
func (o *projecting) at(ctx context.Context, url string) (*declared.Target, error) {
	if t := o.open[url]; t != nil {
		return t, nil
	}
	t, err := declared.OpenTarget(ctx, url, o.log)
	if errors.Is(err, declared.ErrTarget) {
		return nil, usage(err)
	}
	if err != nil {
		return nil, err
	}
	o.open[url] = t
	return t, nil
}

// control returns the control of a projection.
func (o *projecting) control(ctx context.Context, a *app, name string) (*projection.Control, error) {
	t, err := o.at(ctx, a.targetOf(o, name))
	if err != nil {
		return nil, err
	}
	return projection.NewControl(o.log, t), nil
}

func (a *app) projectionLs(o *projecting) *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "List projections, where they stand and what they lag behind",
		Example: `  annals projection ls
  annals projection ls --target postgres://localhost/shop`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := o.begin(a, toRead); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, o.end()) }()
			targets := []string{o.target}
			if o.target == "" {
				targets = a.targets()
			}
			p := a.printer(projectionHeaders...)
			for _, url := range targets {
				t, err := o.at(cmd.Context(), url)
				if errors.Is(err, errors.ErrUnsupported) && o.target == "" {
					continue // documents, in a store without a state
				}
				if err != nil {
					return err
				}
				all, err := projection.NewControl(o.log, t).List(cmd.Context())
				if err != nil {
					return err
				}
				for i := range all {
					p.add(projectionItem(&all[i]))
				}
			}
			return p.finish()
		},
	}
}

// targets are those of the projections that are declared, and the documents.
func (a *app) targets() []string {
	all := map[string]bool{"documents:": true}
	for name := range a.config.Projections {
		if t := a.config.Projections[name].Target; t != "" {
			all[t] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

var projectionHeaders = []string{"PROJECTION", "VERSION", "STATE", "POSITION", "BEHIND", "LAG", "DEAD", "TABLES"}

func projectionItem(s *projection.Status) item {
	state := string(s.State)
	if s.Paused {
		state += ", paused"
	}
	if len(s.Failures) > 0 {
		state += ", failing"
	}
	if s.Refused != "" {
		state += ", refused"
	}
	text, _ := json.Marshal(s) // plain values cannot fail
	return item{text, []string{s.Projection, s.Version, state, fmt.Sprint(s.Position), fmt.Sprint(s.Behind),
		s.Lag.Round(time.Millisecond).String(), fmt.Sprint(s.Letters), strings.Join(s.Tables, " ")}}
}

func (a *app) projectionStatus(o *projecting) *cobra.Command {
	return &cobra.Command{
		Use: "status NAME", Short: "Show every version of a projection, what it fails at and why it refuses the log",
		Example: `  annals projection status stock`,
		Args:    between(1, 1, "one NAME"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := o.begin(a, toRead); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, o.end()) }()
			c, err := o.control(cmd.Context(), a, args[0])
			if err != nil {
				return err
			}
			all, err := c.Status(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			p := a.printer(projectionHeaders...)
			for i := range all {
				p.add(projectionItem(&all[i]))
			}
			if err := p.finish(); err != nil || a.format != formatTable {
				return err
			}
			for i := range all {
				if why := all[i].Refused; why != "" {
					fmt.Fprintf(a.out, "%s %s refuses this log: %s\n", args[0], all[i].Version, why)
				}
				for _, f := range all[i].Failures {
					fmt.Fprintf(a.out, "%s %s fails at position %d (%s of %s), attempt %d: %s\n", args[0], all[i].Version, f.Position, f.Type, f.Stream, f.Attempts, f.Error)
				}
			}
			return nil
		},
	}
}

// projectionAct is a command that does one thing to a version, the live one by default.
func (a *app) projectionAct(o *projecting, verb, short string, act func(*projection.Control, context.Context, string, string) error) *cobra.Command {
	return &cobra.Command{
		Use: verb + " NAME [VERSION]", Short: short,
		Long: short + ".\nWithout VERSION the live one is meant. The action is also an event in the log.",
		Example: fmt.Sprintf(`  annals projection %s stock
  annals projection %s stock v2`, verb, verb),
		Args: between(1, 2, "NAME and perhaps VERSION"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := o.begin(a, toWrite); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, o.end()) }()
			c, err := o.control(cmd.Context(), a, args[0])
			if err != nil {
				return err
			}
			version := ""
			if len(args) == 2 {
				version = args[1]
			} else if verb == "drop" || verb == "revive" {
				return usagef("projection %s: name the version", verb)
			}
			return act(c, cmd.Context(), args[0], version)
		},
	}
}
