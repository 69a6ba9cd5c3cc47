package gitlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/feed"
)

// Options of an import.
type Options struct {
	// Prefix stands before the names in streams, so that several repositories
	// fit one log: file-PREFIX/PATH. Defaults to "", nothing
	Prefix string
	// Remotes takes remote-tracking branches too. Defaults to false
	Remotes bool
	// Times sets the log's own time to that of the commits, or where their
	// clocks run back the latest so far; the log's head must not be later.
	// Defaults to false, the log's clock
	Times bool
	// Progress is told the commits done now and then. Defaults to nil, nobody
	Progress func(commits int)
}

// Summary says what an import has done, also when it was broken off.
type Summary struct {
	Commits    int             // read
	Added      int             // events appended
	Known      int             // events that the log had already
	Branches   int             // in the repository
	First      driver.Position // of the events added, 0 if none
	Last       driver.Position
	LastCommit string // that is in the log
	Disk       string // durability, in the store's words
}

// Import appends the commits of r that log does not have. When ctx ends it
// waits for what is under way and returns ctx's error; run again it goes on.
func Import(ctx context.Context, log driver.Log, r *Repository, o *Options) (Summary, error) {
	if o == nil {
		o = &Options{}
	}
	info, err := log.Info(ctx)
	if err != nil {
		return Summary{}, err
	}
	branches, err := r.Branches(ctx, o.Remotes)
	if err != nil {
		return Summary{}, err
	}
	im := &importer{log: log, options: *o, mapping: mapping{o.Prefix, info.Limits}, at: info.Time, byRef: map[string]string{}}
	im.summary.Branches = len(branches)
	if len(branches) == 0 {
		return im.summary, nil
	}
	moved, known, err := im.moves(ctx, branches)
	if err != nil || len(moved) == 0 {
		return im.summary, err
	}
	if known, err = r.present(ctx, known); err != nil {
		return im.summary, err
	}
	if err := im.commits(ctx, r, branches, known, info); err != nil {
		return im.summary, err
	}
	return im.summary, im.moveBranches(ctx, moved)
}

type importer struct {
	log     driver.Log
	options Options
	mapping mapping
	byRef   map[string]string // name of the branch
	trunk   string            // the branch of the commits in onTrunk
	onTrunk map[string]bool
	at      time.Time // the latest time given to a batch
	summary Summary
}

// batch is a commit's events, or a part of them.
type batch struct {
	hash   string
	events int
}

func (im *importer) commits(ctx context.Context, r *Repository, branches []Branch, known []string, info driver.Info) error {
	for _, b := range branches {
		im.byRef[b.Ref] = b.Name
	}
	found := im.findTrunk(ctx, r, branches, known)
	defer func() { _ = found() }() // the goroutine has ended when this returns; its error is told where it matters
	return feed.Run(ctx, im.log, &feed.Options{Window: 8192, Head: info.Time}, func(f *feed.Feeder[batch]) error {
		n := 0
		for c, err := range r.Commits(ctx, branches, known) {
			if n == 0 {
				if err := found(); err != nil { // while git log gets under way
					return err
				}
			}
			if err != nil {
				return err
			}
			if err := im.submit(f, c, info); err != nil {
				return fmt.Errorf("commit %s: %w", c.Hash, err)
			}
			if n++; n%100 == 0 && im.options.Progress != nil {
				im.options.Progress(n)
			}
		}
		return nil
	}, im.answered)
}

