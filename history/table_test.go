package history_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
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
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/memstore"
)

const sharedData = "../../shared/data"

// rowChange is a line of the history of a table.
type rowChange struct {
	Tx      int
	At      time.Time `json:"committed_at"`
	Op      string
	Key     string
	Columns []string
	After   map[string]any
	Changed map[string][2]any
}

// truth is what is known of the table after a transaction.
type truth struct {
	Rows    int
	Columns []string
	SHA256  string
}

// TestTable keeps a table of many rows, each a stream, through its history, and
// rebuilds it as it was after every transaction.
func TestTable(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	dir := filepath.Join(sharedData, "sp500-history")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the history of the S&P 500 is not here (%v); its generated twin is TestTableTwin", err)
	}
	changes := linesOf[rowChange](t, filepath.Join(dir, "changes.jsonl.gz"))
	truths := linesOf[truth](t, filepath.Join(dir, "truth-per-commit.jsonl.gz"))
	table := rebuild(t, changes, truths)
	for _, date := range []string{"2024-12-09", "2024-12-11"} {
		day, err := time.Parse(time.DateOnly, date)
		if err != nil {
			t.Fatal(err)
		}
		end := day.AddDate(0, 0, 1).Add(-1)
		last := 0 // the transaction that was the last one by then
		for _, c := range changes {
			if !c.At.After(end) {
				last = c.Tx
			}
		}
		sum, rows, columns := table.at(t, history.Time(end))
		if want := truths[last-1]; sum != want.SHA256 || rows != want.Rows || !slices.Equal(columns, want.Columns) {
			t.Errorf("as of %s: %s of %d rows, want %+v", date, sum, rows, want)
		}
		t.Logf("as of %s: transaction %d, %d rows, %s", date, last, rows, sum)
	}
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

// tableLog is a log with a stream for each row and one for the columns.
type tableLog struct {
	log  driver.Log
	keys []string
	rows map[string]*history.History
	head *history.History
}

// rebuild appends changes and compares the table with truths after each transaction.
func rebuild(t *testing.T, changes []rowChange, truths []truth) *tableLog {
	t.Helper()
	log := memstore.New(nil)
	t.Cleanup(func() { log.Close() })
	table := &tableLog{log: log, rows: map[string]*history.History{}, head: history.Of(log, "table-sp500", history.Merge())}
	ends := table.append(t, changes)
	equal := 0
	for tx, want := range truths {
		sum, rows, columns := table.at(t, history.Position(ends[tx]))
		if sum != want.SHA256 || rows != want.Rows || !slices.Equal(columns, want.Columns) {
			t.Errorf("after transaction %d: %s of %d rows and columns %q, want %+v", tx+1, sum, rows, columns, want)
			continue
		}
		equal++
	}
	t.Logf("%d of %d transactions give the table that they gave", equal, len(truths))
	return table
}

// append appends a batch for each transaction and returns where each ends.
func (l *tableLog) append(t *testing.T, changes []rowChange) (ends []annals.Position) {
	t.Helper()
	var latest time.Time
	for len(changes) > 0 {
		n := slices.IndexFunc(changes, func(c rowChange) bool { return c.Tx != changes[0].Tx })
		if n < 0 {
			n = len(changes)
		}
		b := driver.Batch{Time: changes[0].At.UTC()}
		if b.Time.Before(latest) {
			b.Time = latest
		}
		latest = b.Time
		for _, c := range changes[:n] {
			stream, typ, data := "symbol-"+c.Key, "", any(nil)
			switch c.Op {
			case "schema":
				stream, typ, data = "table-sp500", "ColumnsSet", map[string]any{"columns": c.Columns}
			case "insert":
				typ, data = "RowInserted", map[string]any{"row": c.After}
			case "update":
				row := map[string]any{}
				for column, values := range c.Changed {
					row[column] = values[1]
				}
				typ, data = "RowUpdated", map[string]any{"row": row}
			case "delete":
				typ, data = "RowDeleted", map[string]any{"row": nil}
			}
			text, err := json.Marshal(data)
			if err != nil {
				t.Fatal(err)
			}
			b.Events = append(b.Events, driver.Event{ID: annals.NewID(), Stream: stream, Type: typ, Data: text})
			if c.Key != "" && l.rows[c.Key] == nil {
				l.rows[c.Key] = history.Of(l.log, stream, history.Merge())
			}
		}
		r, err := l.log.Append(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		ends, changes = append(ends, r.Last), changes[n:]
	}
	l.keys = slices.Sorted(maps.Keys(l.rows))
	return ends
}

// at rebuilds the table at a point, every row from its own stream.
func (l *tableLog) at(t *testing.T, p history.Point) (sum string, rows int, columns []string) {
	t.Helper()
	state := func(h *history.History) map[string]any {
		value, _, err := h.State(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return value.(map[string]any)
	}
	names, _ := state(l.head)["columns"].([]any)
	for _, n := range names {
		columns = append(columns, n.(string))
	}
	list := [][]any{}
	for _, key := range l.keys {
		row, ok := state(l.rows[key])["row"].(map[string]any)
		if !ok {
			continue
		}
		values := []any{}
		for _, c := range columns {
			if value := row[c]; value != nil {
				values = append(values, value)
			} else {
				values = append(values, "") // as the table's file has it
			}
		}
		list = append(list, values)
	}
	return tableSum(t, columns, list), len(list), columns
}

// tableSum is the hash of [columns, rows] as JSON.
func tableSum(t *testing.T, columns []string, rows [][]any) string {
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

// TestTableTwin does the same on a table made up by seed, against a table that
// is simply changed in place.
func TestTableTwin(t *testing.T) {
	rnd := rand.New(rand.NewPCG(17, 4))
	columns, table := []string{"Symbol", "Name"}, map[string]map[string]any{}
	changes := []rowChange{{Tx: 1, Op: "schema", Columns: columns}}
	var truths []truth
	for tx := 1; tx <= 40; tx++ {
		if tx%15 == 0 {
			columns = append(slices.Clone(columns), fmt.Sprint("Extra", tx))
			changes = append(changes, rowChange{Tx: tx, Op: "schema", Columns: columns})
		}
		for range 1 + rnd.IntN(6) {
			key := fmt.Sprintf("K%02d", rnd.IntN(20))
			row, there := table[key]
			switch {
			case !there:
				row = map[string]any{"Symbol": key, "Name": fmt.Sprint("<n&", rnd.IntN(100))}
				table[key] = row
				changes = append(changes, rowChange{Tx: tx, Op: "insert", Key: key, After: maps.Clone(row)})
			case rnd.IntN(3) == 0:
				delete(table, key)
				changes = append(changes, rowChange{Tx: tx, Op: "delete", Key: key})
			default:
				column, value := columns[1+rnd.IntN(len(columns)-1)], any(fmt.Sprint(rnd.IntN(1000)))
				if rnd.IntN(5) == 0 {
					value = nil
				}
				changes = append(changes, rowChange{Tx: tx, Op: "update", Key: key, Changed: map[string][2]any{column: {row[column], value}}})
				row[column] = value
			}
		}
		rows := [][]any{}
		for _, key := range slices.Sorted(maps.Keys(table)) {
			var values []any
			for _, c := range columns {
				if value := table[key][c]; value != nil {
					values = append(values, value)
				} else {
					values = append(values, "")
				}
			}
			rows = append(rows, values)
		}
		truths = append(truths, truth{len(rows), columns, tableSum(t, columns, rows)})
	}
	rebuild(t, changes, truths)
}
