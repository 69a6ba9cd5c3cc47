// Package vfs is the little of a file system that filestore stands on, so that
// tests can put a simulated one under it that loses power, tears writes, flips
// bits and fills up. OS is the real one.
package vfs

import (
	"errors"
	"io"
	"io/fs"
)

// ErrLocked is wrapped by Lock when another process, or another holder in this
// one, has the lock.
var ErrLocked = errors.New("locked by another holder")

// FS is a file system. Names are slash-separated paths. Errors are those of
// package os (errors.Is with fs.ErrNotExist and the like works). What is
// created, renamed or removed survives a power cut only after SyncDir of its
// directory.
type FS interface {
	// OpenFile opens name with the flags of package os (O_RDONLY, O_RDWR, O_CREATE, O_EXCL, O_TRUNC).
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	Rename(oldName, newName string) error
	Remove(name string) error
	MkdirAll(name string, perm fs.FileMode) error
	ReadDir(name string) ([]fs.DirEntry, error)
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes the entries of a directory durable.
	SyncDir(name string) error
	// Lock takes an exclusive advisory lock on the file name, creating it if
	// need be, without waiting; ErrLocked if another process (or another
	// holder in this one) has it. Closing releases it. A process that dies loses it.
	Lock(name string) (io.Closer, error)
}

// File is an open file. ReadAt and WriteAt may be called at once by several goroutines.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	// Sync makes the file's data and size durable (fdatasync; F_FULLFSYNC on
	// macOS). After a failed Sync nothing is known about the unsynced data.
	Sync() error
	Size() (int64, error)
}
