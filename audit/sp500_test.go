package audit_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/audit"
)

const sharedData = "../../shared/data"

// rowChange is a line of the history of a table.
type rowChange struct {
	Tx      int
	Op      string
	Key     string
	Columns []string
	After   map[string]*string
	Changed map[string][2]*string
}

// truth is what is known of the table after a transaction.
type truth struct {
	Rows    int
	Columns []string
	SHA256  string
}

// TestTableAsOfEachTransaction replays the history of the S&P 500 as SQL, one
// transaction after the other, under capture.
func TestTableAsOfEachTransaction(t *testing.T) {
	dir := filepath.Join(sharedData, "sp500-history")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the history of the S&P 500 is not here (%v); its generated twin is TestTableAsOfEachTransactionTwin", err)
	}
	replay(t, linesOf[rowChange](t, filepath.Join(dir, "changes.jsonl.gz")), linesOf[truth](t, filepath.Join(dir, "truth-per-commit.jsonl.gz")))
}

func linesOf[T any](t *testing.T, name string) (list []T) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewReader(z); ; {
		line, err := s.ReadBytes('\n')
		if len(line) > 0 {
			var v T
			if err := json.Unmarshal(line, &v); err != nil {
				t.Fatal(err)
			}
			list = append(list, v)
		}
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// replay runs changes as SQL and compares the table as of each transaction with truths.
func replay(t *testing.T, changes []rowChange, truths []truth) {
	w := newWorld(t, server(t), `CREATE TABLE sp500 ("Symbol" text PRIMARY KEY)`)
	w.setUp(nil, "sp500")
	w.begun()
	var xids []uint32
	columns := []string{"Symbol"}
	for len(changes) > 0 {
		n := slices.IndexFunc(changes, func(c rowChange) bool { return c.Tx != changes[0].Tx })
		if n < 0 {
			n = len(changes)
		}
		xids = append(xids, replayOne(t, w, changes[:n], &columns))
		changes = changes[n:]
	}
	w.stop()
	w.caughtUp()
	trail := w.trail()
	equal := 0
	for i, want := range truths {
		table, err := trail.Table(t.Context(), audit.Name{Schema: "public", Table: "sp500"}, audit.AfterTransaction(xids[i]))
		if err != nil {
			t.Fatal(err)
		}
		sum, names := tableSum(t, table)
		if sum != want.SHA256 || table.Len() != want.Rows || !slices.Equal(names, want.Columns) {
			t.Errorf("after transaction %d: %s of %d rows and columns %q, want %+v", i+1, sum, table.Len(), names, want)
			continue
		}
		equal++
	}
	t.Logf("%d of %d transactions give the table that they gave", equal, len(truths))
}

// replayOne runs one transaction and returns its ID. New columns are added
// before its changes of rows, and old ones dropped behind them.
func replayOne(t *testing.T, w *world, changes []rowChange, columns *[]string) (xid uint32) {
	t.Helper()
	ctx := context.Background()
	quote := func(s string) string { return pgx.Identifier{s}.Sanitize() }
	var drop []string
	err := pgx.BeginFunc(ctx, w.conn, func(tx pgx.Tx) error {
		for _, c := range changes {
			var sql string
			var args []any
			switch c.Op {
			case "schema":
				for _, name := range c.Columns {
					if !slices.Contains(*columns, name) {
						if len(c.Columns) == len(*columns) && len(c.Columns) > 3 { // as many: one was renamed
							i := slices.IndexFunc(*columns, func(old string) bool { return !slices.Contains(c.Columns, old) })
							sql += fmt.Sprintf("ALTER TABLE sp500 RENAME COLUMN %s TO %s;", quote((*columns)[i]), quote(name))
							continue
						}
						sql += fmt.Sprintf("ALTER TABLE sp500 ADD COLUMN %s text;", quote(name))
					}
				}
				renamed := strings.Contains(sql, "RENAME")
				for _, name := range *columns {
					if !slices.Contains(c.Columns, name) && !renamed {
						drop = append(drop, fmt.Sprintf("ALTER TABLE sp500 DROP COLUMN %s;", quote(name)))
					}
				}
				*columns = c.Columns
				if _, err := tx.Conn().PgConn().Exec(ctx, sql).ReadAll(); err != nil {
					return fmt.Errorf("%s: %w", sql, err)
				}
				continue
			case "insert":
				var names, places []string
				for _, name := range slices.Sorted(maps.Keys(c.After)) {
					args = append(args, c.After[name])
					names, places = append(names, quote(name)), append(places, fmt.Sprintf("$%d", len(args)))
				}
				sql = fmt.Sprintf("INSERT INTO sp500 (%s) VALUES (%s)", strings.Join(names, ", "), strings.Join(places, ", "))
			case "update":
				args = []any{c.Key}
				var sets []string
				for _, name := range slices.Sorted(maps.Keys(c.Changed)) {
					if !slices.Contains(*columns, name) {
						continue // of a column that goes away
					}
					args = append(args, c.Changed[name][1])
					sets = append(sets, fmt.Sprintf("%s = $%d", quote(name), len(args)))
				}
				if len(sets) == 0 {
					continue
				}
				sql = fmt.Sprintf(`UPDATE sp500 SET %s WHERE "Symbol" = $1`, strings.Join(sets, ", "))
			case "delete":
				sql, args = `DELETE FROM sp500 WHERE "Symbol" = $1`, []any{c.Key}
			}
			tag, err := tx.Exec(ctx, sql, args...)
			if err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
			if tag.RowsAffected() != 1 {
				return fmt.Errorf("%s %v: %d rows", sql, args, tag.RowsAffected())
			}
		}
		if _, err := tx.Conn().PgConn().Exec(ctx, strings.Join(drop, "")).ReadAll(); err != nil {
			return err
		}
		return tx.QueryRow(ctx, "SELECT pg_current_xact_id()::xid").Scan(&xid)
	})
	if err != nil {
		t.Fatal(err)
	}
	return xid
}

// tableSum is the hash of [columns, rows] as JSON.
func tableSum(t *testing.T, table *audit.Table) (string, []string) {
	t.Helper()
	columns := []string{}
	for _, c := range table.Columns {
		columns = append(columns, c.Name)
	}
	rows := [][]string{}
	for r := range table.Rows() {
		values := []string{}
		for _, v := range r.Values {
			if v == nil {
				v = new(string) // as the table's file has it
			}
			values = append(values, *v)
		}
		rows = append(rows, values)
	}
	return sumOf(t, columns, rows), columns
}

func sumOf(t *testing.T, columns []string, rows [][]string) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode([]any{columns, rows}); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	return hex.EncodeToString(sum[:])
}

