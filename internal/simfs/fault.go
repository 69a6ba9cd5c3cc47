package simfs

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// ErrPower is wrapped by every operation of a process that a power cut or Kill ended.
var ErrPower = errors.New("simulated: the process is dead")

// ErrIO is what a fault returns unless it says otherwise: EIO.
var ErrIO error = syscall.EIO

// ErrFull is what a write beyond the disk's room wraps: ENOSPC.
var ErrFull error = syscall.ENOSPC

// Kind says what an operation does.
type Kind uint8

// The kinds of operation. Those from Create on change something.
const (
	Open Kind = iota
	Stat
	ReadDir
	ReadAt
	Create // an open that creates or truncates
	WriteAt
	Truncate
	Sync
	Rename
	Remove
	Mkdir
	SyncDir
	Lock
)

var kindNames = [...]string{"open", "stat", "readdir", "read", "create", "write", "truncate", "sync", "rename", "remove", "mkdir", "syncdir", "lock"}

func (k Kind) String() string { return kindNames[k] }

// Changes reports whether operations of kind k change the disk.
func (k Kind) Changes() bool { return k >= Create }

// Op is one operation.
type Op struct {
	Kind    Kind
	Process int    // which process does it, from 1
	Name    string // the file or directory, slash-separated, from "/"
	To      string // Rename: the new name
	Offset  int64  // ReadAt, WriteAt; Truncate: the new size
	Length  int    // ReadAt, WriteAt
}

func (o Op) String() string {
	s := fmt.Sprintf("%s %s", o.Kind, o.Name)
	switch o.Kind {
	case ReadAt, WriteAt:
		s += fmt.Sprintf(" [%d,+%d)", o.Offset, o.Length)
	case Truncate:
		s += fmt.Sprintf(" to %d", o.Offset)
	case Rename:
		s += " to " + o.To
	}
	return s
}

// Fault says what becomes of an operation.
type Fault uint8

// The faults. Those that an operation cannot have count as Fail.
const (
	None    Fault = iota // it does what it should
	Fail                 // nothing is done and ErrIO returned (a Sync: nothing reaches the disk, and the pages count as clean)
	Partial              // a part is done and ErrIO returned: a write's first bytes, some sectors of a Sync, some entries of a SyncDir
	Lie                  // a Sync or SyncDir does nothing and reports success
)

func pathError(op Op, err error) error {
	return &fs.PathError{Op: op.Kind.String(), Path: op.Name, Err: err}
}
