package driver

import "context"

// Submitter is a log that takes appends in order without the answer to one
// before the next is handed over, so that one goroutine can keep many under
// way and they are made durable together: imports, copies, streams of events.
type Submitter interface {
	// Submit hands b over, to be appended as by [Log.Append], and returns
	// without waiting for it; it may block while too much is queued. The
	// function returned waits for the answer and returns it; it is called at
	// most once, by any goroutine. A batch that is submitted after Submit of
	// another has returned is judged after it and, if it is taken, lies behind
	// it in the log. One that is refused does not stop those behind it. The
	// batch's memory is the caller's again when the answer is there.
	Submit(ctx context.Context, b Batch) (answer func() (Receipt, error))
}