// TestTableAsOfEachTransactionTwin does the same with a table made up by seed,
// against one that is simply changed in place.
func TestTableAsOfEachTransactionTwin(t *testing.T) {
	const seed = 17
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 4))
	columns, table := []string{"Symbol", "Name"}, map[string]map[string]*string{}
	changes := []rowChange{{Tx: 1, Op: "schema", Columns: columns}}
	var truths []truth
	for tx := 1; tx <= 40; tx++ {
		switch {
		case tx%10 == 5:
			columns = append(slices.Clone(columns), fmt.Sprint("Extra", tx))
			changes = append(changes, rowChange{Tx: tx, Op: "schema", Columns: columns})
		case tx == 20: // a column goes, and another comes in its place
			renamed := slices.Clone(columns)
			for _, row := range table {
				row["Title"] = row["Name"]
				delete(row, "Name")
			}
			renamed[1] = "Title"
			columns = renamed
			changes = append(changes, rowChange{Tx: tx, Op: "schema", Columns: columns})
		}
		for range 1 + rnd.IntN(6) {
			key := fmt.Sprintf("K%02d", rnd.IntN(20))
			row, there := table[key]
			text := fmt.Sprint("<n&", rnd.IntN(100), "é")
			switch {
			case !there:
				row = map[string]*string{"Symbol": &key, columns[1]: &text}
				table[key] = row
				changes = append(changes, rowChange{Tx: tx, Op: "insert", Key: key, After: maps.Clone(row)})
			case rnd.IntN(3) == 0:
				delete(table, key)
				changes = append(changes, rowChange{Tx: tx, Op: "delete", Key: key})
			default:
				column, value := columns[1+rnd.IntN(len(columns)-1)], &text
				if rnd.IntN(5) == 0 {
					value = nil
				}
				changes = append(changes, rowChange{Tx: tx, Op: "update", Key: key, Changed: map[string][2]*string{column: {row[column], value}}})
				row[column] = value
			}
		}
		rows := [][]string{}
		for _, key := range slices.Sorted(maps.Keys(table)) {
			var values []string
			for _, c := range columns {
				v := table[key][c]
				if v == nil {
					v = new(string)
				}
				values = append(values, *v)
			}
			rows = append(rows, values)
		}
		truths = append(truths, truth{len(rows), columns, sumOf(t, columns, rows)})
	}
	replay(t, changes, truths)
}
