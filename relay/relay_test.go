package relay_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/relay"
)

// broker is a sink that keeps what it is given, and fails as it is told.
type broker struct {
	mu       sync.Mutex
	got      []relay.Message
	refuse   map[string]error // by message ID
	failures int              // that many calls fail after the half of their messages
	came     chan struct{}
}

func newBroker() *broker {
	return &broker{refuse: map[string]error{}, came: make(chan struct{}, 1)}
}

func (b *broker) Publish(_ context.Context, messages []relay.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() {
		select {
		case b.came <- struct{}{}:
		default:
		}
	}()
	for i := range messages {
		if b.failures > 0 && i >= len(messages)/2 {
			b.failures--
			return errors.New("the connection broke")
		}
		if err := b.refuse[messages[i].ID]; err != nil {
			return err
		}
		b.got = append(b.got, messages[i])
	}
	return nil
}

// ids are those of the messages accepted, without repeats.
func (b *broker) ids() (ids []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.got {
		if !slices.Contains(ids, m.ID) {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

func (b *broker) set(id string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse[id] = err
}

// appendEvents appends n events to streams item-0 to item-3 in turn.
func appendEvents(t testing.TB, log driver.Log, n int) {
	t.Helper()
	for i := range n {
		e := driver.Event{ID: uuid.New(), Stream: fmt.Sprintf("item-%d", i%4), Type: fmt.Sprintf("Type%d", i%2), Data: fmt.Appendf(nil, `{"n":%d}`, i)}
		if _, err := log.Append(t.Context(), driver.Batch{Events: []driver.Event{e}}); err != nil {
			t.Fatal(err)
		}
	}
}

func quick(int) time.Duration { return time.Millisecond }

func newRelay(t *testing.T, log driver.Log, sink relay.Sink, o relay.Options) *relay.Relay {
	t.Helper()
	o.Backoff = quick
	r, err := relay.New(log, "out", sink, &o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func drain(t *testing.T, r *relay.Relay) driver.Position {
	t.Helper()
	at, err := r.Drain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// largest is a sink that notes the largest call.
type largest struct{ messages, bytes int }

func (l *largest) Publish(_ context.Context, messages []relay.Message) error {
	size := 0
	for i := range messages {
		size += messages[i].Record.Size()
	}
	l.messages, l.bytes = l.messages+len(messages), max(l.bytes, size)
	return nil
}

// However large the events are, a batch takes a bounded amount of memory.
func TestABatchOfLargeEventsIsSmaller(t *testing.T) {
	log := memstore.New(nil)
	for range 12 {
		e := driver.Event{ID: uuid.New(), Stream: "item-1", Type: "T", Data: []byte(`"` + strings.Repeat("x", 1_000_000) + `"`)}
		if _, err := log.Append(t.Context(), driver.Batch{Events: []driver.Event{e}}); err != nil {
			t.Fatal(err)
		}
	}
	var l largest
	if at := drain(t, newRelay(t, log, &l, relay.Options{})); at != 12 || l.messages != 12 {
		t.Fatalf("%d events are published, up to position %d", l.messages, at)
	}
	if l.bytes > 6_000_000 {
		t.Fatalf("%d bytes are published at once", l.bytes)
	}
}

// numbers are the positions from to to, as IDs.
func numbers(from, to int) (out []string) {
	for n := from; n <= to; n++ {
		out = append(out, strconv.Itoa(n))
	}
	return out
}

func TestEverythingIsPublishedOnceInOrderAndGoesOnWhereItWas(t *testing.T) {
	log, b := memstore.New(nil), newBroker()
	for round := range 3 {
		appendEvents(t, log, 20)
		if at := drain(t, newRelay(t, log, b, relay.Options{Batch: 7})); int(at) != 20*(round+1) {
			t.Errorf("it is at %d", at)
		}
	}
	if got := b.ids(); !slices.Equal(got, numbers(1, 60)) || len(b.got) != 60 {
		t.Errorf("published %v in %d messages", got, len(b.got))
	}
	info, err := log.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := b.got[6]
	if m.Key != "item-2" || m.MessageID() != "out-"+info.LogID.String()+"-7" || m.Source != "urn:uuid:"+info.LogID.String() {
		t.Errorf("message 7 is %+v", m)
	}
}

func TestOnlyWhatTheQuerySelectsIsPublished(t *testing.T) {
	log, b := memstore.New(nil), newBroker()
	appendEvents(t, log, 8)
	r := newRelay(t, log, b, relay.Options{Query: driver.Query{Items: []driver.Item{{Types: []string{"Type1"}}}}, Batch: 3})
	if at := drain(t, r); at != 8 || !slices.Equal(b.ids(), []string{"2", "4", "6", "8"}) {
		t.Errorf("published %v, at %d", b.ids(), at)
	}
}

func TestARelayThatBeginsAtTheEndPublishesWhatComesThen(t *testing.T) {
	log, b := memstore.New(nil), newBroker()
	appendEvents(t, log, 8)
	drain(t, newRelay(t, log, b, relay.Options{AtEnd: true}))
	appendEvents(t, log, 2)
	drain(t, newRelay(t, log, b, relay.Options{AtEnd: true}))
	if !slices.Equal(b.ids(), numbers(9, 10)) {
		t.Errorf("published %v", b.ids())
	}
}

func TestWhatIsAppendedIsPublishedAtOnce(t *testing.T) {
	log, b := memstore.New(nil), newBroker()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	r := newRelay(t, log, b, relay.Options{})
	go func() { ended <- r.Run(ctx) }()
	for n := range 5 {
		appendEvents(t, log, 1)
		eventually(t, func() bool { return len(b.ids()) == n+1 })
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it has not come about within a minute")
		}
	}
}

func TestFailuresAreTriedAgainAndOrderIsKept(t *testing.T) {
	log, b := memstore.New(nil), newBroker()
	appendEvents(t, log, 40)
	b.failures = 7
	drain(t, newRelay(t, log, b, relay.Options{Batch: 10}))
	if !slices.Equal(b.ids(), numbers(1, 40)) {
		t.Errorf("published %v", b.ids())
	}
}

func TestWhatIsRefusedForGoodHoldsUpItsKeyOnly(t *testing.T) {
	log, b := memstore.New(nil), newBroker()
	appendEvents(t, log, 12) // item-1 has 2, 6, 10
	b.set("6", relay.Permanent(errors.New("too large")))
	r := newRelay(t, log, b, relay.Options{Batch: 5})
	if at := drain(t, r); at != 12 {
		t.Errorf("it is at %d", at)
	}
	appendEvents(t, log, 4) // 14
	drain(t, newRelay(t, log, b, relay.Options{Batch: 5}))
	want := slices.DeleteFunc(numbers(1, 16), func(id string) bool { return id == "6" || id == "10" || id == "14" })
	if got := b.ids(); !slices.Equal(got, want) {
		t.Errorf("published %v, want %v", got, want)
	}
	letter, err := r.Letters().Find(t.Context(), "item-1")
	if err != nil || !slices.Equal(letter.Positions, []driver.Position{6, 10, 14}) || !strings.Contains(letter.Error, "too large") || letter.Attempts != 1 {
		t.Errorf("the dead letter is %+v, %v", letter, err)
	}
	if s, err := r.Status(t.Context()); err != nil || s.Position != 16 || s.Dead != 1 || s.Waiting != 3 || s.Holder != "" {
		t.Errorf("the status is %+v, %v", s, err)
	}

	// Tried again in vain, it stays.
	if n, err := r.Letters().Retry(t.Context(), "item-1"); n != 0 || err == nil || !strings.Contains(err.Error(), "position 6: too large") {
		t.Errorf("Retry returned %d, %v", n, err)
	}
	// Mended, all of it follows in order, and the key goes on.
	b.set("6", nil)
	if n, err := r.Letters().Retry(t.Context(), "item-1"); n != 3 || err != nil {
		t.Errorf("Retry returned %d, %v", n, err)
	}
	appendEvents(t, log, 4)
	drain(t, r)
	if got := b.ids(); !slices.Equal(got[len(got)-7:], []string{"6", "10", "14", "17", "18", "19", "20"}) {
		t.Errorf("published %v", got)
	}
	if _, err := r.Letters().Find(t.Context(), "item-1"); !errors.Is(err, driver.ErrNotFound) {
		t.Errorf("the dead letter: %v", err)
	}
}

// forgetful is a state that does not take checkpoints while it fails.
type forgetful struct {
	driver.State
	fails bool
}

func (f *forgetful) Save(ctx context.Context, key string, value []byte, expect uint64) (uint64, error) {
	if f.fails && strings.HasSuffix(key, "/checkpoint") && strings.Contains(string(value), `"position":12`) {
		return 0, errors.New("no room")
	}
	return f.State.Save(ctx, key, value, expect)
}

func TestWhatIsHandledAgainWaitsOnlyOnceBehindADeadLetter(t *testing.T) {
	log, b := memstore.New(nil), newBroker()
	appendEvents(t, log, 8)
	b.set("2", relay.Permanent(errors.New("no")))
	state := &forgetful{State: log.State()}
	r := newRelay(t, log, b, relay.Options{State: state})
	drain(t, r)
	appendEvents(t, log, 4)
	state.fails = true
	if _, err := r.Drain(t.Context()); err == nil {
		t.Fatal("the checkpoint was kept")
	}
	state.fails = false
	drain(t, r)
	letter, err := r.Letters().Find(t.Context(), "item-1")
	if err != nil || !slices.Equal(letter.Positions, []driver.Position{2, 6, 10}) {
		t.Errorf("%+v, %v", letter, err)
	}
}

func TestADeadLetterThatIsDroppedLetsItsKeyGoOn(t *testing.T) {
	for _, all := range []bool{false, true} {
		log, b := memstore.New(nil), newBroker()
		appendEvents(t, log, 12)
		b.set("2", relay.Permanent(errors.New("no")))
		r := newRelay(t, log, b, relay.Options{})
		drain(t, r)
		if err := r.Letters().Drop(t.Context(), "item-1", all); err != nil {
			t.Fatal(err)
		}
		got := b.ids()
		if slices.Contains(got, "2") || slices.Contains(got, "10") == all {
			t.Errorf("all %t: published %v", all, got)
		}
		appendEvents(t, log, 2)
		drain(t, r)
		if !slices.Contains(b.ids(), "14") {
			t.Error("the key does not go on")
		}
	}
}

func TestAnEventIsSetAsideAfterSoManyAttempts(t *testing.T) {
	log, b := memstore.New(nil), newBroker()
	appendEvents(t, log, 8)
	b.set("3", errors.New("500"))
	r := newRelay(t, log, b, relay.Options{Attempts: 3})
	drain(t, r)
	letter, err := r.Letters().Find(t.Context(), "item-2")
	if err != nil || letter.Attempts != 3 || !slices.Equal(letter.Positions, []driver.Position{3, 7}) {
		t.Errorf("%+v, %v", letter, err)
	}
	if got := b.ids(); len(got) != 6 {
		t.Errorf("published %v", got)
	}
}

func TestALogThatIsNotTheSameIsRefused(t *testing.T) {
	state := memstore.New(nil).State()
	id := uuid.New()
	make := func(n int, seed string, id driver.ID) driver.Log {
		log := memstore.New(&memstore.Options{LogID: id})
		for i := range n {
			e := driver.Event{ID: uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, seed, i)), Stream: "item-1", Type: "T"}
			if _, err := log.Append(t.Context(), driver.Batch{Events: []driver.Event{e}, Time: time.Unix(1, 0)}); err != nil {
				t.Fatal(err)
			}
		}
		return log
	}
	drain(t, newRelay(t, make(10, "a", id), newBroker(), relay.Options{State: state}))
	for name, c := range map[string]struct {
		log driver.Log
		why string
	}{
		"another log":               {make(10, "a", uuid.New()), "is of log"},
		"an older backup":           {make(9, "a", id), "ends at position 9"},
		"a backup that has gone on": {make(12, "b", id), "has gone on differently"},
	} {
		b := newBroker()
		_, err := newRelay(t, c.log, b, relay.Options{State: state}).Drain(t.Context())
		var refused *relay.CheckpointError
		if !errors.As(err, &refused) || refused.Position != 10 || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", name, err)
		}
		if len(b.got) > 0 {
			t.Errorf("%s: %d messages were published", name, len(b.got))
		}
	}
	b := newBroker()
	drain(t, newRelay(t, make(12, "a", id), b, relay.Options{State: state}))
	if !slices.Equal(b.ids(), numbers(11, 12)) {
		t.Errorf("the same log, longer: published %v", b.ids())
	}
}

func TestOfSeveralOnePublishesAndAnotherTakesOver(t *testing.T) {
	log := memstore.New(nil)
	sinks := []*broker{newBroker(), newBroker()}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var ended sync.WaitGroup
	stops := make([]context.CancelFunc, 2)
	for i, b := range sinks {
		mine, stop := context.WithCancel(ctx)
		stops[i] = stop
		r := newRelay(t, log, b, relay.Options{TTL: 500 * time.Millisecond})
		ended.Go(func() { _ = r.Run(mine) })
		if i == 0 {
			appendEvents(t, log, 1)
			eventually(t, func() bool { return len(b.ids()) == 1 })
		}
	}
	appendEvents(t, log, 20)
	eventually(t, func() bool { return len(sinks[0].ids()) == 21 })
	if n := len(sinks[1].ids()); n > 0 {
		t.Errorf("the second has published %d beside the first", n)
	}
	stops[0]()
	appendEvents(t, log, 4)
	eventually(t, func() bool { return len(sinks[1].ids()) == 4 })
	if !slices.Equal(sinks[1].ids(), numbers(22, 25)) {
		t.Errorf("the second has published %v", sinks[1].ids())
	}
	cancel()
	ended.Wait()
}

func TestALogThatIsOpenReadOnlyNeedsAPlaceForTheCheckpoint(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	owner, err := filestore.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	appendEvents(t, owner, 3)
	log, err := filestore.Open(dir, &filestore.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, err := relay.New(log, "out", newBroker(), nil); err == nil || !strings.Contains(err.Error(), "open read-only") {
		t.Errorf("New returned %v", err)
	}
	b := newBroker()
	drain(t, newRelay(t, log, b, relay.Options{State: memstore.New(nil).State()}))
	if len(b.ids()) != 3 {
		t.Errorf("published %v", b.ids())
	}
}

func TestInOrderKeepsTheOrderOfEachKeyAndStopsAtAnError(t *testing.T) {
	var messages []relay.Message
	for i := range 200 {
		messages = append(messages, relay.Message{ID: strconv.Itoa(i), Key: strconv.Itoa(i % 7)})
	}
	var mu sync.Mutex
	last := map[string]int{}
	running, most := 0, 0
	publish := func(_ context.Context, m *relay.Message) error {
		mu.Lock()
		running++
		most = max(most, running)
		n, _ := strconv.Atoi(m.ID)
		before, seen := last[m.Key]
		if seen && before != n-7 || !seen && n >= 7 {
			t.Errorf("key %s: %d follows %d", m.Key, n, before)
		}
		last[m.Key] = n
		mu.Unlock()
		time.Sleep(100 * time.Microsecond)
		mu.Lock()
		running--
		mu.Unlock()
		if n == 77 {
			return errors.New("no")
		}
		return nil
	}
	err := relay.InOrder(t.Context(), messages, 3, publish)
	if err == nil || err.Error() != "no" || last["0"] != 77 {
		t.Errorf("%v, and key 0 came to %d", err, last["0"])
	}
	if most > 3 {
		t.Errorf("%d at once", most)
	}
	if len(last) < 3 {
		t.Errorf("only the keys %v were begun", last)
	}
}
