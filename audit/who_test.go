package audit_test

import (
	"context"
	"strings"
	"testing"

	"github.com/annals-db/annals/audit"
)

// changes returns the changes that f means.
func (w *world) changes(f audit.Filter) (list []audit.Change) {
	w.t.Helper()
	for c, err := range w.trail().Changes(context.Background(), f) {
		if err != nil {
			w.t.Fatal(err)
		}
		list = append(list, c)
	}
	return list
}

func TestWhoIsClaimedAndWhoIsVouchedForAreKeptApart(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE who (id int PRIMARY KEY); CREATE ROLE clerk_`+strings.ReplaceAll(t.Name(), "/", "")+` LOGIN`)
	clerk := "clerk_" + strings.ToLower(t.Name())
	w.exec("GRANT ALL ON who TO " + clerk)
	w.setUp(nil, "who")
	w.caughtUp()

	conn := dial(t, strings.Replace(w.url, "annals@", clerk+"@", 1)+"&application_name=till")
	if !strings.Contains(w.url, "?") {
		conn = dial(t, strings.Replace(w.url, "annals@", clerk+"@", 1)+"?application_name=till")
	}
	run := func(sql string) error {
		_, err := conn.PgConn().Exec(context.Background(), sql).ReadAll()
		return err
	}
	for _, sql := range []string{
		`BEGIN; INSERT INTO who VALUES (1); SELECT annals.actor('alice', 'ticket 42'); COMMIT`,
		`INSERT INTO who VALUES (2)`,
		`BEGIN; SAVEPOINT s; SELECT annals.actor('nobody', 'never'); INSERT INTO who VALUES (3); ROLLBACK TO s; INSERT INTO who VALUES (4); SELECT annals.actor('bob'); COMMIT`,
	} {
		if err := run(sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	// Nobody but the functions can send what they send.
	if err := run(`SELECT pg_logical_emit_message(true, 'annals.witness', '{"user":"root"}')`); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("a user sends a message: %v", err)
	}
	w.exec("BEGIN; SET ROLE " + clerk + "; INSERT INTO who VALUES (5); COMMIT; RESET ROLE")
	w.caughtUp()

	got := map[string]audit.Who{}
	for _, c := range w.changes(audit.Filter{Table: audit.Name{Schema: "public", Table: "who"}}) {
		if c.Who != nil {
			who := *c.Who
			if who.Vouched.PID == 0 {
				t.Errorf("row %s: no process", c.Key)
			}
			who.Vouched.PID, who.Vouched.Client = 0, strings.Split(who.Vouched.Client, "/")[0]
			got[c.Key] = who
		}
	}
	till := func(actor, reason string) audit.Who {
		return audit.Who{Claimed: audit.Claimed{Actor: actor, Reason: reason, Application: "till"}, Vouched: audit.Vouched{User: clerk, Client: "127.0.0.1"}}
	}
	for key, want := range map[string]audit.Who{"1": till("alice", "ticket 42"), "2": till("", ""), "4": till("bob", ""),
		"5": {Vouched: audit.Vouched{User: "annals", Role: clerk, Client: "127.0.0.1"}}} {
		if got[key] != want {
			t.Errorf("row %s was made by %+v, want %+v", key, got[key], want)
		}
	}
	if len(got) != 4 {
		t.Errorf("%d rows, want 4", len(got))
	}
	if list := w.changes(audit.Filter{Actor: "alice"}); len(list) != 1 || list[0].Key != "1" || list[0].Reason() != "ticket 42" {
		t.Errorf("alice made %+v", list)
	}
	if list := w.changes(audit.Filter{NoReason: true}); len(list) != 3 {
		t.Errorf("%d changes without a reason, want 3", len(list))
	}
	if list := w.changes(audit.Filter{User: clerk}); len(list) != 3 {
		t.Errorf("%d changes by %s, want 3", len(list), clerk)
	}
}

func TestWhatAnyoneCanSendIsNotVouchedFor(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE who (id int PRIMARY KEY)`)
	w.setUp(nil, "who")
	w.exec("GRANT EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text) TO PUBLIC")
	w.exec(`DROP TRIGGER annals_witness ON who`)
	w.caughtUp()
	w.exec(`BEGIN; INSERT INTO who VALUES (1); SELECT pg_logical_emit_message(true, 'annals.witness', '{"user":"root"}'); COMMIT`)
	w.exec(`BEGIN; INSERT INTO who VALUES (2); SELECT pg_logical_emit_message(true, 'annals.actor', 'not JSON'), pg_logical_emit_message(true, 'annals.ddl', '{"table":"x"}'), pg_logical_emit_message(true, 'annals.actor', '{"actor":"` + strings.Repeat("x", 10000) + `\u0000"}'); COMMIT`)
	w.caughtUp()
	list := w.changes(audit.Filter{Table: audit.Name{Schema: "public", Table: "who"}, Key: []string{"1"}})
	if len(list) != 1 || list[0].Who == nil || list[0].Who.Vouched != (audit.Vouched{}) || list[0].Who.Unproven.User != "root" {
		t.Errorf("a forged message makes %+v", list)
	}
	w.verified()
}

