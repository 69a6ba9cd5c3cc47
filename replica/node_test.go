package replica_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/internal/natscluster"
	"github.com/annals-db/annals/replica"
)

// one starts a server of its own in this process, or several.
func one(t *testing.T, o natscluster.Options) *natscluster.Cluster {
	t.Helper()
	o.Servers = max(o.Servers, 1)
	c, err := natscluster.New(t.TempDir(), &o)
	if err == nil {
		err = c.Start(-1)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop(-1) })
	return c
}

func openNode(t *testing.T, url, dir string, o replica.Options) *replica.Store {
	t.Helper()
	s, err := replica.Open(ctx, url, dir, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newEvent(stream string) driver.Event {
	return driver.Event{ID: uuid.New(), Stream: stream, Type: "Happened", Data: []byte(`{}`)}
}

func appendOne(t *testing.T, log driver.Log, stream string) driver.Receipt {
	t.Helper()
	r, err := log.Append(ctx, driver.Batch{Events: []driver.Event{newEvent(stream)}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// mustBeAlike waits until all logs are at the head of the first, and compares their tree heads.
func mustBeAlike(t *testing.T, logs ...driver.Log) {
	t.Helper()
	info, err := logs[0].Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var first [32]byte
	for i, log := range logs {
		if info.Head > 0 {
			if _, err := log.Wait(ctx, info.Head-1); err != nil {
				t.Fatalf("log %d: %v", i, err)
			}
		}
		h, err := log.(driver.Hasher).TreeHead(ctx, info.Head)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = h
		} else if h != first {
			t.Errorf("log %d differs at %d", i, info.Head)
		}
	}
}

// eventually waits until f returns "", and else says what is missing.
func eventually(t *testing.T, f func() string) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		missing := f()
		if missing == "" {
			return
		}
		if time.Since(begun) > time.Minute {
			t.Fatal(missing)
		}
	}
}

func status(t *testing.T, s *replica.Store) replica.Status {
	t.Helper()
	st, err := s.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestClosingTheSequencerHandsOverAtOnce(t *testing.T) {
	name := newName(t)
	var nodes []*replica.Store
	for i := range 3 {
		nodes = append(nodes, openNode(t, shared.URL, t.TempDir(), replica.Options{Name: name, Node: fmt.Sprint("n", i), System: shared.System, Takeover: time.Minute}))
	}
	appendOne(t, nodes[2], "item-1")
	eventually(t, func() string {
		if !status(t, nodes[0]).Leading {
			return "the node that was opened first does not sequence"
		}
		return ""
	})
	begun := time.Now()
	if err := nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	appendOne(t, nodes[2], "item-1")
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("handing over took %s, half of what a silent sequencer is given", took)
	}
	mustBeAlike(t, nodes[2], nodes[1])
}

func TestSubmittedBatchesKeepTheirOrderThroughHandOvers(t *testing.T) {
	name := newName(t)
	first := openNode(t, shared.URL, t.TempDir(), replica.Options{Name: name, Node: "first", System: shared.System})
	appendOne(t, first, "warm-up")
	second := openNode(t, shared.URL, t.TempDir(), replica.Options{Name: name, Node: "second", System: shared.System})
	const n = 400
	var answers []func() (driver.Receipt, error)
	for i := range n {
		answers = append(answers, second.Submit(ctx, driver.Batch{Events: []driver.Event{newEvent("item-1")},
			Conditions: []driver.Condition{driver.StreamAt("item-1", uint64(i))}}))
		if i == n/3 {
			go first.Close()
		}
	}
	for i, answer := range answers {
		if r, err := answer(); err != nil || r.Versions[0] != uint64(i+1) || r.Repeated {
			t.Fatalf("batch %d is answered with %+v and %v", i, r, err)
		}
	}
}

func TestANodeJoinsLateFromNothingOrFromABackup(t *testing.T) {
	name := newName(t)
	dir := t.TempDir()
	opts := replica.Options{Name: name, System: shared.System, Store: &filestore.Options{SegmentBytes: 16 << 10}}
	first := openNode(t, shared.URL, dir, opts)
	for i := range 300 {
		appendOne(t, first, fmt.Sprint("item-", i%7))
	}
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil { // as a snapshot of the disk would
		t.Fatal(err)
	}
	os.Remove(filepath.Join(backup, "lock"))
	for i := range 300 {
		appendOne(t, first, fmt.Sprint("item-", i%7))
	}
	late := openNode(t, shared.URL, t.TempDir(), opts)
	restored := openNode(t, shared.URL, backup, opts)
	mustBeAlike(t, first, late, restored)
	for _, s := range []*replica.Store{late, restored, first} {
		appendOne(t, s, "item-1")
	}
	mustBeAlike(t, late, restored, first)
	for err := range restored.Verify(ctx, nil) {
		t.Error(err)
	}
}

func TestALogIsMovedUnderAClusterAndBack(t *testing.T) {
	c := one(t, natscluster.Options{MaxPayload: 64 << 10})
	dir := t.TempDir()
	file, err := filestore.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		appendOne(t, file, fmt.Sprint("item-", i%7))
	}
	large := driver.Batch{Events: []driver.Event{newEvent("large"), newEvent("large")}, Conditions: []driver.Condition{driver.StreamAbsent("large")}}
	for i := range large.Events {
		large.Events[i].Data = bytes.Repeat([]byte("x"), 300<<10)
	}
	if _, err := file.Append(ctx, large); err != nil {
		t.Fatal(err)
	}
	before, _ := file.Info(ctx)
	head, _ := file.TreeHead(ctx, before.Head)
	file.Close()

	opts := replica.Options{Name: "moved", System: c.System(), Replicas: 1}
	if s, err := replica.Open(ctx, c.URL(), dir, &opts); err == nil || !strings.Contains(err.Error(), "seed in a URL, publishes it") || errors.Is(err, driver.ErrUnavailable) {
		t.Fatalf("Open without Seed returned %v and %v", s, err)
	}
	seed := opts
	seed.Seed = true
	s := openNode(t, c.URL(), dir, seed)
	appendOne(t, s, "item-1")
	joined := openNode(t, c.URL(), t.TempDir(), opts)
	mustBeAlike(t, s, joined)
	if got, err := joined.TreeHead(ctx, before.Head); err != nil || got != head {
		t.Errorf("the tree head of what was moved is %x (%v), want %x", got, err, head)
	}
	info, _ := joined.Info(ctx)
	if info.LogID != before.LogID {
		t.Errorf("it is log %s, want %s", info.LogID, before.LogID)
	}
	large.Events[0].ID, large.Events[1].ID, large.Conditions = uuid.New(), uuid.New(), nil
	if r, err := joined.Append(ctx, large); err != nil || r.Versions[1] != 4 {
		t.Errorf("a batch larger than max_payload is answered with %+v and %v", r, err)
	}
	mustBeAlike(t, joined, s)
	info, _ = s.Info(ctx)
	s.Close()
	joined.Close()

	back, err := filestore.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	if r := appendOne(t, back, "item-1"); r.First != info.Head+1 {
		t.Errorf("the file store goes on at %d, want %d", r.First, info.Head+1)
	}
}

func TestALostStreamStopsNodesAndIsPublishedAnew(t *testing.T) {
	c := one(t, natscluster.Options{})
	opts := func(node string) replica.Options {
		return replica.Options{Name: "lost", Node: node, System: c.System(), Replicas: 1, Takeover: time.Second}
	}
	dirs := []string{t.TempDir(), t.TempDir()}
	nodes := []*replica.Store{openNode(t, c.URL(), dirs[0], opts("a")), openNode(t, c.URL(), dirs[1], opts("b"))}
	for i := range 100 {
		appendOne(t, nodes[i%2], "item-1")
	}
	mustBeAlike(t, nodes[0], nodes[1])
	nc, err := nats.Connect(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	config := func() jetstream.StreamConfig {
		stream, err := js.Stream(ctx, "ANNALS_lost")
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().Config
	}()
	if err := js.DeleteStream(ctx, "ANNALS_lost"); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(ctx, config); err != nil {
		t.Fatal(err)
	}
	for i, s := range nodes {
		eventually(t, func() string {
			_, err := s.Append(ctx, driver.Batch{Events: []driver.Event{newEvent("item-1")}})
			if !errors.Is(err, driver.ErrReadOnly) || !strings.Contains(err.Error(), "stream was made anew") {
				return fmt.Sprintf("node %d answers an append with %v", i, err)
			}
			return ""
		})
		if st := status(t, s); st.Fault == nil {
			t.Errorf("node %d does not say that it has stopped: %s", i, st)
		}
		info, err := s.Info(ctx)
		if err != nil || info.Head != 100 || info.ReadOnly == "" {
			t.Errorf("node %d says %+v, %v", i, info, err)
		}
		n := 0
		for _, err := range s.Read(ctx, driver.Query{}, driver.ReadOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != 100 {
			t.Errorf("node %d reads %d records", i, n)
		}
		s.Close()
	}
	o := opts("a")
	if s, err := replica.Open(ctx, c.URL(), dirs[0], &o); err == nil || !strings.Contains(err.Error(), "the stream ends at position 0, and this node's log at 100") {
		t.Fatalf("Open returned %v and %v", s, err)
	}
	o.Seed = true
	a := openNode(t, c.URL(), dirs[0], o)
	appendOne(t, a, "item-1")
	b := openNode(t, c.URL(), dirs[1], opts("b"))
	third := openNode(t, c.URL(), t.TempDir(), opts("c"))
	mustBeAlike(t, a, b, third)
}

func TestTheStateIsSharedAndTakesLargeValues(t *testing.T) {
	name := newName(t)
	a := openNode(t, shared.URL, t.TempDir(), replica.Options{Name: name, Node: "a", System: shared.System})
	b := openNode(t, shared.URL, t.TempDir(), replica.Options{Name: name, Node: "b", System: shared.System})
	large := bytes.Repeat([]byte("0123456789"), 300_000)
	rev, err := a.State().Save(ctx, "snapshot", large, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, at, err := b.State().Load(ctx, "snapshot")
	if err != nil || at != rev || !bytes.Equal(got, large) {
		t.Fatalf("the other node loads %d bytes at %d, %v", len(got), at, err)
	}
	if _, err := a.State().Save(ctx, "snapshot", []byte("small"), rev+1); !errors.Is(err, driver.ErrRevision) {
		t.Errorf("Save at another revision returned %v", err)
	}
	if got, _, err := a.State().Load(ctx, "snapshot"); err != nil || !bytes.Equal(got, large) {
		t.Errorf("a Save that was refused left %d bytes, %v", len(got), err)
	}
	rev2, err := b.State().Save(ctx, "snapshot", large[1:], rev)
	if err != nil {
		t.Fatal(err)
	}
	if got, at, err := a.State().Load(ctx, "snapshot"); err != nil || at != rev2 || !bytes.Equal(got, large[1:]) {
		t.Errorf("it loads %d bytes at %d, %v", len(got), at, err)
	}
	if err := a.State().Delete(ctx, "snapshot", rev2); err != nil {
		t.Error(err)
	}
	for k, err := range b.State().Keys(ctx, "") {
		t.Errorf("a key is left: %q, %v", k, err)
	}
}
