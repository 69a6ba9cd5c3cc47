package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// errInterrupted is the cause of a context that a signal has ended.
var errInterrupted = errors.New("interrupted")

// errTimedOut is the cause of a context that --timeout has ended.
var errTimedOut = fmt.Errorf("--timeout is over: %w", context.DeadlineExceeded)

// run runs one command and returns its exit code. The first interrupt lets the
// command come to a clean end, the second ends the process.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		select {
		case <-signals:
			signal.Stop(signals)
			cancel(errInterrupted)
		case <-ctx.Done():
		}
	}()
	a := &app{in: in, out: out, err: errOut, now: time.Now}
	err := a.execute(ctx, args)
	if err == nil {
		return exitDone
	}
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	if a.ctx != nil && context.Cause(a.ctx) == errTimedOut && errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, errTimedOut) {
		err = fmt.Errorf("%w: %w", errTimedOut, err)
	}
	if text := a.describe(err); text != "" {
		fmt.Fprintln(errOut, "annals: "+text)
	}
	return exitCode(err)
}
