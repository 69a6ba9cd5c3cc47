package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/relay"
)

func (a *app) relayCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "relay",
		Short: "Publish events to NATS JetStream, Kafka or webhooks",
		Long: `A relay publishes the events of the log elsewhere, at least once and in order per
key, as CloudEvents. The configuration file declares it:

  { "store": "postgres://localhost/shop",
    "relays": {
      "orders":  { "query": ["category=order"], "to": "nats://localhost:4222" },
      "stock":   { "query": ["type=StockMoved"], "to": "kafka://localhost:9092/stock" },
      "partner": { "to": "https://partner.example/events", "secret_env": "PARTNER_SECRET", "attempts": 10 } } }

  annals --config shop.json relay run`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.relayRun(), a.relayLs())
	return cmd
}

func (a *app) relayRun() *cobra.Command {
	var caughtUp bool
	cmd := &cobra.Command{
		Use: "run [NAME...]", Short: "Run declared relays until interrupted",
		Long: `Run the relays that the configuration file declares, or those named, until
interrupted. A broker that is down is waited for. One relay that stops leaves the
others running. Of several processes that run one relay, one publishes and the others
wait to take over. Beside the writer of a file store, give the relay a "state" of its
own: a store that keeps how far it is, such as file:relay-state.`,
		Example: `  annals relay run
  annals relay run orders --until-caught-up`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			names := slices.Compact(slices.Sorted(slices.Values(args)))
			if len(names) == 0 {
				names = slices.Sorted(maps.Keys(a.config.Relays))
			}
			if len(names) == 0 {
				return usagef("no relay is declared in %s", first(a.config.name, "a configuration file: name one with --config"))
			}
			return a.withRelays(cmd.Context(), names, false, func(ctx context.Context, all map[string]*relay.Relay) error {
				return a.runRelays(ctx, names, all, caughtUp)
			})
		},
	}
	cmd.Flags().BoolVar(&caughtUp, "until-caught-up", false, "end when everything that the log has is published or set aside")
	return cmd
}

// runRelays runs relays, each for itself: what ends one leaves the others
// running. What ended them is returned, and told at once where others go on.
func (a *app) runRelays(ctx context.Context, names []string, all map[string]*relay.Relay, caughtUp bool) error {
	errs := a.eachForItself(ctx, "relay", names, true, func(i int) (err error) {
		if caughtUp {
			_, err = all[names[i]].Drain(ctx)
			return err
		}
		return all[names[i]].Run(ctx)
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	p := a.printer(relayHeaders...)
	for i, name := range names {
		if errs[i] != nil {
			continue
		}
		s, err := all[name].Status(ctx)
		if err != nil {
			return err
		}
		p.add(relayItem(&s))
	}
	return errors.Join(append(errs, p.finish())...)
}

var relayHeaders = []string{"RELAY", "POSITION", "HEAD", "DEAD", "WAITING", "HELD BY"}

func relayItem(s *relay.Status) item {
	text, _ := json.Marshal(s) // plain values cannot fail
	return item{text, []string{s.Name, fmt.Sprint(s.Position), fmt.Sprint(s.Head), fmt.Sprint(s.Dead), fmt.Sprint(s.Waiting), s.Holder}}
}

func (a *app) relayLs() *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "List relays, where they stand and what they have set aside",
		Example: `  annals relay ls`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			log, err := a.open(toRead)
			if err != nil {
				return err
			}
			defer log.Close()
			p := a.printer(relayHeaders...)
			err = a.states(cmd.Context(), log, func(state driver.State) error {
				for s, err := range relay.All(cmd.Context(), log, state) {
					if err != nil {
						return err
					}
					p.add(relayItem(&s))
				}
				return nil
			})
			if err != nil {
				return err
			}
			return p.finish()
		},
	}
}

// states calls f with every state in which relays may keep how far they are:
// the log's, and those that are declared.
func (a *app) states(ctx context.Context, log driver.Log, f func(driver.State) error) error {
	if state := driver.StateOf(log); state != nil {
		if err := f(state); err != nil {
			return err
		}
	}
	seen := map[string]bool{"": true}
	for _, name := range slices.Sorted(maps.Keys(a.config.Relays)) {
		url := a.config.Relays[name].State
		if seen[url] {
			continue
		}
		seen[url] = true
		store, err := a.openURL(ctx, url, opening{want: toRead})
		if errors.Is(err, driver.ErrNotFound) {
			continue // it has not run yet
		}
		if err != nil {
			return err
		}
		err = nil
		if state := driver.StateOf(store); state != nil {
			err = f(state)
		}
		if err := errors.Join(err, store.Close()); err != nil {
			return err
		}
	}
	return nil
}
