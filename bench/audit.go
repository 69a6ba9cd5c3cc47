package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/audit"
	"github.com/annals-db/annals/bench/internal/measure"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/internal/pgserver"
)

// audited is a database under pgbench that can be followed.
type audited struct {
	e      env
	server *pgserver.Server
	plain  string // the URL of one without set-up
	url    string
	conn   *pgx.Conn // to url
	last   audit.Status
}

const pgbenchClients = 4

func auditRows() []row { return []row{auditRate(), auditLag(), auditCost()} }

// auditRate compares how many transactions of pgbench capture takes a second
// with what pgbench reaches while its changes are sent to nowhere.
func auditRate() row {
	return row{"`audit`: transactions of pgbench captured", "0.5 × pgbench with replication to nowhere", func(e env) (result, error) {
		a, err := newAudited(e)
		if err != nil {
			return result{}, err
		}
		defer a.close()
		c, err := measure.Compare(min(e.rounds, 3), a.toNowhere, a.captured)
		if err != nil {
			return result{}, err
		}
		return atLeast(fmt.Sprintf("%.0f/s", c.Ours), fmt.Sprintf("%.0f/s", c.Base), c.Ratio, 0.5), nil
	}}
}

// auditLag runs pgbench at half the rate that it reaches with its changes sent
// to nowhere, and tells the longest lag.
func auditLag() row {
	return row{"`audit`: longest lag at half of that rate", "under 1 s", func(e env) (result, error) {
		a, err := newAudited(e)
		if err != nil {
			return result{}, err
		}
		defer a.close()
		rate, err := a.toNowhere()
		if err != nil {
			return result{}, err
		}
		var worst time.Duration
		var bytes int64
		got, err := a.capture(fmt.Sprintf("--rate=%.0f", rate/2), func(s audit.Status) {
			worst, bytes = max(worst, s.Lag), max(bytes, s.LagBytes)
		})
		if err != nil {
			return result{}, err
		}
		return result{fmt.Sprintf("%d ms, %d KiB", worst.Milliseconds(), bytes>>10), fmt.Sprintf("%.0f/s", rate), fmt.Sprintf("%.2f", got/rate), worst < time.Second}, nil
	}}
}

// auditCost compares pgbench under capture with pgbench by itself, on the same cores.
func auditCost() row {
	return row{"`audit`: rate of the source under capture", "none; reported", func(e env) (result, error) {
		a, err := newAudited(e)
		if err != nil {
			return result{}, err
		}
		defer a.close()
		c, err := measure.Compare(min(e.rounds, 3),
			func() (float64, error) { return a.pgbench(a.plain) },
			func() (tps float64, err error) {
				err = a.following(nil, func() (err error) { tps, err = a.pgbench(a.url); return err })
				return tps, err
			})
		if err != nil {
			return result{}, err
		}
		return atLeast(fmt.Sprintf("%.0f/s", c.Ours), fmt.Sprintf("%.0f/s", c.Base), c.Ratio, 0), nil
	}}
}

