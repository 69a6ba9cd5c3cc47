package audit_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/audit"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
)

// past is a history of a table that is made up by seed, and what it adds up to.
type past struct {
	w       *world
	rnd     *rand.Rand
	rows    map[int][2]string // as they are: by key, columns a and b
	steps   []step
	changes []made
}

// step is a transaction: the table after it.
type step struct {
	xid   uint32
	at    time.Time // after it and before the next
	actor string
	rows  map[int][2]string
}

// made is a change that was made.
type made struct {
	step int // whose change it is
	key  int
	typ  string
	sets [2]bool // the columns that it set
}

var thing = audit.Name{Schema: "public", Table: "thing"}

func newPast(t *testing.T, seed uint64, n int) *past {
	t.Logf("seed %d", seed)
	p := &past{w: newWorld(t, server(t), `CREATE TABLE thing (id int PRIMARY KEY, a text, b text)`), rnd: rand.New(rand.NewPCG(seed, 9)), rows: map[int][2]string{}}
	p.w.setUp(nil, "thing")
	p.w.caughtUp()
	for range n {
		p.step()
	}
	p.w.caughtUp()
	return p
}

// step makes a transaction of some changes of different rows.
func (p *past) step() {
	ctx := context.Background()
	s := step{actor: []string{"", "ann", "bob"}[p.rnd.IntN(3)]}
	err := pgx.BeginFunc(ctx, p.w.conn, func(tx pgx.Tx) error {
		if s.actor != "" {
			if _, err := tx.Exec(ctx, "SELECT annals.actor($1, $2)", s.actor, map[bool]any{true: "a reason", false: nil}[s.actor == "ann"]); err != nil {
				return err
			}
		}
		for _, key := range p.rnd.Perm(8)[:1+p.rnd.IntN(3)] {
			if err := p.change(ctx, tx, key); err != nil {
				return err
			}
		}
		return tx.QueryRow(ctx, "SELECT pg_current_xact_id()::xid").Scan(&s.xid)
	})
	if err != nil {
		p.w.t.Fatal(err)
	}
	s.rows = maps.Clone(p.rows)
	if err := p.w.conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&s.at); err != nil {
		p.w.t.Fatal(err)
	}
	p.steps = append(p.steps, s)
}

func (p *past) change(ctx context.Context, tx pgx.Tx, key int) (err error) {
	row, there := p.rows[key]
	m := made{step: len(p.steps), key: key, typ: "RowUpdated", sets: [2]bool{true, true}}
	text := func() string { return strconv.Itoa(p.rnd.IntN(3)) }
	switch {
	case !there:
		m.typ, row = "RowInserted", [2]string{text(), text()}
		_, err = tx.Exec(ctx, "INSERT INTO thing VALUES ($1, $2, $3)", key, row[0], row[1])
	case p.rnd.IntN(4) == 0:
		m.typ = "RowDeleted"
		_, err = tx.Exec(ctx, "DELETE FROM thing WHERE id = $1", key)
		delete(p.rows, key)
		p.changes = append(p.changes, m)
		return err
	default:
		now := [2]string{text(), row[1]}
		if p.rnd.IntN(2) == 0 {
			now[1] = text()
		}
		m.sets = [2]bool{now[0] != row[0], now[1] != row[1]}
		row = now
		_, err = tx.Exec(ctx, "UPDATE thing SET a = $2, b = $3 WHERE id = $1", key, row[0], row[1])
	}
	p.rows[key] = row
	p.changes = append(p.changes, m)
	return err
}

// want compares the answer to f with the changes that belong.
func (p *past) want(what string, f audit.Filter, belongs func(m made) bool) {
	p.w.t.Helper()
	var want, got []string
	for _, m := range p.changes {
		if belongs(m) {
			want = append(want, fmt.Sprintf("%s %d by %d %s", m.typ, m.key, p.steps[m.step].xid, p.steps[m.step].actor))
		}
	}
	for _, c := range p.w.changes(f) {
		if c.Key == "" {
			continue // of the table
		}
		actor := ""
		if c.Who != nil {
			actor = c.Who.Claimed.Actor
		}
		got = append(got, fmt.Sprintf("%s %s by %d %s", c.Type, c.Key, c.Xid, actor))
	}
	if !slices.Equal(got, want) {
		p.w.t.Errorf("%s: got\n  %q\nwant\n  %q", what, got, want)
	}
}

