package group

import (
	"context"
	"maps"
	"slices"
	"time"
)

// beat says that the worker is alive, forgets workers that are not, and returns
// how many partitions are its share.
func (w *worker) beat(ctx context.Context) (share int, err error) {
	now := w.elapsed()
	err = change(ctx, w.state, membersKey(w.g.name), func(all *map[string]member) (bool, error) {
		if *all == nil {
			*all = map[string]member{}
		}
		for id, m := range *all {
			if id != w.id && w.dead(id, m, now) {
				delete(*all, id)
			}
		}
		(*all)[w.id] = member{
			Name: w.g.opts.Worker, Process: w.process, Beat: (*all)[w.id].Beat + 1,
			TTL: w.keeper.TTL().Milliseconds(), Renewed: time.Now().UTC(),
		}
		ids := slices.Sorted(maps.Keys(*all))
		share = w.kept.Partitions / len(ids)
		if slices.Index(ids, w.id) < w.kept.Partitions%len(ids) {
			share++
		}
		return true, nil
	})
	return share, err
}

// sight is when a beat of a member was first seen.
type sight struct {
	beat uint64
	at   time.Duration
}

// dead reports whether a member has not beaten for its time to live while this
// worker watched.
func (w *worker) dead(id string, m member, now time.Duration) bool {
	if w.alone && m.Process != w.process {
		return true
	}
	s, known := w.seen[id]
	if !known || s.beat != m.Beat {
		w.seen[id] = sight{m.Beat, now}
		return false
	}
	return now-s.at >= time.Duration(m.TTL)*time.Millisecond
}

// leave takes the worker off the list.
func (w *worker) leave(ctx context.Context) error {
	return change(ctx, w.state, membersKey(w.g.name), func(all *map[string]member) (bool, error) {
		_, there := (*all)[w.id]
		delete(*all, w.id)
		return there, nil
	})
}
