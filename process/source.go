package process

import (
	"context"
	"iter"

	"github.com/annals-db/annals"
)

// live yields what matches after a position, for ever.
func (a *App) live(ctx context.Context, q annals.Query, after annals.Position) iter.Seq2[annals.Notification, error] {
	if a.db != nil {
		return a.db.Subscribe(ctx, q, &annals.SubscribeOptions{After: after, Progress: true})
	}
	return annals.Follow(ctx, a.log, q, &annals.FollowOptions{After: after, Progress: true})
}

// next returns the first record after a position that matches, without
// waiting, and up to where the log has been looked at.
func (a *App) next(ctx context.Context, q annals.Query, after annals.Position) (r annals.Record, scanned annals.Position, found bool, err error) {
	if a.db == nil {
		for n, err := range annals.Follow(ctx, a.log, q, &annals.FollowOptions{After: after, Progress: true}) {
			if err != nil || n.Position > 0 {
				return n.Record, n.Scanned, err == nil, err
			}
			if n.CaughtUp {
				return r, n.Scanned, false, nil
			}
		}
	}
	info, err := a.db.Log().Info(ctx)
	if err != nil || after >= info.Head {
		return r, after, false, err
	}
	for r, err := range a.db.Log().Read(ctx, q, annals.ReadOptions{After: after, UpTo: info.Head, Limit: 1}) {
		return r, r.Position, err == nil, err
	}
	return r, info.Head, false, nil
}

// at returns the record at a position; found is false if there is none.
func (a *App) at(ctx context.Context, p annals.Position) (r annals.Record, found bool, err error) {
	page, err := a.log.Select(ctx, p, 1)
	if err != nil || len(page) == 0 {
		return r, false, err
	}
	return page[0], true, nil
}
