package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/pgstore"
)

// seeds is how many runs a test by seed makes, and the first seed.
func seeds(fallback int) (first uint64, n int) {
	first, n = rand.Uint64()>>16, fallback
	if v, err := strconv.Atoi(os.Getenv("ANNALS_SEEDS")); err == nil {
		n = v
	}
	if v, err := strconv.ParseUint(os.Getenv("ANNALS_SEED"), 10, 64); err == nil {
		first, n = v, 1
	}
	return first, n
}

// load is writers that decide on streams and tags through several stores, and
// send a batch again while it is not known what became of it.
type load struct {
	t      testing.TB
	stores []*pgstore.Store
	acked  acknowledged
	seed   uint64
	stop   chan struct{}
	once   sync.Once
	wg     sync.WaitGroup
}

func startLoad(t testing.TB, seed uint64, writers int, stores ...*pgstore.Store) *load {
	l := &load{t: t, stores: stores, seed: seed, stop: make(chan struct{})}
	for w := range writers {
		l.wg.Go(func() { l.write(w) })
	}
	t.Cleanup(l.end) // before the stores are closed, if the test fails
	return l
}

func (l *load) end() { l.once.Do(func() { close(l.stop) }); l.wg.Wait() }

func (l *load) stopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

func (l *load) write(w int) {
	r := rand.New(rand.NewPCG(l.seed, uint64(w)))
	log := l.stores[w%len(l.stores)]
	ctx := context.Background()
	for !l.stopped() {
		stream, tag := fmt.Sprintf("item-%d", r.IntN(4)), fmt.Sprintf("course:%d", r.IntN(4))
		info, err := log.Info(ctx)
		if err != nil {
			l.bear(err)
			continue
		}
		version, err := log.StreamVersion(ctx, stream)
		if err != nil {
			l.bear(err)
			continue
		}
		b := driver.Batch{Events: []driver.Event{event(stream, "Moved"), event("", "Booked", tag)}}
		switch r.IntN(4) {
		case 0:
			b.Conditions = []driver.Condition{driver.StreamAt(stream, version)}
		case 1:
			b.Conditions = []driver.Condition{driver.NoneAfter(tagged(tag), info.Head)}
		case 2:
			b.Conditions = []driver.Condition{driver.NoneAfter(driver.Query{Items: []driver.Item{{Types: []string{"Booked"}, Tags: []string{tag}}, {Streams: []string{stream}}}}, info.Head)}
		}
		l.append(ctx, log, b)
	}
}

// append sends b until its fate is known.
func (l *load) append(ctx context.Context, log *pgstore.Store, b driver.Batch) {
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		r, err := log.Append(ctx, b)
		switch {
		case err == nil:
			l.acked.add(b, r)
			return
		case errors.Is(err, driver.ErrOutcomeUnknown), errors.Is(err, driver.ErrUnavailable):
			l.bear(err)
		case isConflict(err):
			return
		default:
			l.t.Errorf("Append: %v", err)
			return
		}
	}
	l.t.Errorf("the fate of a batch is not known after %v", patience)
}

// bear waits a little where the error is one of a server that is not there.
func (l *load) bear(err error) {
	if !errors.Is(err, driver.ErrUnavailable) && !errors.Is(err, driver.ErrOutcomeUnknown) {
		l.t.Errorf("with the server gone: %v", err)
	}
	time.Sleep(5 * time.Millisecond)
}

// until waits for n more acknowledged batches.
func (l *load) until(n int) {
	l.t.Helper()
	want, deadline := l.acked.count()+n, time.Now().Add(patience)
	for l.acked.count() < want {
		if time.Now().After(deadline) {
			l.t.Fatalf("%d batches acknowledged, want %d", l.acked.count(), want)
		}
		time.Sleep(time.Millisecond)
	}
}

// sound checks the log after the faults.
func (l *load) sound(log *pgstore.Store) {
	l.t.Helper()
	records := readAll(l.t, log)
	checkHistory(l.t, records)
	l.acked.check(l.t, records)
	for err := range log.Verify(newContext(l.t), nil) {
		l.t.Error(err)
	}
	l.t.Logf("%d batches acknowledged, %d events in the log", l.acked.count(), len(records))
}

func TestServerKilledUnderLoadLosesNothing(t *testing.T) {
	first, n := seeds(1)
	server := pgserver.ForTest(t, nil)
	for seed := first; seed < first+uint64(n); seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Logf("repeat with ANNALS_SEED=%d", seed)
			ctx := newContext(t)
			url := server.NewDatabase(t)
			a, b, c := openStore(t, url, nil), openStore(t, url, nil), openStore(t, url, nil)
			following, stop := context.WithCancel(ctx)
			defer stop()
			seen, followed := make(chan driver.Record, 1<<20), make(chan struct{})
			go func() {
				defer close(followed)
				for at := driver.Position(0); following.Err() == nil; at = followOn(following, c, at, seen) {
				}
			}()
			l, r := startLoad(t, seed, 8, a, b), rand.New(rand.NewPCG(seed, 1000))
			for range 3 {
				l.until(50 + r.IntN(100))
				if err := server.Kill(); err != nil {
					t.Fatal(err)
				}
				if err := server.Restart(); err != nil {
					t.Fatal(err)
				}
			}
			l.until(50)
			l.end()
			l.sound(a)
			head := driver.Position(len(readAll(t, a)))
			for want := driver.Position(1); want <= head; want++ {
				select {
				case r := <-seen:
					if r.Position != want {
						t.Fatalf("the subscriber was given position %d where %d comes", r.Position, want)
					}
				case <-ctx.Done():
					t.Fatalf("the subscriber was never given position %d", want)
				}
			}
			stop()
			<-followed
		})
	}
}

