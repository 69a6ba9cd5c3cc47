// Command editor serves texts that several people write in at once, from one
// store:
//
//	go run ./examples/editor -store file:/tmp/texts
//
// Open http://localhost:8080 in two windows. What is typed is events in the
// store, so every text has its history: who wrote what, any version, restored
// with a click. The page goes on without a connection and comes together again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
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
		fmt.Fprintln(os.Stderr, "editor:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("editor", flag.ContinueOnError)
	store := flags.String("store", "file:texts.annals", "the `URL` of the store, made if it is not there")
	listen := flags.String("listen", "localhost:8080", "the `address` to serve at")
	most := flags.Int("max", 400_000, "the most `characters` a text may have; a text area is slow with more")
	if err := flags.Parse(args); err != nil {
		return err
	}
	log, err := stores.Open(ctx, *store, nil)
	if err != nil {
		return err
	}
	defer log.Close()
	e, err := newEditor(ctx, annals.New(log, nil), *most, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: e.handler(), ReadHeaderTimeout: 10 * time.Second}
	fmt.Fprintf(out, "http://%s\n", listener.Addr())
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	e.texts.Close() // which lets the editors go, so that Shutdown ends
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
