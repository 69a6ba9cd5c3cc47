package main

import (
	"context"
	"errors"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	root "github.com/annals-db/annals"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/group"
)

// group DIRECTORY [mended] runs the consumer group mail, whose handler fails at
// events of type Bad unless it is mended, until it has dealt with everything.
func runGroup(ts *testscript.TestScript, _ bool, args []string) {
	log, err := filestore.Open(ts.MkAbs(args[0]), nil)
	ts.Check(err)
	defer func() { ts.Check(log.Close()) }()
	mended := len(args) > 1 && args[1] == "mended"
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	g := group.New(root.New(log, nil), "mail", root.Query{}, &group.Options{
		Partitions: 2, Attempts: 2, Lease: time.Second, Worker: "tester", Backoff: func(int) time.Duration { return time.Millisecond },
	})
	ended := make(chan error, 1)
	go func() {
		ended <- g.Run(ctx, func(_ context.Context, r root.Record) error {
			if r.Type == "Bad" && !mended {
				return errors.New("no such address")
			}
			return nil
		})
	}()
	for {
		s, err := group.Inspect(ctx, log, "mail")
		done := err == nil && len(s.Partitions) == 2 && (!mended || len(s.Parked) == 0)
		for _, p := range s.Partitions {
			done = done && p.Position == s.Head
		}
		if done {
			break
		}
		select {
		case err := <-ended:
			ts.Fatalf("the group ended: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	cancel()
	<-ended
}
