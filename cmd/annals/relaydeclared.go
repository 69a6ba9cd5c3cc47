package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/wire"
	"github.com/annals-db/annals/relay"
)

// relayDeclaration is a relay as the configuration file has it.
type relayDeclaration struct {
	To         string   `json:"to"`         // nats://…, kafka://host:9092/topic, or a webhook's https://…
	Query      []string `json:"query"`      // such as category=order; any of them; everything by default
	Subject    string   `json:"subject"`    // NATS: what subjects begin with; events by default
	SecretEnv  string   `json:"secret_env"` // webhook: the environment variable with the secret
	Structured bool     `json:"structured"` // NATS, Kafka: the whole CloudEvent as JSON
	Source     string   `json:"source"`     // of the CloudEvents
	AtEnd      bool     `json:"at_end"`     // begin with what comes from now on
	Attempts   int      `json:"attempts"`   // before an event is set aside; for ever by default
	State      string   `json:"state"`      // the store that keeps how far it is; the log's by default
}

// withRelays calls f with the relays named, open. With connected, their brokers
// must answer; otherwise one that does not is waited for when something is published.
func (a *app) withRelays(ctx context.Context, names []string, connected bool, f func(context.Context, map[string]*relay.Relay) error) (err error) {
	want := toRead
	for _, name := range names {
		d, ok := a.config.Relays[name]
		if !ok {
			return usagef("there is no relay %q in %s", name, first(a.config.name, "the configuration, which is missing"))
		}
		if d.State == "" {
			want = toWrite // the log's own state keeps the checkpoint
		}
	}
	var ends []func() error
	defer func() {
		for i := len(ends) - 1; i >= 0; i-- {
			err = errors.Join(err, ends[i]())
		}
	}()
	log, err := a.open(want)
	if err != nil {
		return err
	}
	ends = append(ends, log.Close)
	states := map[string]driver.State{}
	all := map[string]*relay.Relay{}
	for _, name := range names {
		d := a.config.Relays[name]
		if d.State != "" && states[d.State] == nil {
			store, err := a.openURL(ctx, d.State, opening{want: toWrite})
			if err != nil {
				return fmt.Errorf("relays.%s.state: %w", name, err)
			}
			ends = append(ends, store.Close)
			if states[d.State] = driver.StateOf(store); states[d.State] == nil {
				return fmt.Errorf("relays.%s.state: this store keeps no state", name)
			}
		}
		r, end, err := d.open(ctx, a, name, log, states[d.State], connected)
		if err != nil {
			return &configError{a.config.name, err}
		}
		ends = append(ends, end)
		all[name] = r
	}
	return f(ctx, all)
}

// open returns the relay and what closes its connection.
func (d *relayDeclaration) open(ctx context.Context, a *app, name string, log driver.Log, state driver.State, connected bool) (*relay.Relay, func() error, error) {
	bad := func(field string, err error) (*relay.Relay, func() error, error) {
		return nil, nil, fmt.Errorf("relays.%s.%s: %w", name, field, err)
	}
	q, err := wire.ParseQuery(d.Query...)
	if err != nil {
		return bad("query", err)
	}
	if d.Attempts < 0 {
		return bad("attempts", errors.New("it is negative"))
	}
	sink, err := d.sink()
	if err != nil {
		return bad("to", err)
	}
	end := func() error { return nil }
	if c, ok := sink.(*connecting); ok {
		end = c.close
		if connected {
			if err := c.ensure(ctx); err != nil {
				return bad("to", errors.Join(err, c.close()))
			}
		}
	}
	r, err := relay.New(log, name, sink, &relay.Options{Query: q, Source: d.Source, AtEnd: d.AtEnd, Attempts: d.Attempts, State: state, Logger: a.logger()})
	if err != nil {
		return nil, nil, errors.Join(err, end())
	}
	return r, end, nil
}
