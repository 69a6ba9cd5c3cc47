package stores

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/move"
	"github.com/annals-db/annals/replica"
)

// natsURL is a node of a replicated log: nats://HOST,HOST/NAME?dir=PATH, with
// the parameters replicas, unverified, system, node and seed.
type natsURL struct {
	servers, dir string
	opts         replica.Options
}

const natsForm = "nats://HOST,HOST/NAME?dir=PATH"

func parseNATS(text string) (n natsURL, err error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return n, wrong(text, "write %s", natsForm)
	}
	q := u.Query()
	n.dir = q.Get("dir")
	if n.dir == "" {
		return n, wrong(text, "a node of a cluster keeps a copy of its own: say in which directory, %s", natsForm)
	}
	n.opts.Name, n.opts.Node, n.opts.System = strings.Trim(u.Path, "/"), q.Get("node"), q.Get("system")
	if n.opts.Unverified, err = flag(text, q, "unverified"); err != nil {
		return n, err
	}
	if n.opts.Seed, err = flag(text, q, "seed"); err != nil {
		return n, err
	}
	if count := q.Get("replicas"); count != "" {
		if n.opts.Replicas, err = strconv.Atoi(count); err != nil || n.opts.Replicas < 1 {
			return n, wrong(text, "replicas=%s is not a number from 1", count)
		}
	}
	for name := range q {
		switch name {
		case "dir", "node", "system", "unverified", "seed", "replicas":
		default:
			return n, wrong(text, "there is no parameter %q; there are dir, node, replicas, seed, system and unverified", name)
		}
	}
	var servers []string
	for host := range strings.SplitSeq(u.Host, ",") {
		servers = append(servers, (&url.URL{Scheme: u.Scheme, User: u.User, Host: host}).String())
	}
	n.servers = strings.Join(servers, ",")
	return n, nil
}

// flag returns a parameter that is true or false; given without a value it is true.
func flag(text string, q url.Values, name string) (bool, error) {
	if !q.Has(name) {
		return false, nil
	}
	if q.Get(name) == "" {
		return true, nil
	}
	b, err := strconv.ParseBool(q.Get(name))
	if err != nil {
		return false, wrong(text, "%s=%s is neither true nor false", name, q.Get(name))
	}
	return b, nil
}

func openNATS(ctx context.Context, text string, o Options) (driver.Log, error) {
	n, err := parseNATS(text)
	if err != nil {
		return nil, err
	}
	n.opts.Logger = o.Logger
	n.opts.MustExist = o.ReadOnly && !n.opts.Seed
	if o.Source != nil {
		return n.openSeeded(ctx, o)
	}
	log, err := replica.Open(ctx, n.servers, n.dir, &n.opts)
	if err != nil {
		return nil, err
	}
	return log, nil
}

// openSeeded opens a node that the log o.Source is copied to. A cluster that has
// a log of the name already is joined and not seeded, so that what it holds is
// compared with the source before anything is copied.
func (n *natsURL) openSeeded(ctx context.Context, o Options) (driver.Log, error) {
	if n.opts.Node == "" {
		n.opts.Node = fmt.Sprintf("copy-%d", os.Getpid())
	}
	if n.empty() {
		there := n.opts
		there.MustExist, there.Seed = true, false
		log, err := replica.Open(ctx, n.servers, n.dir, &there)
		switch {
		case err == nil:
			return log, nil
		case !errors.Is(err, driver.ErrNotFound):
			return nil, err
		}
		if err := n.bring(ctx, o); err != nil {
			return nil, err
		}
	} // else there is an earlier copy, which is completed through the cluster
	n.opts.Seed = true
	log, err := replica.Open(ctx, n.servers, n.dir, &n.opts)
	if err != nil {
		return nil, err
	}
	if err := seeded(ctx, log); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return log, nil
}

// empty reports whether there is nothing in the node's own directory.
func (n *natsURL) empty() bool {
	entries, err := os.ReadDir(n.dir)
	return len(entries) == 0 && (err == nil || errors.Is(err, fs.ErrNotExist))
}

// seeded waits until the cluster has what the node's copy has: before, no node sequences.
func seeded(ctx context.Context, log *replica.Store) error {
	for {
		s, err := log.Status(ctx)
		switch {
		case err != nil:
			return err
		case s.Fault != nil:
			return s.Fault
		case s.Leading, s.Sequencer != "" && s.Sequencer != s.Node:
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the cluster takes the node's copy: %w", context.Cause(ctx))
		}
	}
}

// bring copies the log to the node's own directory, from which the cluster is
// seeded.
func (n *natsURL) bring(ctx context.Context, o Options) error {
	copied, err := filestore.Open(n.dir, &filestore.Options{LogID: o.LogID, Logger: o.Logger})
	if err != nil {
		return err
	}
	_, err = move.Copy(ctx, o.Source, copied, &move.Options{NewLog: o.LogID == driver.ID{}, Progress: o.Progress})
	if err = errors.Join(err, copied.Close()); err != nil {
		return fmt.Errorf("the node's own copy: %w", err)
	}
	return nil
}
