package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/audit"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/memstore"
)

// shop returns the URL of a database with a table of orders, and runs statements in it.
func shop(ctx context.Context) (url string, exec func(sql string), err error) {
	shared.Do(func() { shared.server, shared.err = pgserver.Start(&pgserver.Options{Settings: settings}) })
	if shared.err != nil {
		return "", nil, shared.err
	}
	if url, err = shared.server.Create(ctx); err != nil {
		return "", nil, err
	}
	exec = func(sql string) {
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
			conn.Close(ctx)
		}
		if err != nil {
			fmt.Println(err)
		}
	}
	exec("CREATE TABLE orders (id int PRIMARY KEY, status text, total numeric(10,2)); INSERT INTO orders VALUES (1, 'new', 10.50)")
	return url, exec, nil
}

// A database is set up, followed and asked.
func Example() {
	ctx := context.Background()
	url, exec, err := shop(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	log := memstore.New(nil)
	defer log.Close()

	orders := audit.Name{Schema: "public", Table: "orders"}
	missing, err := audit.Check(ctx, url, []audit.Name{orders}, &audit.Setup{Slot: "example"})
	if err == nil {
		err = audit.Apply(ctx, url, missing)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	capture := func() {
		// With CatchUp it returns when everything is in the log, without it when ctx ends.
		if err := audit.Capture(ctx, url, log, &audit.Options{Slot: "example", CatchUp: true}); err != nil {
			fmt.Println(err)
		}
	}
	capture()
	exec("BEGIN; SELECT annals.actor('alice', 'ticket 42'); UPDATE orders SET status = 'paid' WHERE id = 1; COMMIT")
	exec("UPDATE orders SET total = 11 WHERE id = 1")
	capture()

	trail, err := audit.Open(ctx, log)
	if err != nil {
		fmt.Println(err)
		return
	}
	// code: changes
	for c, err := range trail.Changes(ctx, audit.Filter{Table: orders, Key: []string{"1"}}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %s because %q\n", c.Type, c.Data, c.Reason())
	}
	// end
	list, err := trail.Blame(ctx, orders, []string{"1"}, audit.Point{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, b := range list {
		fmt.Printf("%s is %s, by %q\n", b.Column, *b.Value, b.Change.Actor())
	}
	table, err := trail.Table(ctx, orders, audit.Point{})
	if err == nil {
		err = table.WriteCSV(os.Stdout)
	}
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// RowFound {"after":{"id":"1","status":"new","total":"10.50"}} because ""
	// RowUpdated {"after":{"id":"1","status":"paid","total":"10.50"},"before":{"status":"new"}} because "ticket 42"
	// RowUpdated {"after":{"id":"1","status":"paid","total":"11.00"},"before":{"total":"10.50"}} because ""
	// id is 1, by ""
	// status is paid, by "alice"
	// total is 11.00, by "annals"
	// id,status,total
	// 1,paid,11.00
}

// Capture goes on until its context ends, and says how far it is.
func ExampleCapture() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	url, _, err := shop(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	log := memstore.New(nil)
	defer log.Close()
	cancel() // at once, in an example

	// code: capture
	err = audit.Capture(ctx, url, log, &audit.Options{
		Status: func(s audit.Status) { slog.Info("audit", "lag", s.LagBytes, "warning", s.Warning) },
	})
	// end
	fmt.Println(err)
	// Output: context canceled
}

// A seal that is kept elsewhere shows any later change of the log.
func ExampleCheckSeals() {
	ctx := context.Background()
	log := memstore.New(nil)
	defer log.Close()
	before, err := audit.TakeSeal(ctx, log)
	if err != nil {
		fmt.Println(err)
		return
	}
	held, err := audit.CheckSeals(ctx, log, []audit.Seal{before})
	fmt.Println(held, err)

	another := memstore.New(nil)
	defer another.Close()
	_, err = audit.CheckSeals(ctx, another, []audit.Seal{before})
	fmt.Println(err != nil)
	// Output:
	// 1 <nil>
	// true
}