// findTrunk finds out, beside other work, which commits count for the trunk. The
// function returned waits for that, and is called whatever happens.
func (im *importer) findTrunk(ctx context.Context, r *Repository, branches []Branch, known []string) (wait func() error) {
	if len(branches) == 1 {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() {
		trunk := r.trunk(ctx, branches)
		set, err := r.reached(ctx, trunk, known)
		im.trunk, im.onTrunk = trunk.Name, set
		done <- err
	}()
	return sync.OnceValue(func() error { return <-done })
}

// submit hands a commit over in as few batches as the limits allow.
func (im *importer) submit(f *feed.Feeder[batch], c *Commit, info driver.Info) error {
	name, ok := im.byRef[c.Ref]
	if im.onTrunk[c.Hash] {
		name, ok = im.trunk, true
	}
	if !ok {
		return fmt.Errorf("it is reached by %q, which is no branch", c.Ref)
	}
	var at time.Time
	if im.options.Times {
		t := moment(c.Committed)
		if len(c.Parents) == 0 && im.at.After(t) && info.Head > 0 && im.at.Equal(info.Time) {
			return fmt.Errorf("its time %s is before that of the log's last event, position %d at %s; the times of commits need a log that ends before they begin",
				t.Format(time.RFC3339), info.Head, info.Time.Format(time.RFC3339))
		}
		if t.After(im.at) {
			im.at = t
		}
		at = im.at
	}
	events := im.mapping.events(c, name)
	for len(events) > 0 {
		n, size := 0, 0
		for n < len(events) && n < info.Limits.BatchEvents {
			if size += events[n].Size(); size > info.Limits.BatchBytes && n > 0 {
				break
			}
			n++
		}
		if err := f.Submit(batch{c.Hash, n}, driver.Batch{Events: events[:n:n], Time: at}); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

func (im *importer) answered(b batch, r driver.Receipt, err error) error {
	s := &im.summary
	var known *driver.IDError
	switch {
	case errors.As(err, &known), err == nil && r.Repeated: // under another branch's name, if it differs: a commit never changes
		s.Known += b.events
	case err != nil:
		return fmt.Errorf("commit %s: %w", b.hash, err)
	default:
		s.add(b.events, r)
	}
	if s.LastCommit != b.hash {
		s.Commits++
	}
	s.LastCommit = b.hash
	return nil
}

func (s *Summary) add(n int, r driver.Receipt) {
	s.Added += n
	s.Last, s.Disk = r.Last, r.Durability
	if s.First == 0 {
		s.First = r.First
	}
}

// move is a branch that is not where the log has it.
type move struct {
	Branch
	stream  string
	version uint64 // of the branch's stream, of its last move
	before  string
}

// moves returns the branches that have moved since the last import, and the
// commits that branches were at then.
func (im *importer) moves(ctx context.Context, branches []Branch) (moved []move, known []string, err error) {
	for _, b := range branches {
		m := move{Branch: b, stream: streamName("branch", im.options.Prefix, b.Name, im.mapping.limits.NameBytes)}
		q := driver.Query{Items: []driver.Item{{Streams: []string{m.stream}, Types: []string{"BranchMoved"}}}}
		for rec, err := range im.log.Read(ctx, q, driver.ReadOptions{Backward: true, Limit: 1}) {
			if err != nil {
				return nil, nil, err
			}
			var data struct{ Tip string }
			if err := json.Unmarshal(rec.Data, &data); err != nil {
				return nil, nil, fmt.Errorf("position %d: the data of BranchMoved: %w", rec.Position, err)
			}
			m.before, m.version = data.Tip, rec.Version
		}
		if m.before != "" {
			known = append(known, m.before)
		}
		if m.before != b.Tip {
			moved = append(moved, m)
		}
	}
	slices.Sort(known)
	return moved, slices.Compact(known), nil
}

// moveBranches says in the log where branches are now, for as many at once as
// fit a batch.
func (im *importer) moveBranches(ctx context.Context, moved []move) error {
	for list := range slices.Chunk(moved, min(1000, im.mapping.limits.BatchEvents)) {
		var b driver.Batch
		if im.options.Times {
			b.Time = im.at
		}
		for _, m := range list {
			b.Events = append(b.Events, im.moveEvent(m))
		}
		r, err := im.log.Append(ctx, b)
		if err != nil {
			return fmt.Errorf("branch %s and others: %w", list[0].Name, err)
		}
		if r.Repeated {
			im.summary.Known += len(list)
		} else {
			im.summary.add(len(list), r)
		}
	}
	return nil
}

func (im *importer) moveEvent(m move) driver.Event {
	data := newObject()
	data.text("branch", Escape(m.Name))
	if m.before == "" {
		data.null("before")
	} else {
		data.hash("before", m.before)
	}
	data.hash("tip", m.Tip)
	return driver.Event{
		ID:     im.mapping.id("branch", m.Ref, m.before, m.Tip, fmt.Sprint(m.version)),
		Stream: m.stream, Type: "BranchMoved", Data: append(data, '}'),
		Metadata: driver.Metadata{{Key: "causation", Value: im.mapping.id(m.Tip).String()}, {Key: "correlation", Value: m.Tip}},
	}
}

// Describe returns what should be said of a repository beside what was
// imported, "" if nothing.
func (r *Repository) Describe(s Summary) string {
	var notes []string
	if s.Branches == 0 {
		notes = append(notes, "the repository has no commits on any branch: nothing to import")
	}
	if r.Shallow {
		notes = append(notes, "the repository is shallow: what is before its oldest commits is not in it, and all files of those count as added there")
	}
	return strings.Join(notes, "\n")
}
