package audit

import (
	"errors"
	"fmt"
)

// RefusedError says what cannot be captured as it is, and what mends it. It is
// of no use to try again before that is done.
type RefusedError struct {
	What   string // "table public.t", "slot annals", …
	Reason string
	Mend   string // a statement of SQL, or words; "" if nothing does

	table Name // the table without which the trail could go on, if there is one
}

func (e *RefusedError) Error() string {
	if e.Mend == "" {
		return e.What + ": " + e.Reason
	}
	return fmt.Sprintf("%s: %s; to mend it: %s", e.What, e.Reason, e.Mend)
}

// ForkedError says that the database is not the one that the trail is of, or
// no longer: another server, one that was restored, a timeline that went back.
// The trail must not go on from it as if nothing had happened.
type ForkedError struct{ Reason string }

func (e *ForkedError) Error() string {
	return "this is not the database of the trail, or no longer: " + e.Reason
}

// ErrNoTrail is wrapped where a log holds no audit trail.
var ErrNoTrail = errors.New("the log holds no audit trail")
