package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/audit"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/internal/pgserver"
)

// child is the variable that makes the test binary capture, so that it can be killed: URL, store and slot.
const child = "ANNALS_AUDIT_CHILD"

// captureAsChild captures until it is killed.
func captureAsChild(args string) error {
	f := strings.Split(args, " ")
	log, err := filestore.Open(f[1], nil)
	if err != nil {
		return err
	}
	defer log.Close()
	return audit.Capture(context.Background(), f[0], log, &audit.Options{Slot: f[2], StatusInterval: time.Second,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)), Status: func(s audit.Status) {
			fmt.Fprintf(os.Stderr, "%d transactions, lag %d bytes, %s\n", s.Transactions, s.LagBytes, s.Lag)
		}})
}

// load is how long the kill test lasts: ANNALS_AUDIT_LOAD=60s.
func load(t *testing.T) time.Duration {
	text := os.Getenv("ANNALS_AUDIT_LOAD")
	if text == "" {
		return 8 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestKilledCaptureUnderLoad runs pgbench on a real server while tables are altered
// and truncated and capture is killed and begun again.
func TestKilledCaptureUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("ANNALS_AUDIT_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("ANNALS_AUDIT_SEED=%d", seed)
	k := &killing{world: newWorld(t, server(t), ""), t: t, rnd: rand.New(rand.NewPCG(seed, 1)), store: t.TempDir() + "/trail"}
	k.pgbench("-i", "-q")
	duration := load(t)
	if duration < 30*time.Second {
		k.exec("DELETE FROM pgbench_accounts WHERE aid > 5000") // pgbench does not mind
	}
	k.exec("ALTER TABLE pgbench_history ADD COLUMN id bigserial PRIMARY KEY")
	k.setUp(nil, "pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history")
	k.spawn()
	k.awaitSnapshot()

	begin := time.Now()
	out := make(chan string, 1)
	go func() {
		defer close(out)
		out <- k.pgbench("-n", "-c", "4", "-T", fmt.Sprint(int(duration.Seconds())))
	}()
	defer func() {
		for range out { // whatever fails before
		}
	}()
	k.disturb(begin, duration)
	report := <-out
	n, err := strconv.Atoi(regexp.MustCompile(`actually processed: (\d+)`).FindStringSubmatch(report)[1])
	if err != nil || n == 0 {
		t.Fatalf("pgbench says %s", report)
	}
	t.Logf("pgbench: %d transactions in %s, capture killed %d times", n, duration, k.kills)
	k.settle()
	k.compare(n)
}

// killing is a world whose capture is another process.
type killing struct {
	*world
	t      *testing.T
	rnd    *rand.Rand
	store  string
	cmd    *exec.Cmd
	stderr bytes.Buffer
	kills  int
	copies []tableCopy
}

// tableCopy is what a table was at a time.
type tableCopy struct {
	at      time.Time
	name    audit.Name
	columns []string
	rows    map[string]string // by key, the row as JSON
}

var benchTables = []string{"pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history"}

func (k *killing) pgbench(args ...string) string {
	bin, err := pgserver.Bin("pgbench")
	if err != nil {
		k.t.Errorf("%v", err)
		return ""
	}
	cmd := exec.Command(bin, append(args, k.url)...)
	text, err := cmd.CombinedOutput()
	if err != nil {
		k.t.Errorf("%s: %v\n%s", cmd, err, text)
	}
	return string(text)
}

// spawn starts a process that captures.
func (k *killing) spawn() {
	self, err := os.Executable()
	if err != nil {
		k.t.Fatal(err)
	}
	k.cmd = exec.Command(self)
	k.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s", child, k.url, k.store, k.slot))
	k.cmd.Stderr = &k.stderr
	if err := k.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() {
		if k.cmd != nil {
			_ = k.cmd.Process.Kill()
			_ = k.cmd.Wait()
		}
		if k.t.Failed() {
			k.t.Logf("capture says\n%s", k.stderr.String())
		}
	})
}

// kill kills the process with SIGKILL.
func (k *killing) kill() {
	if err := k.cmd.Process.Kill(); err != nil {
		k.t.Errorf("kill: %v", err)
	}
	_ = k.cmd.Wait()
	k.cmd = nil
	k.kills++
}

func (k *killing) awaitSnapshot() {
	k.eventually("the first snapshot is complete", func() bool {
		log, err := filestore.Open(k.store, &filestore.Options{ReadOnly: true})
		if err != nil {
			return false
		}
		defer log.Close()
		trail, err := audit.Open(context.Background(), log)
		if err != nil {
			return false
		}
		_, err = trail.Tables(context.Background(), audit.Point{})
		return err == nil
	})
}

// disturb alters, truncates, copies and kills, spread over the time of the load.
func (k *killing) disturb(begin time.Time, d time.Duration) {
	steps := []func(){
		k.copy, k.restart,
		func() { k.exec("ALTER TABLE pgbench_tellers ADD COLUMN note text DEFAULT 'none yet'") }, k.restart, k.copy,
		func() { k.exec("ALTER TABLE pgbench_accounts ALTER COLUMN abalance TYPE bigint") }, k.copy, k.restart,
		func() { k.exec("TRUNCATE pgbench_history") }, k.restart,
		func() { k.exec("ALTER TABLE pgbench_branches ADD COLUMN born timestamptz DEFAULT clock_timestamp()") }, k.copy,
		func() {
			k.exec("BEGIN; LOCK TABLE pgbench_tellers; UPDATE pgbench_tellers SET note = 'changed' WHERE tid % 2 = 0; ALTER TABLE pgbench_tellers RENAME note TO remark; UPDATE pgbench_tellers SET remark = remark || '!' WHERE tid % 3 = 0; COMMIT")
		}, k.restart,
		func() { k.exec("ALTER TABLE pgbench_history DROP COLUMN filler; TRUNCATE pgbench_history") }, k.copy, k.restart,
	}
	for i, step := range steps {
		due := begin.Add(d * time.Duration(2*i+1+k.rnd.IntN(2)) / time.Duration(2*len(steps)+2))
		time.Sleep(time.Until(due))
		step()
	}
}

func (k *killing) restart() {
	k.kill()
	k.spawn()
}

// copy copies every table at a time at which no transaction is open on any.
func (k *killing) copy() {
	ctx := context.Background()
	conn := dial(k.t, k.url)
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "SET timezone = 'UTC'"); err != nil {
		k.t.Fatal(err)
	}
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "LOCK TABLE "+strings.Join(benchTables, ", ")+" IN SHARE MODE"); err != nil {
			return err
		}
		var at time.Time
		if err := tx.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&at); err != nil {
			return err
		}
		for _, name := range benchTables {
			c, err := copyOf(ctx, tx.Conn(), name)
			if err != nil {
				return err
			}
			c.at = at
			k.copies = append(k.copies, c)
		}
		return nil
	})
	if err != nil {
		k.t.Errorf("copy the tables: %v", err)
	}
}