func TestQuestionsAgainstAPastThatIsKnown(t *testing.T) {
	p := newPast(t, 23, 60)
	trail, ctx := p.w.trail(), t.Context()
	p.want("everything", audit.Filter{}, func(made) bool { return true })
	p.want("the table", audit.Filter{Table: thing}, func(made) bool { return true })
	p.want("by ann", audit.Filter{Actor: "ann"}, func(m made) bool { return p.steps[m.step].actor == "ann" })
	p.want("without a reason", audit.Filter{NoReason: true}, func(m made) bool { return p.steps[m.step].actor != "ann" })
	p.want("by bob, of row 3", audit.Filter{Table: thing, Key: []string{"3"}, Actor: "bob"}, func(m made) bool { return m.key == 3 && p.steps[m.step].actor == "bob" })
	for i, column := range []string{"a", "b"} {
		p.want("column "+column, audit.Filter{Table: thing, Column: column}, func(m made) bool { return m.sets[i] })
		p.want("column of row 2", audit.Filter{Table: thing, Key: []string{"2"}, Column: column}, func(m made) bool { return m.key == 2 && m.sets[i] })
	}
	for key := range 8 {
		p.want("row", audit.Filter{Table: thing, Key: []string{strconv.Itoa(key)}}, func(m made) bool { return m.key == key })
	}
	for i, s := range p.steps {
		p.want("a transaction", audit.Filter{Transaction: s.xid}, func(m made) bool { return m.step == i })
		p.want("until", audit.Filter{To: s.at}, func(m made) bool { return m.step <= i })
		p.want("since", audit.Filter{From: s.at}, func(m made) bool { return m.step > i })
		for _, point := range []audit.Point{audit.AsOf(s.at), audit.AfterTransaction(s.xid)} {
			table, err := trail.Table(ctx, thing, point)
			if err != nil {
				t.Fatal(err)
			}
			got := map[int][2]string{}
			for r := range table.Rows() {
				key, _ := strconv.Atoi(r.Key[0])
				got[key] = [2]string{*r.Values[1], *r.Values[2]}
			}
			if !maps.Equal(got, s.rows) {
				t.Errorf("as of %s: %v, want %v", point, got, s.rows)
			}
		}
		p.blame(trail, i)
	}
	for range 30 {
		p.difference(trail, p.rnd.IntN(len(p.steps)), p.rnd.IntN(len(p.steps)))
	}
}

// blame compares who set each value as of a step.
func (p *past) blame(trail *audit.Trail, i int) {
	for key := range 8 {
		list, err := trail.Blame(context.Background(), thing, []string{strconv.Itoa(key)}, audit.AfterTransaction(p.steps[i].xid))
		row, there := p.steps[i].rows[key]
		if !there {
			if !errors.Is(err, driver.ErrNotFound) {
				p.w.t.Errorf("blame of a row that is not there: %v", err)
			}
			continue
		}
		if err != nil {
			p.w.t.Fatal(err)
		}
		for c := range 2 {
			by := 0
			for _, m := range p.changes {
				if m.key == key && m.step <= i && m.sets[c] && m.typ != "RowDeleted" {
					by = m.step
				}
			}
			if b := list[1+c]; *b.Value != row[c] || b.Change.Xid != p.steps[by].xid {
				p.w.t.Errorf("step %d, row %d, column %s: %s by %d, want %s by %d", i, key, b.Column, *b.Value, b.Change.Xid, row[c], p.steps[by].xid)
			}
		}
	}
}

func (p *past) difference(trail *audit.Trail, i, j int) {
	list, err := trail.Difference(context.Background(), thing, audit.AfterTransaction(p.steps[i].xid), audit.AsOf(p.steps[j].at))
	if err != nil {
		p.w.t.Fatal(err)
	}
	was, is := p.steps[i].rows, p.steps[j].rows
	got, want := map[int]string{}, map[int]string{}
	for _, d := range list {
		key, _ := strconv.Atoi(d.Key[0])
		got[key] = d.Kind
		for _, c := range d.Columns {
			if column := slices.Index([]string{"a", "b"}, c.Column); d.Kind == "changed" && (*c.Old != was[key][column] || *c.New != is[key][column]) {
				p.w.t.Errorf("row %d, column %s: %s → %s", key, c.Column, *c.Old, *c.New)
			}
		}
	}
	for key := range 8 {
		a, before := was[key]
		b, after := is[key]
		switch {
		case before && !after:
			want[key] = "removed"
		case !before && after:
			want[key] = "added"
		case a != b:
			want[key] = "changed"
		}
	}
	if !maps.Equal(got, want) {
		p.w.t.Errorf("between steps %d and %d: %v, want %v", i, j, got, want)
	}
}

