package replica_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/internal/natscluster"
	"github.com/annals-db/annals/replica"
)

// refuses opens a log, which must fail at once with an error that says want.
func refuses(t *testing.T, url, dir string, o replica.Options, want string) error {
	t.Helper()
	begun := time.Now()
	s, err := replica.Open(ctx, url, dir, &o)
	if err == nil {
		s.Close()
		t.Fatalf("it opens; want an error that says %q", want)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("Open returned %v; want an error that says %q", err, want)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	return err
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	c := one(t, natscluster.Options{})
	opts := replica.Options{System: c.System(), Replicas: 1}
	host := c.Client(0)
	if err := refuses(t, "nats://app:wrong@"+host, t.TempDir(), opts, "Authorization Violation"); strings.Contains(err.Error(), "wrong") {
		t.Errorf("the error has the password: %v", err)
	}
	if err := refuses(t, "nats://127.0.0.1:1", t.TempDir(), opts, "connect"); !errors.Is(err, driver.ErrUnavailable) {
		t.Errorf("no one there is %v", err)
	}
	stranger := opts
	stranger.System = "nats://sys:wrong@" + host
	if err := refuses(t, c.URL(), t.TempDir(), stranger, "system account: nats: Authorization Violation"); errors.Is(err, driver.ErrUnavailable) {
		t.Errorf("a wrong password of the system account is %v", err)
	}
	other := opts
	other.Name = "a.b"
	refuses(t, c.URL(), t.TempDir(), other, `"a.b" cannot be the name of a log`)
	refuses(t, c.System(), t.TempDir(), opts, "the stream ANNALS_annals: nats")
	if err := refuses(t, c.URL(), t.TempDir(), replica.Options{Name: "unasked", Replicas: 1}, "Options.Unverified opens"); !errors.Is(err, replica.ErrUnverified) {
		t.Errorf("without a system account it is %v", err)
	}
	refuses(t, c.URL(), t.TempDir(), replica.Options{Name: "unasked", System: c.System(), Replicas: 1, MustExist: true}, "holds no log of that name") // nothing was left behind
	refuses(t, c.URL(), t.TempDir(), replica.Options{System: c.URL(), Replicas: 1}, "not of the system account")
	refuses(t, c.URL(), t.TempDir(), replica.Options{System: c.System(), Name: "three"}, "replicas")

	must := opts
	must.Name, must.MustExist = "must-exist", true
	for range 2 { // the first leaves nothing behind
		if err := refuses(t, c.URL(), t.TempDir(), must, "holds no log of that name"); !errors.Is(err, driver.ErrNotFound) {
			t.Errorf("a log that must exist is %v", err)
		}
	}

	dir := t.TempDir()
	openNode(t, c.URL(), t.TempDir(), opts)
	log, err := filestore.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	log.Close()
	refuses(t, c.URL(), dir, opts, "and the cluster's is")
}

func TestAStreamThatCannotKeepALogIsRefused(t *testing.T) {
	c := one(t, natscluster.Options{})
	nc, err := nats.Connect(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "ANNALS_annals", Subjects: []string{"orders.>"}, MaxAge: time.Hour, MaxMsgs: 10})
	if err != nil {
		t.Fatal(err)
	}
	err = refuses(t, c.URL(), t.TempDir(), replica.Options{System: c.System(), Replicas: 1}, "cannot keep a log")
	var stream *replica.StreamError
	if !errors.As(err, &stream) || len(stream.Faults) < 6 {
		t.Fatalf("Open returned %v", err)
	}
	for _, fault := range []string{"discard is DiscardOld", "can be deleted", "can be purged", "dropped after 1h0m0s", "number of messages is limited", `subjects are ["orders.>"]`, "names no log"} {
		if !strings.Contains(err.Error(), fault) {
			t.Errorf("the error does not say %q: %v", fault, err)
		}
	}
}

func TestServersThatDoNotSyncAreUnverified(t *testing.T) {
	c := one(t, natscluster.Options{Lazy: true})
	opts := replica.Options{System: c.System(), Replicas: 1}
	if err := refuses(t, c.URL(), t.TempDir(), opts, "has no sync_interval: always"); !errors.Is(err, replica.ErrUnverified) {
		t.Errorf("it is %v", err)
	}
	opts.Unverified = true
	s := openNode(t, c.URL(), t.TempDir(), opts)
	if r := appendOne(t, s, "item-1"); !strings.Contains(r.Durability, "unverified") || status(t, s).Verified {
		t.Errorf("the receipt says %q", r.Durability)
	}
}

func TestATooSmallMaxPayloadIsRefused(t *testing.T) {
	c := one(t, natscluster.Options{MaxPayload: 32 << 10})
	refuses(t, c.URL(), t.TempDir(), replica.Options{System: c.System(), Replicas: 1}, "max_payload is 32768 bytes, and at least 65536 are needed")
}

func TestAClusterWithoutAQuorumIsUnavailableWithinATime(t *testing.T) {
	c := one(t, natscluster.Options{Servers: 3})
	opts := replica.Options{System: c.System(), Timeout: 3 * time.Second, Takeover: time.Second}
	s := openNode(t, c.URL(), t.TempDir(), opts)
	appendOne(t, s, "item-1")
	c.Stop(1)
	c.Stop(2)
	begun := time.Now()
	_, err := s.Append(ctx, driver.Batch{Events: []driver.Event{newEvent("item-1")}})
	if !errors.Is(err, driver.ErrUnavailable) || !errors.Is(err, driver.ErrOutcomeUnknown) {
		t.Errorf("an append without a quorum is answered with %v", err)
	}
	brief, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := s.Append(brief, driver.Batch{Events: []driver.Event{newEvent("item-1")}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an append with a deadline is answered with %v", err)
	}
	n := 0
	for _, err := range s.Read(ctx, driver.Query{}, driver.ReadOptions{}) {
		if err != nil {
			t.Error(err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d records can be read", n)
	}
	if err := refuses(t, c.URL(), t.TempDir(), opts, "has the cluster a quorum?"); !errors.Is(err, driver.ErrUnavailable) {
		t.Errorf("opening is %v", err)
	}
	if took := time.Since(begun); took > 40*time.Second {
		t.Errorf("it took %s", took)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
