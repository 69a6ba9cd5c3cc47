package vfs

import (
	"errors"
	"os"
	"syscall"
)

// syncFile leaves out what a reader does not need, such as the time of change.
func syncFile(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	err = conn.Control(func(fd uintptr) {
		for {
			if result = syscall.Fdatasync(int(fd)); !errors.Is(result, syscall.EINTR) {
				return
			}
		}
	})
	return errors.Join(err, result)
}
