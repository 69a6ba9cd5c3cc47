package pgstore

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/annals-db/annals/driver"
)

// The most that waits to be sent; a submitter of more is held up.
const (
	queueRequests = 8192
	queueBytes    = 64 << 20
)

// request is a batch on its way to the log.
type request struct {
	ctx     context.Context
	batch   driver.Batch
	encoded []encoded
	bytes   int
	state   atomic.Int32
	done    chan struct{} // closed when receipt and err are there

	first, condition int // how many events and conditions of its group are before its own

	receipt driver.Receipt
	known   bool // an ID is known: what to answer is to be looked up
	err     error
}

// The states of a request.
const (
	waiting   int32 = iota // nothing has been sent
	taken                  // it may have been sent
	withdrawn              // it never will be
)

func (r *request) answer(receipt driver.Receipt, err error) {
	r.receipt, r.err = receipt, err
	close(r.done)
}

// queue holds requests in order until the writer takes them.
type queue struct {
	mu       sync.Mutex
	changed  *sync.Cond
	requests []*request
	bytes    int
	closed   bool
}

func (q *queue) init() {
	q.changed = sync.NewCond(&q.mu)
}

// push puts r behind the others; it waits while there is too much.
func (q *queue) push(r *request) error {
	stop := context.AfterFunc(r.ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.changed.Broadcast()
	})
	defer stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && r.ctx.Err() == nil && len(q.requests) > 0 && (len(q.requests) >= queueRequests || q.bytes+r.bytes > queueBytes) {
		q.changed.Wait()
	}
	if q.closed {
		return driver.ErrClosed
	}
	if err := r.ctx.Err(); err != nil {
		return err
	}
	q.requests = append(q.requests, r)
	q.bytes += r.bytes
	q.changed.Broadcast()
	return nil
}

// take waits for requests and returns all that there are, in order; none when
// the queue is closed and empty. It does not wait if it need not.
func (q *queue) take(wait bool) []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	for wait && len(q.requests) == 0 && !q.closed {
		q.changed.Wait()
	}
	all := q.requests
	q.requests, q.bytes = nil, 0
	if len(all) > 0 {
		q.changed.Broadcast()
	}
	return all
}

// close lets no more in.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changed.Broadcast()
}
