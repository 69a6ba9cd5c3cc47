package collab

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/annals-db/annals/driver"
)

// Group is what one author did in one go: edits of consecutive versions with
// pauses shorter than [Options.Pause].
type Group struct {
	Author      string
	First, Last uint64 // versions
	Begin, End  time.Time
	Inserted    int // code points
	Deleted     int
	Kind        Kind // of all of them; Typed where they differ
}

// History yields the groups of the text's edits up to the present, the first first.
func (d *Document) History(ctx context.Context) iter.Seq2[Group, error] {
	return func(yield func(Group, error) bool) {
		groups, err := d.groups(ctx)
		if err != nil {
			yield(Group{}, fmt.Errorf("history of text %q: %w", d.name, err))
			return
		}
		for _, g := range groups {
			if !yield(g, nil) {
				return
			}
		}
	}
}

// grouped is the groups of a text's edits up to a version, kept beside the log.
type grouped struct {
	Log      driver.ID
	Stream   string
	Version  uint64
	Position driver.Position
	ID       driver.ID // of the record at Position
	Pause    time.Duration
	Groups   []Group
}

func (d *Document) groupsKey() string { return "collab/" + d.stream + "/groups" }

// groups goes on from what is kept, and keeps what has come, once it is much.
func (d *Document) groups(ctx context.Context) ([]Group, error) {
	_, head := d.Text()
	all := d.grouped(ctx, head)
	kept := all.Version
	err := d.records(ctx, all.Position, 0, func(r *driver.Record) error {
		if r.Version > head {
			return errEnough
		}
		e, err := d.docs.edited(r)
		if err != nil {
			return err
		}
		all.Version, all.Position, all.ID = r.Version, r.Position, r.ID
		if n := len(all.Groups); n == 0 || !all.Groups[n-1].joins(e, d.docs.opts.Pause) {
			all.Groups = append(all.Groups, groupOf(e))
		}
		return nil
	})
	if err != nil && err != errEnough {
		return nil, err
	}
	if store := d.store(); store != nil && all.Version-kept >= uint64(d.docs.opts.SnapshotEvery) {
		data, err := json.Marshal(all)
		if err == nil {
			_, err = store.Save(ctx, d.groupsKey(), packer.EncodeAll(data, nil), driver.AnyRevision)
		}
		if err != nil {
			d.docs.opts.Logger.Warn("history of a text not kept", "text", d.name, "error", err)
		}
	}
	return all.Groups, nil
}

// grouped returns what is kept up to a version at most, if it can be used.
func (d *Document) grouped(ctx context.Context, head uint64) grouped {
	none := grouped{Log: d.docs.log, Stream: d.stream, Pause: d.docs.opts.Pause}
	store := d.store()
	if store == nil {
		return none
	}
	packed, _, err := store.Load(ctx, d.groupsKey())
	if err != nil {
		return none
	}
	data, err := unpacker.DecodeAll(packed, nil)
	var g grouped
	if err != nil || json.Unmarshal(data, &g) != nil || g.Log != none.Log || g.Stream != none.Stream || g.Pause != none.Pause ||
		g.Position == 0 || g.Version > head || !d.holds(ctx, g.Position, g.ID, g.Version) {
		return none
	}
	return g
}

func groupOf(e *edit) Group {
	_, inserted, deleted := e.Change.Counts()
	return Group{e.Author, e.Version, e.Version, e.Time, e.Time, inserted, deleted, e.Kind}
}

// joins takes e into the group if it belongs there.
func (g *Group) joins(e *edit, pause time.Duration) bool {
	if g.Author != e.Author || e.Kind == Restored || g.Kind == Restored || e.Time.Sub(g.End) >= pause {
		return false
	}
	next := groupOf(e)
	g.Last, g.End = next.Last, next.End
	g.Inserted += next.Inserted
	g.Deleted += next.Deleted
	if g.Kind != next.Kind {
		g.Kind = Typed
	}
	return true
}
