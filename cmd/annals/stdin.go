package main

import (
	"context"
	"io"
)

// interruptible returns r as a reader whose Read ends with the cause of ctx
// when that does. A read that is under way then is left to itself: reading a
// terminal or a pipe cannot be broken off, only the end of the process ends it.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	i := &interruptibleReader{ctx: ctx, chunks: make(chan chunk)}
	go func() {
		buffers := [2][]byte{make([]byte, 64<<10), make([]byte, 64<<10)}
		for n := 0; ; n++ {
			// One buffer is being read from while the other is filled.
			b := buffers[n%2]
			size, err := r.Read(b)
			select {
			case i.chunks <- chunk{b[:size], err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return i
}

type chunk struct {
	data []byte
	err  error
}

type interruptibleReader struct {
	ctx    context.Context
	chunks chan chunk
	now    chunk
}

func (i *interruptibleReader) Read(p []byte) (int, error) {
	for len(i.now.data) == 0 {
		if i.now.err != nil {
			return 0, i.now.err
		}
		select {
		case i.now = <-i.chunks:
		case <-i.ctx.Done():
			return 0, context.Cause(i.ctx)
		}
	}
	n := copy(p, i.now.data)
	i.now.data = i.now.data[n:]
	return n, nil
}
