// Command orderentry is a table that several people fill in at once, each with
// undo and redo of their own:
//
//	go run ./examples/orderentry -store file:/tmp/order
//
// Open http://localhost:8081 in two browsers and give two names. Undo takes back
// what you did last and leaves what the other did; where the other's work rests on
// it, it is refused, and the change in the way is named.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/stores"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "orderentry:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("orderentry", flag.ContinueOnError)
	store := flags.String("store", "file:order.annals", "the `URL` of the store, made if it is not there")
	listen := flags.String("listen", "localhost:8081", "the `address` to serve at")
	if err := flags.Parse(args); err != nil {
		return err
	}
	log, err := stores.Open(ctx, *store, nil)
	if err != nil {
		return err
	}
	defer log.Close()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	t := &table{db: annals.New(log, nil)}
	server := &http.Server{Handler: t.handler(), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }} // so that waiting requests end
	fmt.Fprintf(out, "http://%s\n", listener.Addr())
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	quiet, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(quiet); err != nil {
		_ = server.Close()
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
