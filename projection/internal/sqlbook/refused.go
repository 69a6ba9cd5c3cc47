package sqlbook

import (
	"errors"
	"strings"
)

// RefusedError is an error of a commit with which the database refuses what was
// done in the transaction, as it does where a constraint is deferred. To do it
// again would be of no use.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap returns the database's error.
func (e *RefusedError) Unwrap() error { return e.Err }

// Committed returns the error of a commit, as a *[RefusedError] if it is one.
func Committed(err error) error {
	var answer interface{ SQLState() string } // of PostgreSQL, by whatever driver
	refused := false
	if errors.As(err, &answer) {
		// Integrity of the data, a check option, and what triggers raise.
		for _, class := range []string{"23", "44", "P0"} {
			refused = refused || strings.HasPrefix(answer.SQLState(), class)
		}
	}
	// SQLite defers foreign keys only, and its drivers have no error in common but for this text.
	if refused || strings.Contains(err.Error(), "FOREIGN KEY constraint failed") {
		return &RefusedError{err}
	}
	return err
}

// Undone reports whether err says that PostgreSQL has undone a transaction for
// the sake of others: a deadlock, or what cannot be put in an order.
func Undone(err error) bool {
	var answer interface{ SQLState() string }
	return errors.As(err, &answer) && (answer.SQLState() == "40P01" || answer.SQLState() == "40001")
}
