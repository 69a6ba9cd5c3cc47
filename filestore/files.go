package filestore

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/annals-db/annals/internal/mutant"
	"github.com/annals-db/annals/internal/vfs"
)

func (s *Store) syncDir(name string) error {
	if mutant.NoDirSync {
		return nil
	}
	return s.opts.FS.SyncDir(name)
}

// slashed returns dir as package vfs names it.
func slashed(dir string) string { return filepath.ToSlash(filepath.Clean(dir)) }

func parentDir(name string) string {
	if i := strings.LastIndexByte(name, '/'); i > 0 {
		return name[:i]
	} else if i == 0 {
		return "/"
	}
	return "."
}

// writeFile writes a small file over whatever is there, and does not sync it.
func (s *Store) writeFile(name string, data []byte) error {
	f, err := s.opts.FS.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	return errors.Join(err, f.Close())
}

// readFile reads a whole file.
func (s *Store) readFile(name string) ([]byte, error) {
	f, err := s.opts.FS.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if n < len(b) && err != nil && err != io.EOF {
		return nil, err
	}
	return b[:n], nil
}

// replaceFile writes a file under another name, syncs it and renames it, so
// that name is always whole.
func (s *Store) replaceFile(name string, write func(io.Writer) error) (err error) {
	temporary := name + temporarySuffix
	f, err := s.opts.FS.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(&fileWriter{f: f}, 1<<18)
	if err = write(out); err == nil {
		err = out.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = s.opts.FS.Remove(temporary)
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := s.opts.FS.Rename(temporary, name); err != nil {
		return err
	}
	return s.syncDir(parentDir(name))
}

// writeAll returns a function that writes b.
func writeAll(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}

// fileWriter writes a file from its beginning on.
type fileWriter struct {
	f   vfs.File
	off int64
}

func (w *fileWriter) Write(b []byte) (int, error) {
	n, err := w.f.WriteAt(b, w.off)
	w.off += int64(n)
	return n, err
}
