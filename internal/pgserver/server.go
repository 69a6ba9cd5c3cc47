package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// User is the superuser of a server; it needs no password.
const User = "annals"

// Options are what [Start] may be told.
type Options struct {
	// Settings are lines of postgresql.conf, by name, such as "wal_level": "logical".
	// Defaults to none beside those that keep the server small.
	Settings map[string]string
	// Dir is where the server keeps its data; it must not exist or be empty.
	// Defaults to a new temporary directory, removed by Stop.
	Dir string
}

// patience is how long a server may take to start or stop.
const patience = 60 * time.Second

// Server is a PostgreSQL server. Its methods are for one goroutine at a time.
type Server struct {
	dir, data string
	temporary bool
	port      int
	log       string // the path of what the server prints

	cmd   *exec.Cmd
	leash io.Closer // while it is open, the server runs
	ended chan struct{}

	mu   sync.Mutex
	next int // the number of the next database
}

// Start makes a new database cluster and starts a server on it.
func Start(o *Options) (*Server, error) {
	if o == nil {
		o = &Options{}
	}
	s := &Server{dir: o.Dir}
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "annals-pg-")
		if err != nil {
			return nil, err
		}
		s.dir, s.temporary = dir, true
	}
	if err := s.create(o.Settings); err != nil {
		s.remove()
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	if err := s.Restart(); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

// create makes the cluster.
func (s *Server) create(settings map[string]string) error {
	if err := os.MkdirAll(s.dir, 0o711); err != nil {
		return err
	}
	if err := os.Chmod(s.dir, 0o711); err != nil { // its files belong to another user
		return err
	}
	s.data, s.log = filepath.Join(s.dir, "data"), filepath.Join(s.dir, "log")
	if err := os.Mkdir(s.data, 0o700); err != nil {
		return err
	}
	initdb, err := Bin("initdb")
	if err != nil {
		return err
	}
	var out bytes.Buffer
	cmd := exec.Command(initdb, "--pgdata", s.data, "--username", User, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, &out, &out
	if err := unprivileged(cmd, s.data); err != nil {
		return err
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out.String())
	}
	if s.port, err = freePort(); err != nil {
		return err
	}
	return s.configure(settings)
}

// configure writes what differs from the defaults.
func (s *Server) configure(settings map[string]string) error {
	all := map[string]string{
		"listen_addresses": "127.0.0.1", "port": strconv.Itoa(s.port), "unix_socket_directories": "",
		"shared_buffers": "64MB", "max_connections": "200", "logging_collector": "off", "log_min_messages": "warning",
	}
	maps.Copy(all, settings)
	f, err := os.OpenFile(filepath.Join(s.data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(f, "%s = '%s'\n", name, strings.ReplaceAll(all[name], "'", "''"))
	}
	return f.Close()
}

// freePort returns a port that was free a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// leashed runs the server as long as its standard input is open: a process
// that is killed leaves none behind.
//
// What runs in the background has no standard input unless it is told which.
const leashed = `exec 3<&0
"$0" -D "$1" >>"$2" 2>&1 </dev/null 3<&- & pid=$!
(cat <&3 >/dev/null; kill -QUIT $pid 2>/dev/null) & cat=$!
wait $pid; code=$?
kill $cat 2>/dev/null; exit $code`

// Restart starts the server again after [Server.Kill] or Stop of a server with
// a directory of its own; one that runs is stopped first.
func (s *Server) Restart() error {
	if s.cmd != nil {
		if err := s.halt("INT"); err != nil {
			return err
		}
	}
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		before := len(s.Log())
		err := s.start()
		if err == nil || time.Since(begun) > patience || !strings.Contains(s.Log()[before:], inUse) {
			return err
		}
	}
}

func (s *Server) start() error {
	postgres, err := Bin("postgres")
	if err != nil {
		return err
	}
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return err
	}
	_ = log.Chmod(0o666) // another user writes it
	log.Close()
	cmd := exec.Command("sh", "-c", leashed, postgres, s.data, s.log)
	cmd.Dir = s.dir
	if err := unprivileged(cmd, s.data); err != nil {
		return err
	}
	leash, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	s.cmd, s.leash, s.ended = cmd, leash, ended
	return s.ready()
}

