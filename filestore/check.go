package filestore

import (
	"context"
	"errors"

	"github.com/annals-db/annals/driver"
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
	err = s.checkConditions(v, r, inTurn)
	for err != nil {
		// Conditions are judged by what is newer than v. What failed one may be
		// this very batch, placed through another call since its IDs were looked
		// at; and one before it may fail by now, which is then the first.
		v = s.published()
		if settled, idErr := s.checkIDs(v, r); settled || idErr != nil {
			return settled, s.ioError(idErr)
		}
		earlier := s.checkEarlier(v, r, err)
		if earlier == nil {
			break
		}
		err = earlier
	}
	return false, s.ioError(err)
}

// checkEarlier judges the conditions before the one that failed by v.
func (s *Store) checkEarlier(v *view, r *request, failed error) error {
	var c *driver.ConflictError
	if !errors.As(failed, &c) || c.Index == 0 {
		return nil
	}
	if err := s.findStreams(v, r.streams); err != nil {
		return err
	}
	for i := range c.Index {
		if err := s.checkCondition(v, r, i, false); err != nil {
			return err
		}
	}
	return nil
}

// published returns a view that holds everything that the index of the active
// segment and heads have told of so far, which the writer may be about to publish.
func (s *Store) published() *view {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	return s.view.Load()
}