func TestAnExportProvesItself(t *testing.T) {
	p := newPast(t, 5, 20)
	dir := filepath.Join(t.TempDir(), "export")
	m, err := p.w.trail().Export(t.Context(), dir, audit.Filter{Actor: "ann"}, "what ann did")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "changes.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	lines := 0
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); lines++ {
		var c struct{ Who audit.Who }
		if err := json.Unmarshal(s.Bytes(), &c); err != nil || c.Who.Claimed.Actor != "ann" {
			t.Errorf("a line is %s, %v", s.Text(), err)
		}
	}
	if f := m.Files[0]; lines == 0 || f.Lines != lines || m.Changes != lines || f.SHA256 != hex.EncodeToString(sum[:]) || f.Bytes != int64(len(text)) {
		t.Errorf("%d lines of %d bytes; the manifest says %+v", lines, len(text), m)
	}
	if held, err := audit.CheckSeals(t.Context(), p.w.log, []audit.Seal{m.Seal}); held != 1 || err != nil {
		t.Errorf("the export's seal: %d, %v", held, err)
	}
	if _, err := p.w.trail().Export(t.Context(), dir, audit.Filter{}, ""); !errors.Is(err, os.ErrExist) {
		t.Errorf("over an export that is there: %v", err)
	}
}

func TestAReadingIsRecorded(t *testing.T) {
	p := newPast(t, 6, 3)
	readings := memstore.New(nil)
	defer readings.Close()
	if err := p.w.trail().RecordReading(t.Context(), readings, audit.Reading{By: "auditor", Reason: "yearly", Question: "log thing 1"}); err != nil {
		t.Fatal(err)
	}
	for r, err := range readings.Read(t.Context(), driver.Query{}, driver.ReadOptions{}) {
		if err != nil || r.Stream != "annals.readings" || r.Metadata.Value("actor") != "auditor" || !bytes.Contains(r.Data, []byte(`"question":"log thing 1"`)) {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

func TestNamesAndKeysOfStreams(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{audit.RowStream("public", "t", "1"), "public.t-1"},
		{audit.RowStream("my-schema", "a.b%", "x-y", "1,2%"), "my%2Dschema.a%2Eb%25-x-y,1%2C2%25"},
		{audit.RowStream("public", "t", "a\nb"), "public.t-a%0Ab"},
		{audit.TableStream("public", "t"), "public.t"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
	for text, want := range map[string]audit.Name{"t": {Schema: "public", Table: "t"}, "s.t": {Schema: "s", Table: "t"}, `"a.b"."c""d"`: {Schema: "a.b", Table: `c"d`}, `"T"`: {Schema: "public", Table: "T"}} {
		if n, err := audit.ParseName(text); err != nil || n != want {
			t.Errorf("%s is %v, %v", text, n, err)
		}
	}
	for _, text := range []string{"", ".", "a.", "a.b.c", `"a`, `"a"b`, `""`} {
		if n, err := audit.ParseName(text); err == nil {
			t.Errorf("%q is taken as %v", text, n)
		}
	}
}

func TestStatusTellsTheLagAndWarns(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE s (id int PRIMARY KEY)`)
	w.setUp(nil, "s")
	seen := make(chan audit.Status, 1000)
	w.o.WarnBytes, w.o.StatusInterval = 1, 5*time.Millisecond
	w.o.Status = func(s audit.Status) {
		select {
		case seen <- s:
		default:
		}
	}
	w.begun()
	w.exec("INSERT INTO s SELECT generate_series(1, 20000)")
	var last audit.Status
	w.eventually("the status says that it has caught up, and warns", func() bool {
		select {
		case last = <-seen:
		default:
		}
		return last.Events >= 20000 && last.Transactions == 1 && last.KeptBytes > 0 && last.Warning != "" && last.LSN > 0
	})
}