// inUse is what the server says while processes of one that was killed are
// still about to end.
const inUse = "is still in use"

// ready waits until the server answers.
func (s *Server) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		c, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return c.Close(ctx)
		}
		select {
		case <-s.ended:
			out, _ := os.ReadFile(s.log)
			return fmt.Errorf("PostgreSQL has ended: %s", out)
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL does not answer after %s: %w", patience, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// URL returns the URL of a database of the server.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", User, s.port, database)
}

// Port returns the port that the server listens on.
func (s *Server) Port() int { return s.port }

// Dir returns the directory of the server: "data" in it is PostgreSQL's own.
func (s *Server) Dir() string { return s.dir }

// Log returns what the server has printed.
func (s *Server) Log() string {
	out, _ := os.ReadFile(s.log)
	return string(out)
}

// Create makes a new, empty database and returns its URL.
func (s *Server) Create(ctx context.Context) (string, error) {
	s.mu.Lock()
	s.next++
	name := fmt.Sprintf("db%d", s.next)
	s.mu.Unlock()
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return "", err
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	return s.URL(name), nil
}

// Kill ends the server as kill -9 of all its processes does.
func (s *Server) Kill() error {
	pid, err := s.postmaster()
	if err != nil {
		return err
	}
	_ = stopped(pid) // so that it starts no more of them
	all := append(children(pid), pid)
	for _, p := range all {
		_ = killAll(p) // one may have ended by itself
	}
	return s.gone()
}

// Stop ends the server and removes its directory, unless that was given.
func (s *Server) Stop() error {
	err := s.halt("INT")
	s.remove()
	return err
}

func (s *Server) remove() {
	if s.temporary {
		os.RemoveAll(s.dir)
	}
}

// halt ends the server as a signal to its first process does: INT rolls back
// what is under way.
func (s *Server) halt(signal string) error {
	if s.cmd == nil {
		return nil
	}
	select {
	case <-s.ended:
		return s.gone()
	default:
	}
	pid, err := s.postmaster()
	if err != nil {
		return err
	}
	if err := exec.Command("kill", "-"+signal, strconv.Itoa(pid)).Run(); err != nil {
		_ = killAll(pid)
	}
	return s.gone()
}

// gone waits until the server has ended.
func (s *Server) gone() error {
	defer func() { s.cmd = nil }()
	select {
	case <-s.ended:
		_ = s.leash.Close() // it is closed when the server has ended
		return nil
	case <-time.After(patience):
		_ = killAll(s.cmd.Process.Pid)
		return errors.New("PostgreSQL does not end")
	}
}

// postmaster returns the process ID of the server's first process.
func (s *Server) postmaster() (int, error) {
	text, err := os.ReadFile(filepath.Join(s.data, "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(strings.TrimSpace(line))
}

// children returns the processes that one has started.
func children(pid int) (all []int) {
	out, _ := exec.Command("ps", "-o", "pid=", "--ppid", strconv.Itoa(pid)).Output()
	for f := range strings.FieldsSeq(string(out)) {
		if n, err := strconv.Atoi(f); err == nil {
			all = append(all, n)
		}
	}
	return all
}

// RequirePasswords has the server ask for passwords from the next connection on.
func (s *Server) RequirePasswords() error {
	hba := "host all all 127.0.0.1/32 scram-sha-256\n"
	if err := os.WriteFile(filepath.Join(s.data, "pg_hba.conf"), []byte(hba), 0o600); err != nil {
		return err
	}
	pid, err := s.postmaster()
	if err != nil {
		return err
	}
	return exec.Command("kill", "-HUP", strconv.Itoa(pid)).Run()
}
