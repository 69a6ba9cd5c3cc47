//go:build !linux

package vfs

import "os"

// syncFile is F_FULLFSYNC on macOS and FlushFileBuffers on Windows: package os
// chooses both.
func syncFile(f *os.File) error { return f.Sync() }
