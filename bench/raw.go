package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/annals-db/annals/internal/vfs"
)

// rawLog is the yardstick: one file zeroed beforehand, one writer goroutine
// that takes all requests waiting, writes their bytes with one pwrite,
// fdatasyncs and wakes the callers. It keeps nothing else: no index, no
// checksums, no order of versions, no conditions. When the file is full it
// starts again at its beginning.
type rawLog struct {
	file   vfs.File
	size   int64
	offset int64

	mu    sync.Mutex
	wake  sync.Cond
	queue []*rawRequest
	spare []*rawRequest
	done  bool
	ended chan struct{}
}

// rawRequest is one caller's; it is used again and again by that caller.
type rawRequest struct {
	data     []byte
	answered chan error
}

func newRawRequest() *rawRequest { return &rawRequest{answered: make(chan error, 1)} }

// openRaw makes the file in dir and fills it with zeros.
func openRaw(dir string, size int64) (*rawLog, error) {
	f, err := vfs.OS.OpenFile(filepath.Join(dir, "raw"), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for off := int64(0); off < size; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros, off); err != nil {
			return nil, err
		}
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	l := &rawLog{file: f, size: size, ended: make(chan struct{})}
	l.wake.L = &l.mu
	go l.run()
	return l, nil
}

// append returns once data is on the disk.
func (l *rawLog) append(r *rawRequest, data []byte) error {
	r.data = data
	l.mu.Lock()
	l.queue = append(l.queue, r)
	if len(l.queue) == 1 {
		l.wake.Signal()
	}
	l.mu.Unlock()
	return <-r.answered
}

func (l *rawLog) run() {
	defer close(l.ended)
	var buf []byte
	for {
		l.mu.Lock()
		for len(l.queue) == 0 && !l.done {
			l.wake.Wait()
		}
		group := l.queue
		l.queue, l.spare = l.spare[:0], group
		l.mu.Unlock()
		if len(group) == 0 {
			return
		}
		buf = buf[:0]
		for _, r := range group {
			buf = append(buf, r.data...)
		}
		err := l.write(buf)
		for _, r := range group {
			r.answered <- err
		}
	}
}

func (l *rawLog) write(buf []byte) error {
	if int64(len(buf)) > l.size {
		return fmt.Errorf("%d bytes in a group, the file has %d", len(buf), l.size)
	}
	if l.offset+int64(len(buf)) > l.size {
		l.offset = 0
	}
	if _, err := l.file.WriteAt(buf, l.offset); err != nil {
		return err
	}
	l.offset += int64(len(buf))
	return l.file.Sync()
}

func (l *rawLog) close() error {
	l.mu.Lock()
	l.done = true
	l.wake.Signal()
	l.mu.Unlock()
	<-l.ended
	return l.file.Close()
}
