package pgstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annals-db/annals/driver"
)

// codeRefused is raised where an append that waited is refused: by COMMIT, or
// before it where constraints are immediate.
const codeRefused = "AN001"

// refused is the detail of codeRefused.
type refused struct {
	Status    int32
	Which     int
	At, Head  int64
	ID        driver.ID
	Condition json.RawMessage
}

// CommitError returns err, of the COMMIT of a transaction that appended by
// [Store.In], in the words of the contract: a *[driver.ConflictError] if an
// append was refused, an error that wraps [driver.ErrOutcomeUnknown] if the
// connection broke or the context ended before the answer came. Other errors,
// and nil, come back with nothing lost.
func CommitError(err error) error {
	if err == nil {
		return nil
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		ended := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) // while the answer was awaited
		if (ended || broken(err)) && !pgconn.SafeToRetry(err) {
			return fmt.Errorf("commit: %w: %w", driver.ErrOutcomeUnknown, err)
		}
		return wrap("commit", err)
	}
	if fatal(pg) {
		return fmt.Errorf("commit: %w: %w", driver.ErrOutcomeUnknown, err)
	}
	return placed("commit", err)
}

// placed returns err, of what fires the trigger of the inbox, in the words of
// the contract.
func placed(what string, err error) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pg.Code != codeRefused {
		return wrap(what, err)
	}
	var d refused
	if bad := json.Unmarshal([]byte(pg.Detail), &d); bad != nil {
		return fmt.Errorf("%s: %w (%w)", what, err, bad)
	}
	if d.Status == statusKnown {
		return &driver.IDError{ID: d.ID, Reason: "it was appended by another while this transaction was under way"}
	}
	var c conditionJSON
	if len(d.Condition) > 0 && string(d.Condition) != "null" {
		if bad := json.Unmarshal(d.Condition, &c); bad != nil {
			return fmt.Errorf("%s: %w (%w)", what, err, bad)
		}
	}
	refusal := refusalOf(d.Status, 0, d.At, d.Head, []driver.Condition{c.condition()})
	if conflict, ok := refusal.(*driver.ConflictError); ok {
		conflict.Index = d.Which - 1
	}
	return refusal
}