// What an ordinary user says of tables, who may send messages as long as everybody may,
// is not believed against the catalog.
func TestForgedMessagesOfTablesAreNotBelieved(t *testing.T) {
	w := newWorld(t, server(t), `CREATE TABLE f (id int PRIMARY KEY, v text); INSERT INTO f VALUES (1, 'a'), (2, 'b')`)
	w.setUp(nil, "f")
	w.exec("GRANT EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text) TO PUBLIC; CREATE ROLE mallory_of_tables; GRANT CREATE ON DATABASE " + w.conn.Config().Database + " TO mallory_of_tables")
	t.Cleanup(func() { w.exec("DROP OWNED BY mallory_of_tables; DROP ROLE mallory_of_tables") })
	w.caughtUp()
	for _, message := range []string{
		`'annals.drop', json_build_object('table', 'f'::regclass::oid::bigint, 'schema', 'public', 'name', 'f', 'command', 'DROP TABLE', 'query', 'drop table f')`,
		`'annals.ddl', json_build_object('table', 'f'::regclass::oid::bigint, 'schema', 'public', 'name', 'g', 'command', 'ALTER TABLE', 'query', 'alter table f rename to g', 'identity', 'f',
			'columns', annals.columns('f'::regclass), 'key', '["id"]'::json)`,
		`'annals.ddl', json_build_object('table', 'f'::regclass::oid::bigint, 'schema', 'public', 'name', 'f', 'command', 'ALTER TABLE', 'query', 'alter table f drop v', 'identity', 'f',
			'columns', '[{"name":"id","type":"integer","number":1}]'::json, 'key', '["id"]'::json)`,
		`'annals.ddl', json_build_object('table', 'f'::regclass::oid::bigint, 'schema', 'public', 'name', 'f', 'command', 'ALTER TABLE', 'query', 'alter table f drop constraint f_pkey', 'identity', 'f',
			'columns', annals.columns('f'::regclass), 'key', '[]'::json)`,
		`'annals.ddl', json_build_object('table', 'f'::regclass::oid::bigint, 'schema', 'public', 'name', 'f', 'command', 'ALTER TABLE', 'query', 'alice was here', 'identity', 'f',
			'columns', annals.columns('f'::regclass), 'key', '["id"]'::json)`,
	} {
		w.exec("SET ROLE mallory_of_tables; SELECT pg_logical_emit_message(true, " + message + "::text); RESET ROLE")
		w.exec("UPDATE f SET v = v || '!' WHERE id = 1")
		w.caughtUp()
		w.verified()
	}
	if got := w.events("public.f"); len(got) != 1 {
		t.Errorf("of the table the trail says %q", got)
	}
	// Nor in a transaction that is older than a true change.
	old := dial(t, w.url)
	if _, err := old.Exec(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	if _, err := old.Exec(t.Context(), "SELECT pg_current_xact_id()"); err != nil {
		t.Fatal(err)
	}
	w.exec("ALTER TABLE f ADD late int")
	w.caughtUp()
	if _, err := old.PgConn().Exec(t.Context(), `SET LOCAL ROLE mallory_of_tables; SELECT pg_logical_emit_message(true, 'annals.ddl', json_build_object('table', 'f'::regclass::oid::bigint,
		'schema', 'public', 'name', 'forged', 'command', 'ALTER TABLE', 'query', 'forged', 'identity', 'f', 'columns', '[{"name":"v","type":"text","number":2}]'::json, 'key', '[]'::json)::text); COMMIT`).ReadAll(); err != nil {
		t.Fatal(err)
	}
	w.exec("UPDATE f SET late = 1 WHERE id = 2")
	w.caughtUp()
	w.verified()
	if got := w.events("public.f"); len(got) != 3 || strings.Contains(strings.Join(got, ""), "forged") {
		t.Errorf("of the table the trail says %q", got)
	}
	// What is true is believed, and says that it could have been sent by anyone.
	w.exec("ALTER TABLE f ADD n int; ALTER TABLE f DROP CONSTRAINT f_pkey, ADD PRIMARY KEY (v)")
	w.caughtUp()
	w.exec("ALTER TABLE f RENAME TO g")
	w.exec("INSERT INTO g VALUES (3, 'c', 3)")
	w.caughtUp()
	w.verified()
	if got := w.events("public.g"); len(got) != 1 || !strings.Contains(got[0], `"unproven":true`) {
		t.Errorf("of the renamed table the trail says %q", got)
	}
	w.exec("DROP TABLE g")
	w.caughtUp()
	if got := w.events("public.g"); len(got) != 2 || !strings.HasPrefix(got[1], "TableDropped") {
		t.Errorf("of the dropped table the trail says %q", got)
	}
}
