package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/group"
	"github.com/annals-db/annals/internal/wire"
	"github.com/annals-db/annals/projection"
	"github.com/annals-db/annals/relay"
)

// showDead prints a dead letter and its event.
func (a *app) showDead(d *deadJSON, r *driver.Record) error {
	event := wire.AppendRecord(nil, r)
	text, err := json.Marshal(struct {
		*deadJSON
		Event json.RawMessage `json:"event"`
	}{d, event})
	if err != nil {
		return err
	}
	list := [][2]string{{"of", d.Of}}
	if d.Version != "" {
		list = append(list, [2]string{"version", d.Version})
	}
	list = append(list, [][2]string{{"position", fmt.Sprint(d.Position)}, {"key", d.Key}, {"type", r.Type}}...)
	if d.Error != "" {
		list = append(list, [2]string{"error", d.Error}, [2]string{"attempts", fmt.Sprint(d.Attempts)})
	} else {
		list = append(list, [2]string{"error", "none: it waits behind an earlier event of its key"})
	}
	return a.one(text, append(list, [2]string{"event", string(event)}))
}

func (a *app) retry(ctx context.Context, o *projecting, name, key string, dry bool) (err error) {
	if err := o.versioned(name); err != nil {
		return err
	}
	if of, is := strings.CutPrefix(name, "relay/"); is {
		return a.withRelays(ctx, []string{of}, !dry, func(ctx context.Context, all map[string]*relay.Relay) error {
			return a.retryRelay(ctx, all[of], key, dry)
		})
	}
	if err := o.begin(a, toWrite); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.end()) }()
	if of, is := strings.CutPrefix(name, "group/"); is {
		return a.retryGroup(ctx, o, of, key, dry)
	}
	c, err := o.control(ctx, a, name)
	if err != nil {
		return err
	}
	r, err := a.retryProjection(ctx, o, c, name, key, dry)
	if err != nil {
		return err
	}
	if key != "" && r.Done == 0 && r.Left == 0 {
		return noLetter(name, key)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	list := [][2]string{{"done", fmt.Sprint(r.Done)}, {"left", fmt.Sprint(r.Left)}, {"dry run", fmt.Sprint(r.Dry)}}
	if r.Failed != nil {
		list = append(list, [2]string{"failed at", fmt.Sprint(r.Failed.Position)}, [2]string{"error", r.Failed.Error})
	}
	if err := a.one(text, list); err != nil || r.Failed == nil {
		return err
	}
	return fmt.Errorf("the event at position %d fails again: %s", r.Failed.Position, r.Failed.Error)
}

func noLetter(of, key string) error {
	return fmt.Errorf("%s has no dead letter of key %q: %w", of, key, driver.ErrNotFound)
}

// retryProjection retries here what is declared, and elsewhere what is not.
func (a *app) retryProjection(ctx context.Context, o *projecting, c *projection.Control, name, key string, dry bool) (projection.Retried, error) {
	if _, is := a.config.Projections[name]; !is {
		note := time.AfterFunc(3*time.Second, func() { a.note("waiting for who runs %s, which is not declared here", name) })
		defer note.Stop()
		return c.Retry(ctx, name, o.version, key, dry)
	}
	all, err := c.Status(ctx, name) // the live version first
	if err != nil {
		return projection.Retried{}, err
	}
	version := first(o.version, all[0].Version)
	if !slices.ContainsFunc(all, func(s projection.Status) bool { return s.Version == version }) {
		return projection.Retried{}, fmt.Errorf("projection %s: version %s: %w", name, version, driver.ErrNotFound)
	}
	v, err := a.declaredVersion(name, version)
	if err != nil {
		return projection.Retried{}, err
	}
	t, err := o.at(ctx, a.targetOf(o, name))
	if err != nil {
		return projection.Retried{}, err
	}
	r, err := v.Open(ctx, t, a.logger())
	if err != nil {
		return projection.Retried{}, err
	}
	return r.Retry(ctx, key, dry)
}

func (a *app) retryRelay(ctx context.Context, r *relay.Relay, key string, dry bool) error {
	var keys []string
	for l, err := range r.Letters().All(ctx) {
		if err != nil {
			return err
		}
		if key == "" || l.Key == key {
			keys = append(keys, l.Key)
		}
	}
	if key != "" && len(keys) == 0 {
		return noLetter("the relay", key)
	}
	slices.Sort(keys)
	done := 0
	var failed error
	for _, k := range keys {
		if dry {
			for m, err := range r.Letters().Messages(ctx, k) {
				if err != nil {
					return err
				}
				text, err := m.MarshalJSON()
				if err != nil {
					return err
				}
				if err := a.value(text); err != nil {
					return err
				}
			}
			continue
		}
		n, err := r.Letters().Retry(ctx, k)
		done += n
		if failed == nil {
			failed = err
		}
	}
	if dry {
		return nil
	}
	return errors.Join(a.one(fmt.Appendf(nil, `{"published":%d}`, done), [][2]string{{"published", fmt.Sprint(done)}}), failed)
}

func (a *app) retryGroup(ctx context.Context, o *projecting, name, key string, dry bool) error {
	s, err := group.Inspect(ctx, o.log, name)
	if err != nil {
		return err
	}
	var positions []driver.Position
	for _, p := range s.Parked {
		if key == "" || p.Key == key {
			positions = append(positions, p.Position)
		}
	}
	if key != "" && len(positions) == 0 {
		return noLetter("group/"+name, key)
	}
	if len(positions) > 0 && !dry {
		if err := group.Replay(ctx, o.log, name, positions...); err != nil {
			return err
		}
	}
	return a.one(fmt.Appendf(nil, `{"to_deliver":%d,"dry":%t}`, len(positions), dry), [][2]string{{"to be delivered again", fmt.Sprint(len(positions))}})
}

func (a *app) drop(ctx context.Context, o *projecting, name string, at driver.Position) (err error) {
	if err := o.versioned(name); err != nil {
		return err
	}
	if of, is := strings.CutPrefix(name, "relay/"); is {
		return a.withRelays(ctx, []string{of}, true, func(ctx context.Context, all map[string]*relay.Relay) error {
			for l, err := range all[of].Letters().All(ctx) {
				if err != nil {
					return err
				}
				if l.Positions[0] == at {
					return all[of].Letters().Drop(ctx, l.Key, false)
				}
			}
			return fmt.Errorf("no dead letter of the relay begins with position %d: %w", at, driver.ErrNotFound)
		})
	}
	if err := o.begin(a, toWrite); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.end()) }()
	if of, is := strings.CutPrefix(name, "group/"); is {
		return group.Drop(ctx, o.log, of, at)
	}
	c, err := o.control(ctx, a, name)
	if err != nil {
		return err
	}
	return c.Discard(ctx, name, o.version, at)
}
