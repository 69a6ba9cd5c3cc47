package audit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/audit"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/memstore"
)

var shared struct {
	sync.Once
	server *pgserver.Server
	err    error
}

var settings = map[string]string{"wal_level": "logical", "max_replication_slots": "100", "max_wal_senders": "100", "max_connections": "200"}

func TestMain(m *testing.M) {
	if args := os.Getenv(child); args != "" {
		fmt.Fprintln(os.Stderr, captureAsChild(args))
		os.Exit(1)
	}
	code := m.Run()
	if shared.server != nil {
		if err := shared.server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

// server returns the server that the tests of this package share.
func server(t testing.TB) *pgserver.Server {
	t.Helper()
	shared.Do(func() { shared.server, shared.err = pgserver.Start(&pgserver.Options{Settings: settings}) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// world is a database under audit.
type world struct {
	t    testing.TB
	url  string
	slot string
	conn *pgx.Conn
	log  driver.Log
	o    audit.Options

	cancel context.CancelFunc
	ended  chan error
}

var slots atomic.Int64

// newWorld makes a database with tables that sql creates.
func newWorld(t testing.TB, s *pgserver.Server, sql string) *world {
	t.Helper()
	url := s.NewDatabase(t)
	w := &world{t: t, url: url, slot: fmt.Sprintf("annals_%d", slots.Add(1)), log: memstore.New(nil)}
	w.o = audit.Options{Slot: w.slot, StatusInterval: 20 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelInfo}))}
	w.conn = dial(t, url)
	w.exec(sql)
	t.Cleanup(func() {
		w.stop()
		w.log.Close()
	})
	return w
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", strings.TrimSpace(string(b)))
	return len(b), nil
}

func dial(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if len(args) == 0 {
		if _, err := w.conn.PgConn().Exec(context.Background(), sql).ReadAll(); err != nil {
			w.t.Fatalf("%s: %v", sql, err)
		}
		return
	}
	if _, err := w.conn.Exec(context.Background(), sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

// setUp applies what is missing for tables.
func (w *world) setUp(o *audit.Setup, tables ...string) {
	w.t.Helper()
	setup := audit.Setup{}
	if o != nil {
		setup = *o
	}
	setup.Slot = w.slot
	var names []audit.Name
	for _, n := range tables {
		name, err := audit.ParseName(n)
		if err != nil {
			w.t.Fatal(err)
		}
		names = append(names, name)
	}
	ctx := context.Background()
	findings, err := audit.Check(ctx, w.url, names, &setup)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := audit.Apply(ctx, w.url, findings); err != nil {
		w.t.Fatal(err)
	}
	if findings, err = audit.Check(ctx, w.url, names, &setup); err != nil {
		w.t.Fatal(err)
	}
	for _, f := range audit.Missing(findings) {
		w.t.Errorf("still missing: %+v", f)
	}
}

// start begins to capture.
func (w *world) start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel, w.ended = cancel, make(chan error, 1)
	go func(log driver.Log, o audit.Options, ended chan error) {
		ended <- audit.Capture(ctx, w.url, log, &o)
	}(w.log, w.o, w.ended)
}

// stop ends capture.
func (w *world) stop() {
	if w.cancel == nil {
		return
	}
	w.cancel()
	if err := <-w.ended; err != nil && !errors.Is(err, context.Canceled) {
		w.t.Errorf("capture: %v", err)
	}
	w.cancel = nil
}

// lsn is where the server is.
func (w *world) lsn() pglogrepl.LSN {
	w.t.Helper()
	var text string
	if err := w.conn.QueryRow(context.Background(), "SELECT pg_current_wal_lsn()::text").Scan(&text); err != nil {
		w.t.Fatal(err)
	}
	lsn, err := pglogrepl.ParseLSN(text)
	if err != nil {
		w.t.Fatal(err)
	}
	return lsn
}

// caughtUp captures until everything that was committed is in the log.
func (w *world) caughtUp() {
	w.t.Helper()
	if err := w.capture(); err != nil {
		w.t.Fatalf("capture: %v", err)
	}
}

// capture captures until everything that was committed is in the log, or an error.
func (w *world) capture() error {
	o := w.o
	o.Until = w.lsn()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return audit.Capture(ctx, w.url, w.log, &o)
}

func (w *world) trail() *audit.Trail {
	w.t.Helper()
	trail, err := audit.Open(context.Background(), w.log)
	if err != nil {
		w.t.Fatal(err)
	}
	return trail
}

// begun starts to capture and waits until the first snapshot is complete.
func (w *world) begun() {
	w.t.Helper()
	w.start()
	w.eventually("the first snapshot is complete", func() bool {
		trail, err := audit.Open(context.Background(), w.log)
		if err != nil {
			return false
		}
		_, err = trail.Tables(context.Background(), audit.Point{})
		return err == nil
	})
}

// eventually waits until ok.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("it did not happen that %s", what)
		}
		select {
		case err := <-w.ended:
			w.cancel = nil
			w.t.Fatalf("capture ended: %v", err)
		default:
		}
	}
}