// copyOf reads a table; its key is its first column but in pgbench_history.
func copyOf(ctx context.Context, conn *pgx.Conn, name string) (tableCopy, error) {
	c := tableCopy{name: audit.Name{Schema: "public", Table: name}, rows: map[string]string{}}
	r := conn.PgConn().ExecParams(ctx, "SELECT * FROM "+name, nil, nil, nil, nil)
	key := 0
	for i, f := range r.FieldDescriptions() {
		c.columns = append(c.columns, f.Name)
		if f.Name == "id" {
			key = i
		}
	}
	for r.NextRow() {
		var row []*string
		for _, v := range r.Values() {
			if v == nil {
				row = append(row, nil)
				continue
			}
			text := string(v)
			row = append(row, &text)
		}
		c.rows[*row[key]] = asJSON(row)
	}
	_, err := r.Close()
	return c, err
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// settle waits until the trail has everything, and opens the store.
func (k *killing) settle() {
	lsn := k.lsn()
	k.eventually("capture has caught up", func() bool {
		var there bool
		err := k.conn.QueryRow(context.Background(), "SELECT confirmed_flush_lsn >= $2::text::pg_lsn FROM pg_replication_slots WHERE slot_name = $1", k.slot, lsn.String()).Scan(&there)
		return err == nil && there
	})
	// What was rewritten last may still be being read again.
	time.Sleep(200 * time.Millisecond)
	k.kill()
	log, err := filestore.Open(k.store, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	k.world.log.Close()
	k.world.log = log
	k.caughtUp()
}

// compare compares everything with the truth.
func (k *killing) compare(transactions int) {
	ctx := context.Background()
	trail := k.trail()
	k.verified()
	for _, name := range benchTables {
		live, err := copyOf(ctx, k.conn, name)
		if err != nil {
			k.t.Fatal(err)
		}
		k.equal(trail, live, audit.Point{}, "now")
	}
	for _, c := range k.copies {
		k.equal(trail, c, audit.AsOf(c.at), c.at.Format(time.RFC3339Nano))
	}
	inserted, lsns := map[string]int{}, map[string]bool{}
	for r, err := range k.log.Read(ctx, driver.Query{}, driver.ReadOptions{}) {
		switch {
		case err != nil:
			k.t.Fatal(err)
		case r.Type == "RowInserted" && driver.Category(r.Stream) == "public.pgbench_history":
			inserted[r.Stream]++
		case r.Type == "TransactionCommitted":
			var m struct{ LSN string }
			if err := json.Unmarshal(r.Data, &m); err != nil || lsns[m.LSN] {
				k.t.Errorf("transaction at LSN %s is there twice, %v", m.LSN, err)
			}
			lsns[m.LSN] = true
		}
	}
	doubled := 0
	for _, n := range inserted {
		if n > 1 {
			doubled++
		}
	}
	if doubled > 0 || len(inserted) != transactions {
		k.t.Errorf("%d rows of pgbench_history were inserted by %d transactions, %d doubled", len(inserted), transactions, doubled)
	}
	k.t.Logf("%d transactions of pgbench: %d in the trail, %d doubled, %d missing; %d transactions in all", transactions, len(inserted), doubled, transactions-len(inserted), len(lsns))
}

// equal compares a table of the trail with a copy.
func (k *killing) equal(trail *audit.Trail, want tableCopy, p audit.Point, when string) {
	got, err := trail.Table(context.Background(), want.name, p)
	if err != nil {
		k.t.Errorf("%s as of %s: %v", want.name, when, err)
		return
	}
	var columns []string
	for _, c := range got.Columns {
		columns = append(columns, c.Name)
	}
	if asJSON(columns) != asJSON(want.columns) {
		k.t.Errorf("%s as of %s has columns %q, want %q", want.name, when, columns, want.columns)
		return
	}
	wrong := 0
	for r := range got.Rows() {
		if is := want.rows[r.Key[0]]; is != asJSON(r.Values) {
			if wrong++; wrong < 4 {
				k.t.Errorf("%s as of %s: row %s of the trail is %s, of the table %s", want.name, when, r.Key, asJSON(r.Values), is)
			}
		}
	}
	if wrong > 0 || got.Len() != len(want.rows) {
		k.t.Errorf("%s as of %s: %d rows in the trail, %d in the table, %d differ", want.name, when, got.Len(), len(want.rows), wrong)
		return
	}
	k.t.Logf("%s as of %s: %d rows equal", want.name, when, got.Len())
}