// followOn sends records from at on until something fails, and returns where it is.
func followOn(ctx context.Context, log driver.Log, at driver.Position, to chan<- driver.Record) driver.Position {
	if _, err := log.Wait(ctx, at); err != nil {
		time.Sleep(5 * time.Millisecond)
		return at
	}
	for r, err := range log.Read(ctx, driver.Query{}, driver.ReadOptions{After: at}) {
		if err != nil {
			return at
		}
		to <- r
		at = r.Position
	}
	return at
}

func TestConnectionsCutUnderLoadLoseNothing(t *testing.T) {
	first, n := seeds(1)
	for seed := first; seed < first+uint64(n); seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Logf("repeat with ANNALS_SEED=%d", seed)
			ctx, url := newContext(t), newURL(t)
			a, b := openStore(t, url, nil), openStore(t, url, nil)
			l := startLoad(t, seed, 8, a, b)
			conn, err := pgx.Connect(ctx, url)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(ctx)
			for range 20 {
				l.until(10)
				if _, err := conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
					t.Fatal(err)
				}
			}
			l.until(20)
			l.end()
			l.sound(b)
		})
	}
}

// The answer to an append is lost on its way; the batch sent again gives the
// first receipt.
func TestAppendWhoseAnswerIsLostIsUnknownAndItsRetryGivesTheFirstReceipt(t *testing.T) {
	ctx, url := newContext(t), newURL(t)
	direct := openStore(t, url, nil)
	line := newLine(t, url)
	s := openStore(t, line.url, nil)
	mustAppend(t, s, batch(event("a-1", "A")))
	for n := range 5 {
		b := driver.Batch{Events: []driver.Event{event("a-1", "B"), event("", "C", "k:v")}, Conditions: []driver.Condition{driver.StreamAt("a-1", uint64(n+1))}}
		err := driver.ErrUnavailable
		for errors.Is(err, driver.ErrUnavailable) { // there was no connection to send it by
			line.loseAnswers(false)
			if _, err := s.Info(ctx); err != nil {
				t.Fatal(err)
			}
			line.loseAnswers(true)
			_, err = s.Append(ctx, b)
		}
		line.loseAnswers(false)
		if !errors.Is(err, driver.ErrOutcomeUnknown) {
			t.Fatalf("Append with its answer lost returned %v", err)
		}
		var r driver.Receipt
		for {
			if r, err = s.Append(ctx, b); !errors.Is(err, driver.ErrUnavailable) && !errors.Is(err, driver.ErrOutcomeUnknown) {
				break
			}
		}
		if want := driver.Position(2 + 2*n); err != nil || r.First != want || r.Versions[0] != uint64(n+2) {
			t.Fatalf("the retry returned %+v and %v, want position %d", r, err, want)
		}
	}
	records := readAll(t, direct)
	checkHistory(t, records)
	if len(records) != 11 {
		t.Errorf("%d events", len(records))
	}
}

// Whoever waits is woken again after the server was restarted.
func TestWaitIsWokenAfterARestart(t *testing.T) {
	server := pgserver.ForTest(t, nil)
	url := server.URL("postgres")
	ctx := newContext(t)
	a, b := openStore(t, url, nil), openStore(t, url, nil)
	for i := range driver.Position(3) {
		woken := make(chan error, 1)
		go func() {
			for {
				head, err := b.Wait(ctx, i)
				if err == nil && head > i || ctx.Err() != nil {
					woken <- err
					return
				}
			}
		}()
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
		appendOn(t, a, batch(event("a-1", "A")))
		if err := <-woken; err != nil {
			t.Fatal(err)
		}
	}
}

// appendOn appends b, however often it takes.
func appendOn(t testing.TB, log driver.Log, b driver.Batch) driver.Receipt {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		r, err := log.Append(context.Background(), b)
		if err == nil {
			return r
		}
		if time.Now().After(deadline) || !errors.Is(err, driver.ErrUnavailable) && !errors.Is(err, driver.ErrOutcomeUnknown) {
			t.Fatalf("Append: %v", err)
		}
	}
}

func TestServerThatIsGoneIsUnavailable(t *testing.T) {
	server := pgserver.ForTest(t, nil)
	s := openStore(t, server.URL("postgres"), nil)
	mustAppend(t, s, batch(event("a-1", "A")))
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	ctx := newContext(t)
	_, err := s.Info(ctx)
	if !errors.Is(err, driver.ErrUnavailable) {
		t.Errorf("Info returned %v", err)
	}
	for range 2 { // the first may have been sent into a connection that was already dead
		_, err = s.Append(ctx, batch(event("a-1", "A")))
	}
	if !errors.Is(err, driver.ErrUnavailable) {
		t.Errorf("Append returned %v", err)
	}
	for _, err = range s.Read(ctx, driver.Query{}, driver.ReadOptions{}) {
	}
	if !errors.Is(err, driver.ErrUnavailable) {
		t.Errorf("Read returned %v", err)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	if r := appendOn(t, s, batch(event("a-1", "A"))); r.First != 2 {
		t.Errorf("the append after the restart is at %d", r.First)
	}
}