func newAudited(e env) (a *audited, err error) {
	ctx := context.Background()
	a = &audited{e: e}
	if a.server, err = pgserver.Start(&pgserver.Options{Settings: map[string]string{"wal_level": "logical", "max_wal_size": "4GB"}}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	for _, url := range []*string{&a.plain, &a.url} {
		if *url, err = a.server.Create(ctx); err != nil {
			return a, err
		}
		if err = a.tool("pgbench", "-i", "-q", "-s", "2", *url).Run(); err != nil {
			return a, err
		}
		if a.conn, err = pgx.Connect(ctx, *url); err != nil {
			return a, err
		}
		if _, err = a.conn.Exec(ctx, "ALTER TABLE pgbench_history ADD COLUMN id bigserial PRIMARY KEY"); err != nil {
			return a, err
		}
	}
	var tables []audit.Name
	for _, t := range []string{"accounts", "branches", "history", "tellers"} {
		tables = append(tables, audit.Name{Schema: "public", Table: "pgbench_" + t})
	}
	findings, err := audit.Check(ctx, a.url, tables, nil)
	if err == nil {
		err = audit.Apply(ctx, a.url, findings)
	}
	return a, err
}

func (a *audited) close() {
	if a.conn != nil {
		_ = a.conn.Close(context.Background())
	}
	_ = a.server.Stop()
}

func (a *audited) tool(name string, args ...string) *exec.Cmd {
	bin, err := pgserver.Bin(name)
	if err != nil {
		bin = name // running it says that it is not there
	}
	return exec.Command(bin, args...)
}

var tps = regexp.MustCompile(`tps = ([0-9.]+)`)

// pgbench returns the transactions a second that it reaches.
func (a *audited) pgbench(url string, more ...string) (float64, error) {
	seconds := max(4, int(8*a.e.window.Seconds()))
	args := append([]string{"-n", "-c", strconv.Itoa(pgbenchClients), "-T", strconv.Itoa(seconds)}, more...)
	out, err := a.tool("pgbench", append(args, url)...).CombinedOutput()
	found := tps.FindSubmatch(out)
	if err != nil || found == nil {
		return 0, fmt.Errorf("pgbench: %w\n%s", err, out)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}

// toNowhere runs pgbench while pg_recvlogical takes its changes and throws them away.
func (a *audited) toNowhere() (float64, error) {
	if err := a.tool("pg_recvlogical", "-d", a.url, "--slot", "nowhere", "--create-slot", "-P", "pgoutput").Run(); err != nil {
		return 0, fmt.Errorf("pg_recvlogical: %w", err)
	}
	cmd := a.tool("pg_recvlogical", "-d", a.url, "--slot", "nowhere", "--start", "-o", "proto_version=1", "-o", "publication_names=annals", "-f", os.DevNull)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	rate, err := a.pgbench(a.url)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return rate, errors.Join(err, a.drop("nowhere"))
}

// drop drops a slot once nobody uses it.
func (a *audited) drop(slot string) error {
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_, err := a.conn.Exec(context.Background(), "SELECT pg_drop_replication_slot($1)", slot)
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// captured returns how many transactions a second reach the log, until all are there.
func (a *audited) captured() (float64, error) { return a.capture("", nil) }

func (a *audited) capture(rate string, told func(audit.Status)) (float64, error) {
	var took time.Duration
	var more []string
	if rate != "" {
		more = []string{rate}
	}
	err := a.following(told, func() error {
		begin := time.Now()
		if _, err := a.pgbench(a.url, more...); err != nil {
			return err
		}
		err := a.settled()
		took = time.Since(begin)
		return err
	})
	return float64(a.last.Transactions) / took.Seconds(), err
}

// settled waits until everything that was committed is in the log.
func (a *audited) settled() error {
	ctx := context.Background()
	var lsn string
	if err := a.conn.QueryRow(ctx, "SELECT pg_current_wal_lsn()::text").Scan(&lsn); err != nil {
		return err
	}
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		var there bool
		err := a.conn.QueryRow(ctx, "SELECT confirmed_flush_lsn >= $1::text::pg_lsn FROM pg_replication_slots WHERE slot_name = 'annals'", lsn).Scan(&there)
		if err != nil || there {
			return err
		}
	}
	return errors.New("capture does not catch up")
}

// following does something under capture into a new file store, once the first snapshot is there.
func (a *audited) following(told func(audit.Status), do func() error) error {
	dir, remove := a.e.scratch("trail")
	defer remove()
	log, err := filestore.Open(dir, nil)
	if err != nil {
		return err
	}
	defer log.Close()
	ctx, cancel := context.WithCancel(context.Background())
	ended, begun := make(chan error, 1), make(chan struct{}, 1)
	go func() {
		ended <- audit.Capture(ctx, a.url, log, &audit.Options{StatusInterval: 20 * time.Millisecond, Status: func(s audit.Status) {
			a.last = s
			if s.Phase != "following" {
				return // the first snapshot
			}
			select {
			case begun <- struct{}{}:
			default:
			}
			if told != nil {
				told(s)
			}
		}})
	}()
	select {
	case <-begun:
		err = do()
		// The last status comes before Capture has ended.
		time.Sleep(100 * time.Millisecond)
	case err = <-ended:
		cancel()
		return err
	}
	cancel()
	if e := <-ended; err == nil && !errors.Is(e, context.Canceled) {
		err = e
	}
	return errors.Join(err, a.drop("annals"))
}
