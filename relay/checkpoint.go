package relay

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/lease"
)

// checkpoint is how far a relay has come, as it lies in the state beside the lease.
type checkpoint struct {
	Log      driver.ID       `json:"log"`
	Position driver.Position `json:"position"`       // everything up to it is published or set aside
	Head     string          `json:"head,omitempty"` // the log's tree head there
}

// CheckpointError says that the log is not the one that the relay has
// published from: nothing of it is published.
type CheckpointError struct {
	Relay    string
	Position driver.Position // up to which it has published
	Reason   string
}

func (e *CheckpointError) Error() string {
	return fmt.Sprintf("it has published up to position %d of another history: %s", e.Position, e.Reason)
}

// load returns the checkpoint beside the lease, after a look at whether the log
// is the one it is of; a new one if there is none.
func (r *Relay) load(ctx context.Context, l *lease.Lease) (checkpoint, error) {
	info, err := r.log.Info(ctx)
	if err != nil {
		return checkpoint{}, err
	}
	var c checkpoint
	if l.Value() == nil {
		c.Log = info.LogID
		if r.opts.AtEnd {
			c.Position = info.Head
		}
		return c, nil
	}
	if err := json.Unmarshal(l.Value(), &c); err != nil {
		return c, fmt.Errorf("the checkpoint: %w", err)
	}
	refuse := func(format string, args ...any) error {
		return &CheckpointError{Relay: r.name, Position: c.Position, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case c.Log != info.LogID:
		return c, refuse("the checkpoint is of log %s, and this is log %s", c.Log, info.LogID)
	case c.Position > info.Head:
		return c, refuse("this log ends at position %d, so it was restored from an older backup", info.Head)
	}
	head, err := driver.TreeHead(ctx, r.log, c.Position)
	if err == nil && head != "" && c.Head != "" && head != c.Head {
		err = refuse("this log holds other events up to there, so it was restored from an older backup and has gone on differently")
	}
	return c, err
}

// save moves the checkpoint to p.
func (s *session) save(ctx context.Context, p driver.Position) error {
	next := checkpoint{Log: s.checkpoint.Log, Position: p}
	var err error
	if next.Head, err = driver.TreeHead(ctx, s.r.log, p); err != nil {
		return err
	}
	value, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := s.lease.Save(ctx, value); err != nil {
		return err
	}
	s.checkpoint = next
	return nil
}
