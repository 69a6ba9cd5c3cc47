package audit_test

import (
	"strings"
	"testing"

	"github.com/annals-db/annals/audit"
)

// What changes while a table is not published whole is in no message: the trail
// says so, and has the table anew once it is published again.
func TestATableThatIsNotPublishedForAWhile(t *testing.T) {
	for _, c := range []struct{ name, from, to string }{
		{"dropped and added", "ALTER PUBLICATION annals DROP TABLE k", "ALTER PUBLICATION annals ADD TABLE k"},
		{"all of it", "ALTER PUBLICATION annals DROP TABLE j, k", "ALTER PUBLICATION annals ADD TABLE j, k"},
		{"set", "ALTER PUBLICATION annals SET TABLE j", "ALTER PUBLICATION annals SET TABLE j, k"},
		{"inserts only", "ALTER PUBLICATION annals SET (publish = 'insert')", "ALTER PUBLICATION annals SET (publish = 'insert, update, delete, truncate')"},
		{"a filter", "ALTER PUBLICATION annals SET TABLE j, k WHERE (id > 2)", "ALTER PUBLICATION annals SET TABLE j, k"},
		{"in one transaction", "BEGIN; ALTER PUBLICATION annals DROP TABLE k", "ALTER PUBLICATION annals ADD TABLE k; COMMIT"},
	} {
		for _, open := range []bool{false, true} {
			if open && !strings.Contains(c.name, "added") {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				w := newWorld(t, server(t), `CREATE TABLE j (id int PRIMARY KEY); CREATE TABLE k (id int PRIMARY KEY); INSERT INTO k VALUES (1), (2), (3)`)
				w.setUp(nil, "j", "k")
				if open {
					w.exec("GRANT EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text) TO PUBLIC")
				}
				w.begun()
				w.exec("INSERT INTO k VALUES (4)")
				w.exec(c.from)
				w.exec("DELETE FROM k WHERE id < 3; INSERT INTO k VALUES (5)")
				w.exec(c.to)
				w.exec("INSERT INTO k VALUES (6); INSERT INTO j VALUES (1)")
				w.verifiedSoon()
				w.stop()
				w.caughtUp()
				w.verified(public("j"), public("k"))
				w.exec("UPDATE k SET id = 7 WHERE id = 6")
				w.caughtUp()
				w.verified()
				if got := w.events("public.k-1"); len(got) != 2 || !strings.HasPrefix(got[1], audit.RowLeftOut) {
					t.Errorf("the row that went meanwhile has %q", got)
				}
			})
		}
	}
}
