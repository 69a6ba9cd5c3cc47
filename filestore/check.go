package filestore

import (
	"context"

	"github.com/annals-db/annals/internal/mutant"
)

// check looks at the IDs and conditions of r over everything that can be read,
// and notes up to where. settled means that the log holds the batch already
// and r has its receipt.
//
// inTurn is for a request that will be judged in its turn: only what no later
// record can change is settled here; whole is set if the rest must be checked
// again by then.
func (s *Store) check(ctx context.Context, r *request, inTurn bool) (settled bool, err error) {
	v, err := s.current(ctx)
	if err != nil {
		return false, err
	}
	r.checked, r.whole = v.head, false
	if mutant.IDsAfterConditions {
		if err := s.checkConditions(v, r, inTurn); err != nil {
			return false, s.ioError(err)
		}
	}
	if settled, err = s.checkIDs(v, r); settled || err != nil {
		return settled, s.ioError(err)
	}
	conflict := s.checkConditions(v, r, inTurn)
	if conflict == nil {
		return false, nil
	}
	// What stands against it may be the batch itself, appended by another call
	// since its IDs were looked for.
	if settled, err = s.checkIDs(s.published(), r); settled || err != nil {
		return settled, s.ioError(err)
	}
	return false, s.ioError(conflict)
}

// published returns a view that holds everything that the index of the active
// segment and heads have told of so far, which the writer may be about to publish.
func (s *Store) published() *view {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	return s.view.Load()
}
