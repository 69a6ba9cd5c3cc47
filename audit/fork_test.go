//go:build unix

package audit_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/annals-db/annals/audit"
	"github.com/annals-db/annals/internal/pgserver"
)

// clone copies the data of a stopped server, or puts a copy back in its place.
func clone(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// stopped does something while the server is down.
func (w *world) stopped(s *pgserver.Server, do func()) {
	w.t.Helper()
	w.conn.Close(context.Background())
	if err := s.Kill(); err != nil {
		w.t.Fatal(err)
	}
	do()
	if err := s.Restart(); err != nil {
		w.t.Fatal(err)
	}
	w.conn = dial(w.t, w.url)
}

func (w *world) wantForked(says string) {
	w.t.Helper()
	err := w.capture()
	var forked *audit.ForkedError
	if !errors.As(err, &forked) || !strings.Contains(err.Error(), says) {
		w.t.Errorf("capture: %v, want that it says %q", err, says)
	}
}

func TestADatabaseThatWentAnotherWayIsNotFollowed(t *testing.T) {
	s := pgserver.ForTest(t, &pgserver.Options{Settings: settings})
	w := newWorld(t, s, `CREATE TABLE f (id int PRIMARY KEY)`)
	w.setUp(nil, "f")
	w.caughtUp()
	w.exec("INSERT INTO f VALUES (1)")
	w.caughtUp()
	backup := filepath.Join(t.TempDir(), "backup")
	w.stopped(s, func() { clone(t, filepath.Join(s.Dir(), "data"), backup) })
	w.exec("INSERT INTO f VALUES (2)")
	w.caughtUp()

	// The backup is put in its place: the server is behind the trail.
	later := filepath.Join(t.TempDir(), "later")
	w.stopped(s, func() {
		clone(t, filepath.Join(s.Dir(), "data"), later)
		clone(t, backup, filepath.Join(s.Dir(), "data"))
	})
	w.wantForked("it was restored to an earlier time")

	// And it goes on beyond the trail, another way.
	w.exec("INSERT INTO f SELECT generate_series(100, 3000)")
	w.exec("INSERT INTO f VALUES (5)")
	w.wantForked("the trail has a transaction")

	// The right one is followed, also on a new timeline that left the old one behind the trail.
	w.stopped(s, func() {
		clone(t, later, filepath.Join(s.Dir(), "data"))
		if err := os.WriteFile(filepath.Join(filepath.Join(s.Dir(), "data"), "recovery.signal"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		conf, err := os.OpenFile(filepath.Join(filepath.Join(s.Dir(), "data"), "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer conf.Close()
		if _, err := conf.WriteString("restore_command = 'false'\n"); err != nil {
			t.Fatal(err)
		}
	})
	w.eventually("the server takes writes again", func() bool {
		var recovering bool
		return w.conn.QueryRow(t.Context(), "SELECT pg_is_in_recovery()").Scan(&recovering) == nil && !recovering
	})
	w.exec("INSERT INTO f VALUES (3)")
	w.caughtUp()
	w.verified()
	var timeline int
	if err := w.conn.QueryRow(t.Context(), "SELECT timeline_id FROM pg_control_checkpoint()").Scan(&timeline); err != nil || timeline != 2 {
		t.Fatalf("the server is on timeline %d, %v", timeline, err)
	}

	// A timeline gone back.
	w.stopped(s, func() { clone(t, later, filepath.Join(s.Dir(), "data")) })
	w.wantForked("the trail is on timeline 2, and the server is back on 1")

	// Another server.
	other := newWorld(t, server(t), `CREATE TABLE f (id int PRIMARY KEY)`)
	other.log.Close()
	other.log, other.o.Slot = w.log, w.slot
	other.wantForked("the trail is of the server with system identifier")
	// Another database of the same server.
	url := w.url
	w.url = s.NewDatabase(t)
	w.wantForked("the trail is of database")
	w.url = url
}

func TestCaptureGoesOnWhenTheServerWasKilled(t *testing.T) {
	s := pgserver.ForTest(t, &pgserver.Options{Settings: settings})
	w := newWorld(t, s, `CREATE TABLE k (id int PRIMARY KEY, n int)`)
	w.setUp(nil, "k")
	w.begun()
	last := 0
	for round := range 3 {
		for range 50 {
			last++
			if _, err := w.conn.Exec(t.Context(), "INSERT INTO k VALUES ($1, $2)", last, round); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
		w.conn = dial(t, w.url)
	}
	w.exec("UPDATE k SET n = n + 1")
	for end := time.Now().Add(time.Minute); ; {
		list := w.changes(audit.Filter{Table: audit.Name{Schema: "public", Table: "k"}})
		if len(list) >= 2*last+1 || time.Now().After(end) {
			if len(list) != 2*last+1 {
				t.Errorf("%d changes, want %d", len(list), 2*last+1)
			}
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.verified()
}

// TestWhatIsSentAgainOfATableThatWasLeftOut has the server, which was killed, send
// again what changed of a table while that was left out, and is taken in by now.
func TestWhatIsSentAgainOfATableThatWasLeftOut(t *testing.T) {
	for _, name := range []string{"k", "m"} { // under which it is taken in
		t.Run(name, func(t *testing.T) {
			s := pgserver.ForTest(t, &pgserver.Options{Settings: settings})
			w := newWorld(t, s, `CREATE TABLE j (id int PRIMARY KEY); CREATE TABLE k (id int PRIMARY KEY)`)
			w.setUp(nil, "j", "k")
			w.o.LeaveOut, w.o.Why = []audit.Name{public("k")}, "of no interest"
			w.caughtUp()
			w.exec("INSERT INTO k VALUES (1)")
			w.exec("INSERT INTO j VALUES (1)")
			if name != "k" {
				w.exec("ALTER TABLE k RENAME TO " + name)
			}
			w.o.LeaveOut, w.o.TakeIn = nil, []audit.Name{public(name)}
			w.caughtUp()
			w.o.TakeIn = nil
			if name != "k" {
				w.exec("ALTER TABLE " + name + " RENAME TO k")
			}
			w.exec("ALTER TABLE k ADD n int; INSERT INTO k VALUES (2)")
			w.caughtUp()
			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
			w.conn = dial(t, w.url)
			w.exec("INSERT INTO k VALUES (3)")
			w.caughtUp()
			w.verified()
		})
	}
}
