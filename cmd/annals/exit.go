package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/annals-db/annals/audit"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/internal/fold"
	"github.com/annals-db/annals/internal/rows"
	"github.com/annals-db/annals/internal/wire"
	"github.com/annals-db/annals/move"
	"github.com/annals-db/annals/projection"
	"github.com/annals-db/annals/relay"
)

// The exit codes.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitConflict    = 4
	exitVerify      = 5
	exitUnavailable = 6
	exitTimeout     = 7
	exitInterrupted = 130
)

// kind is a kind of error that a user can meet.
type kind struct {
	Name string
	Exit int
	Says string // when it comes and what to do
	is   func(error) bool
}

// usageError is an error of the command line itself.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(err error) error { return usageError{err} }

func usagef(format string, args ...any) error { return usage(fmt.Errorf(format, args...)) }

// errFaults is returned by verify when it has printed what it found.
var errFaults = errors.New("the log is not what was written")

func as[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

func is(targets ...error) func(error) bool {
	return func(err error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
}

// kinds are looked through in this order.
var kinds = []kind{
	{"interrupted", exitInterrupted, "A signal ended the command. What it says is done is done; run it again to go on.", is(errInterrupted)},
	{"outcome-unknown", exitUnavailable, "An append was handed over and its answer not seen. Append the same again, with the same id: it is taken once.", is(driver.ErrOutcomeUnknown)},
	{"timeout", exitTimeout, "It took longer than --timeout, or a fold longer than its limit on one event.", timedOut},
	{"usage", exitUsage, "The command line is wrong: a flag, an argument, a store URL, data given as an argument. Nothing was done.", as[usageError]},
	{"conflict", exitConflict, "A condition of the append does not hold, because others were first. Look at the state again and decide anew.", as[*driver.ConflictError]},
	{"id-taken", exitConflict, "The log has the event's ID already, with other content or in another batch.", as[*driver.IDError]},
	{"differs", exitConflict, "The store to copy to is not empty and holds something else from the position it names on. Nothing was copied.", as[*move.DifferError]},
	{"corrupt", exitVerify, "Stored bytes are not what was written, at the position it names. Restore a backup; what is before the position can be read.", func(err error) bool {
		return as[*driver.CorruptError](err) || errors.Is(err, errFaults)
	}},
	{"tampered", exitVerify, "Events are not what seals prove: someone changed the store after they were written.", as[*audit.TamperedError]},
	{"mismatch", exitVerify, "Rows of the audit trail and of the live tables differ; they were printed.", is(errMismatch)},
	{"forked", exitConflict, "The database is not the one whose trail the store holds, or was restored to an earlier time. Keep the trail, and begin another in a new store.", as[*audit.ForkedError]},
	{"refused", exitFailed, "Capture cannot take something as it is; the message says what mends it.", as[*audit.RefusedError]},
	{"not-found", exitNotFound, "The stream, version, position or store does not exist.", is(driver.ErrNotFound, audit.ErrNoTrail)},
	{"locked", exitUnavailable, "Another process, which it names, has the store open for writing. Reading is possible beside it.", as[*driver.LockedError]},
	{"read-only", exitUnavailable, "The store can be read but not written; it says why: its directory, a failed sync, damage.", is(driver.ErrReadOnly, fs.ErrPermission)},
	{"unavailable", exitUnavailable, "The store, or the broker of a relay, cannot be reached, or the disk has no room for now.", is(driver.ErrUnavailable, errBroker)},
	{"configuration", exitUsage, "The configuration file is wrong; it says in which line or field.", as[*configError]},
	{"checkpoint", exitFailed, "The log is not the one, or not the history, that a projection or relay has worked on: a restored backup, another log. Take the right log, or reset the projection.", func(err error) bool {
		return as[*projection.CheckpointError](err) || as[*relay.CheckpointError](err)
	}},
	{"invalid", exitFailed, "A line, row or field of the input, which it names, cannot be taken. Nothing of it was written.", func(err error) bool {
		return as[*driver.InvalidError](err) || as[*wire.Error](err) || as[*rows.BadRow](err)
	}},
	{"limit", exitFailed, "An event or batch is larger than the store takes. info shows the limits.", as[*driver.LimitError]},
	{"fold", exitFailed, "The fold failed at the event it names.", as[*fold.Error]},
	{"format", exitFailed, "The store is of a newer format. Use a newer annals.", as[*filestore.FormatError]},
	{"not-a-store", exitFailed, "The directory holds something else. Nothing in it was touched.", is(filestore.ErrNotStore)},
	{"failed", exitFailed, "Anything else; the message says what.", func(error) bool { return true }},
}

// timedOut reports whether err is one of a time that the user has set. Stores
// have times of their own, behind which they are unavailable.
func timedOut(err error) bool {
	return is(errTimedOut, fold.ErrLimit)(err) || errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, driver.ErrUnavailable)
}

func kindOf(err error) kind {
	for _, k := range kinds {
		if k.is(err) {
			return k
		}
	}
	return kinds[len(kinds)-1]
}

func exitCode(err error) int { return kindOf(err).Exit }

// describe returns what is said of err on standard error.
func (a *app) describe(err error) string {
	text := err.Error()
	if as[usageError](err) && !a.started {
		text += "\nSee annals --help."
	}
	return text
}
