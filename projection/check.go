package projection

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/merkle"
)

// leaf is the leaf hash of a record in the log's tree.
func leaf(rec *driver.Record) string {
	var h merkle.Hasher
	sum := h.Leaf(rec)
	return hex.EncodeToString(sum[:])
}

// takeHead notes the log's tree head in the checkpoint.
func (p *partition) takeHead(ctx context.Context, cp *checkpoint) error {
	head, err := driver.TreeHead(ctx, p.r.log, cp.Position)
	if err == nil {
		cp.HeadAt, cp.Head = cp.Position, head
	}
	return err
}

// check compares the log with the checkpoint: whether it is the same log, is
// not shorter, and has the record that was handled last; thoroughly also
// whether everything before the last tree head noted is the same.
func (r *Runner) check(ctx context.Context, cp *checkpoint, thoroughly bool) error {
	refuse := func(format string, args ...any) error {
		return &CheckpointError{r.name, r.version, cp.Position, fmt.Sprintf(format, args...)}
	}
	info, err := r.log.Info(ctx)
	if err != nil {
		return err
	}
	if cp.Log != info.LogID {
		return refuse("its checkpoint is of log %s, this is log %s", cp.Log, info.LogID)
	}
	if end := max(cp.Position, cp.HeadAt); end > info.Head {
		return refuse("the log ends at position %d, so it was restored from an older backup", info.Head)
	}
	if cp.Last > 0 && cp.Leaf != "" {
		for rec, err := range r.log.Read(ctx, annals.Query{}, driver.ReadOptions{After: cp.Last - 1, UpTo: cp.Last}) {
			if err != nil {
				return err
			}
			if leaf(&rec) != cp.Leaf {
				return refuse("the event at position %d (%q in %q, ID %s) is not the one that was handled there, so the log was restored from an older backup and has gone on differently", rec.Position, rec.Type, rec.Stream, rec.ID)
			}
		}
	}
	if thoroughly && cp.HeadAt > 0 && cp.Head != "" {
		head, err := driver.TreeHead(ctx, r.log, cp.HeadAt)
		if err != nil {
			return err
		}
		if head != "" && head != cp.Head {
			return refuse("the log's tree head at position %d is %.16s…, it was %.16s… when the read model was made: its history is another", cp.HeadAt, head, cp.Head)
		}
	}
	return nil
}
