package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
)

// Bouncer is a PgBouncer in front of a server, which pools its connections by
// the transaction: a client has another one for each.
type Bouncer struct {
	port  int
	dir   string
	leash io.Closer // while it is open, PgBouncer runs
	ended chan struct{}
}

const bouncerConfig = `[databases]
* = host=127.0.0.1 port=%d user=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 5
max_client_conn = 500
logfile =
`

// leashedBouncer runs PgBouncer as long as its standard input is open.
const leashedBouncer = `exec 3<&0
"$0" "$1" >>"$2" 2>&1 </dev/null 3<&- & pid=$!
(cat <&3 >/dev/null; kill -TERM $pid 2>/dev/null) & cat=$!
wait $pid; code=$?
kill $cat 2>/dev/null; exit $code`

// Bouncer starts a PgBouncer in front of s for one test, which it fails where
// there is none.
func (s *Server) Bouncer(t TB) *Bouncer {
	t.Helper()
	b, err := s.startBouncer()
	if err != nil {
		t.Fatalf("start PgBouncer: %v", err)
		return nil
	}
	t.Cleanup(b.stop)
	return b
}

func (s *Server) startBouncer() (*Bouncer, error) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer"
		if _, err := os.Stat(program); err != nil {
			return nil, errors.New("it is not installed: on Debian, apt-get install pgbouncer")
		}
	}
	b := &Bouncer{ended: make(chan struct{})}
	if b.dir, err = os.MkdirTemp("", "annals-bouncer-"); err != nil {
		return nil, err
	}
	if err := b.start(program, s.port); err != nil {
		os.RemoveAll(b.dir)
		return nil, err
	}
	return b, b.ready()
}

func (b *Bouncer) start(program string, server int) (err error) {
	if b.port, err = freePort(); err != nil {
		return err
	}
	config, log := filepath.Join(b.dir, "pgbouncer.ini"), filepath.Join(b.dir, "log")
	if err := os.WriteFile(config, fmt.Appendf(nil, bouncerConfig, server, User, b.port), 0o644); err != nil {
		return err
	}
	cmd := exec.Command("sh", "-c", leashedBouncer, program, config, log)
	cmd.Dir = b.dir
	if err := unprivileged(cmd, b.dir); err != nil {
		return err
	}
	if b.leash, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait(); close(b.ended) }()
	return nil
}

func (b *Bouncer) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		c, err := pgx.Connect(ctx, b.URL("postgres"))
		if err == nil {
			return c.Close(ctx)
		}
		select {
		case <-b.ended:
			out, _ := os.ReadFile(filepath.Join(b.dir, "log"))
			return fmt.Errorf("it has ended: %s", out)
		case <-ctx.Done():
			return fmt.Errorf("it does not answer after %s: %w", patience, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// URL returns the URL of a database of the server, by way of PgBouncer.
func (b *Bouncer) URL(database string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", User, b.port, database)
}

func (b *Bouncer) stop() {
	_ = b.leash.Close()
	select {
	case <-b.ended:
	case <-time.After(patience):
	}
	os.RemoveAll(b.dir)
}
