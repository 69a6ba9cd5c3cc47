package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/internal/quorum"
)

// minPayload is the least max_payload of the servers that groups are cut to.
const minPayload = 64 << 10

var validLogName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Open joins the log in the NATS cluster at url (several servers apart by
// commas), keeps this node's copy in dir, and returns when the copy has all
// that the cluster had when opening began. Where there is no such log, it makes one.
//
// dir may be empty or missing, hold the copy of a node that was away, or be a
// restored backup of one.
func Open(ctx context.Context, url, dir string, opts *Options) (*Store, error) {
	s := &Store{opts: opts.withDefaults(), id: newNodeID(), changed: make(chan struct{}), deposed: make(chan struct{}, 1)}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	bounded, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	if err := s.open(bounded, url, dir); err != nil {
		s.cancel()
		s.wg.Wait()
		return nil, fmt.Errorf("open log %q on %s: %w", s.opts.Name, redacted(url), errors.Join(err, s.release()))
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, url, dir string) error {
	if !validLogName.MatchString(s.opts.Name) {
		return fmt.Errorf("%q cannot be the name of a log: letters, digits, dashes and underscores", s.opts.Name)
	}
	if err := s.connect(ctx, url); err != nil {
		return err
	}
	if s.opts.System == "" && !s.opts.Unverified {
		return fmt.Errorf("%w: there is no system account to ask (Options.System); Options.Unverified opens the log all the same", ErrUnverified)
	}
	local, err := localID(dir)
	if err != nil {
		return err
	}
	wanted := local
	if local == (driver.ID{}) {
		wanted = uuid.New()
	}
	if s.logID, err = s.findStream(ctx, wanted, !s.opts.MustExist && (local == (driver.ID{}) || s.opts.Seed)); err != nil {
		switch gone := errors.Is(err, jetstream.ErrStreamNotFound); {
		case gone && local == (driver.ID{}):
			return fmt.Errorf("the cluster holds no log of that name: %w", driver.ErrNotFound)
		case gone:
			return fmt.Errorf("the cluster has no stream of it, and %s holds a log; Options.Seed, seed in a URL, publishes it", dir)
		}
		return err
	}
	if local != (driver.ID{}) && local != s.logID {
		return fmt.Errorf("%s holds log %s, and the cluster's is %s", dir, local, s.logID)
	}
	if err := s.verifyDurability(ctx); err != nil {
		return err
	}
	if err := s.openCopy(dir); err != nil {
		return err
	}
	if err := s.place(ctx); err != nil {
		return err
	}
	kv, err := s.bucket(ctx)
	if err != nil {
		return err
	}
	s.state = &state{s: s, kv: kv}
	s.lease = newLease(s, kv)
	s.lane = newLane(s)
	s.intake = newIntake(s)
	if err := s.intake.open(); err != nil {
		return err
	}
	if err := s.lease.open(); err != nil {
		return err
	}
	s.wg.Go(s.lease.run)
	s.wg.Go(s.lane.run)
	caught := make(chan error, 1)
	s.wg.Go(func() { s.run(caught) })
	select {
	case err := <-caught:
		return err
	case <-ctx.Done():
		return s.clusterError("catch up", ctx.Err())
	}
}

// connect connects to the cluster. Wrong credentials and the like show at once.
func (s *Store) connect(ctx context.Context, url string) error {
	options := append([]nats.Option{
		nats.Name("annals " + s.opts.Name + " " + s.opts.Node),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 100*time.Millisecond),
		nats.PingInterval(max(s.opts.Takeover, time.Second)),
		nats.MaxPingsOutstanding(2),
		nats.Timeout(s.opts.Timeout / 3),
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectHandler(func(*nats.Conn) { s.connections.Add(1) }),
		nats.ReconnectBufSize(-1), // what cannot be sent now fails now, and is sent again by its owner
	}, s.opts.NATS...)
	nc, err := nats.Connect(url, options...)
	if err != nil {
		if errors.Is(err, nats.ErrAuthorization) {
			return err
		}
		return fmt.Errorf("connect: %w: %w", driver.ErrUnavailable, err)
	}
	s.nc = nc
	if s.js, err = jetstream.New(nc); err != nil {
		return err
	}
	if got := nc.MaxPayload(); got < minPayload {
		return fmt.Errorf("the servers' max_payload is %d bytes, and at least %d are needed", got, minPayload)
	}
	return nil
}

// payload is how much of a group goes into a message.
func (s *Store) payload() int { return int(s.nc.MaxPayload()) - 4096 }

// localID returns the ID of the log in dir, zero if there is none.
func localID(dir string) (driver.ID, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return driver.ID{}, nil
	}
	log, err := filestore.Open(dir, &filestore.Options{ReadOnly: true, MustExist: true})
	if errors.Is(err, fs.ErrNotExist) {
		return driver.ID{}, nil
	}
	if err != nil {
		return driver.ID{}, err
	}
	info, err := log.Info(context.Background())
	return info.LogID, errors.Join(err, log.Close())
}

// openCopy opens this node's copy.
func (s *Store) openCopy(dir string) error {
	var o filestore.Options
	if s.opts.Store != nil {
		o = *s.opts.Store
	}
	s.order = &quorum.Order{Publish: s.publish, Failed: func() { signal(s.deposed) }, GroupBytes: min(s.payload()*3/4, 1<<20)}
	o.ReadOnly, o.LogID, o.Limits, o.Clock, o.Order = false, s.logID, s.opts.Limits, s.opts.Clock, s.order
	if o.Logger == nil {
		o.Logger = s.opts.Logger
	}
	log, err := filestore.Open(dir, &o)
	if err != nil {
		return err
	}
	s.log = log
	info, err := log.Info(s.ctx)
	if err != nil {
		return err
	}
	if info.ReadOnly != "" {
		for err := range log.Verify(s.ctx, nil) {
			return fmt.Errorf("this node's copy is damaged; set it aside and open the node on an empty directory, it is copied anew: %w", err)
		}
		return fmt.Errorf("this node's copy cannot be written: %s", info.ReadOnly)
	}
	return nil
}
