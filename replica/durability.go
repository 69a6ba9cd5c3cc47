package replica

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-db/annals/driver"
)

// ErrUnverified is wrapped by the error of opening a log of which nothing says
// that the servers sync every write. Options.Unverified opens it all the same.
var ErrUnverified = errors.New("nothing says that the servers sync every write")

// verifyDurability asks the servers that keep the stream, through the system
// account, whether they sync every write.
func (s *Store) verifyDurability(ctx context.Context) error {
	if s.opts.System == "" {
		return nil
	}
	info, err := s.ledStream(ctx)
	if err != nil {
		return s.clusterError("the stream", err)
	}
	var keepers []string
	if c := info.Cluster; c != nil {
		keepers = append(keepers, c.Leader)
		for _, r := range c.Replicas {
			keepers = append(keepers, r.Name)
		}
	}
	sync, err := s.syncAlways(ctx, keepers)
	if err != nil {
		return err
	}
	// A server that is down for now must not keep nodes from opening; that most
	// of them sync is what an acknowledgement hangs on.
	var faults, silent []string
	for _, name := range keepers {
		if always, ok := sync[name]; !ok {
			silent = append(silent, name)
		} else if !always {
			faults = append(faults, fmt.Sprintf("server %s has no sync_interval: always", name))
		}
	}
	if len(keepers) < s.opts.Replicas {
		faults = append(faults, fmt.Sprintf("the stream is kept by %d servers, %q", len(keepers), keepers))
	}
	if 2*len(silent) >= len(keepers) {
		return fmt.Errorf("%w: of the servers that keep the stream, %q do not answer; has the cluster a quorum?", driver.ErrUnavailable, silent)
	}
	if silent != nil {
		s.opts.Logger.Warn("servers that keep the stream do not answer whether they sync every write", "servers", silent)
	}
	s.verified = faults == nil
	if faults != nil && !s.opts.Unverified {
		return fmt.Errorf("%w: %s", ErrUnverified, strings.Join(faults, "; "))
	}
	return nil
}

// ledStream returns the stream's state once it has a leader: one that was just
// made has none yet, and does not say who keeps it.
func (s *Store) ledStream(ctx context.Context) (*jetstream.StreamInfo, error) {
	for {
		info, err := s.streamInfo(ctx)
		if err != nil || info.Cluster == nil || info.Cluster.Leader != "" {
			return info, err
		}
		if sleep(ctx, 50*time.Millisecond); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// syncAlways asks all servers, until each of those named has answered or a second is over.
func (s *Store) syncAlways(ctx context.Context, named []string) (map[string]bool, error) {
	nc, err := nats.Connect(s.opts.System, append([]nats.Option{nats.Name("annals " + s.opts.Name + " system"), nats.Timeout(s.opts.Timeout / 3)}, s.opts.NATS...)...)
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return nil, fmt.Errorf("connect to the system account: %w", err)
	case err != nil:
		return nil, fmt.Errorf("connect to the system account: %w: %w", driver.ErrUnavailable, err)
	}
	defer nc.Close()
	inbox, err := nc.SubscribeSync(nats.NewInbox())
	if err != nil {
		return nil, err
	}
	if err := nc.PublishRequest("$SYS.REQ.SERVER.PING.JSZ", inbox.Subject, []byte(`{"config":true}`)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	found := map[string]bool{}
	for {
		msg, err := inbox.NextMsgWithContext(ctx)
		if errors.Is(err, nats.ErrNoResponders) {
			return nil, fmt.Errorf("%w: %s is not of the system account", ErrUnverified, redacted(s.opts.System))
		}
		if err != nil {
			return found, nil // the caller says who is missing
		}
		var reply struct {
			Server struct {
				Name string `json:"name"`
			} `json:"server"`
			Data struct {
				Config struct {
					SyncAlways bool `json:"sync_always"`
				} `json:"config"`
			} `json:"data"`
		}
		if json.Unmarshal(msg.Data, &reply) == nil && reply.Server.Name != "" {
			found[reply.Server.Name] = reply.Data.Config.SyncAlways
		}
		if !slices.ContainsFunc(named, func(n string) bool { _, ok := found[n]; return !ok }) {
			return found, nil
		}
	}
}

// redacted returns urls without passwords.
func redacted(urls string) string {
	list := strings.Split(urls, ",")
	for i, u := range list {
		scheme, rest, ok := strings.Cut(u, "://")
		if !ok {
			scheme, rest = "", u
		}
		if _, host, ok := strings.Cut(rest, "@"); ok {
			rest = host
		}
		if list[i] = rest; scheme != "" {
			list[i] = scheme + "://" + rest
		}
	}
	return strings.Join(list, ",")
}
