package guide_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/projection"
	"github.com/annals-db/annals/sqlitestore"
	_ "github.com/ncruces/go-sqlite3/driver"
)

// code: balances
func addTo(ctx context.Context, tx *sql.Tx, account string, amount int) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO `+projection.At(ctx, "balances")+` (account, balance) VALUES (?, ?)
		ON CONFLICT (account) DO UPDATE SET balance = balance + excluded.balance`, account, amount)
	return err
}

var Balances = projection.New("balances",
	projection.On(func(ctx context.Context, tx *sql.Tx, e Deposited, env projection.Envelope) error {
		return addTo(ctx, tx, env.Stream, e.Amount)
	}),
	projection.On(func(ctx context.Context, tx *sql.Tx, e Withdrawn, env projection.Envelope) error {
		return addTo(ctx, tx, env.Stream, -e.Amount)
	}),
).Table("balances", `account TEXT PRIMARY KEY, balance INTEGER NOT NULL`)

// end

// BalancesV2 forgets withdrawals.
var BalancesV2 = projection.New("balances",
	projection.On(func(ctx context.Context, tx *sql.Tx, e Deposited, env projection.Envelope) error {
		return addTo(ctx, tx, env.Stream, e.Amount)
	}),
).Table("balances", `account TEXT PRIMARY KEY, balance INTEGER NOT NULL`).Version("v2")

// running are the projections that run.
var running sync.WaitGroup

func TestProjections(t *testing.T) {
	t.Chdir(t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	defer running.Wait()
	defer stop()
	for name, part := range map[string]func(context.Context, *annals.DB) error{
		"running": runProjection, "rebuilding": rebuild, "documents": documents, "memory": inMemory,
	} {
		if err := part(ctx, bank(ctx)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if err := inline(ctx); err != nil {
		t.Fatal(err)
	}
}

func runProjection(ctx context.Context, db *annals.DB) error {
	// code: run
	read, err := sql.Open("sqlite3", "file:read.db?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)")
	if err != nil {
		return err
	}
	runner, err := Balances.Open(ctx, db, projection.SQLite(read), &projection.Options{
		OnError: projection.DeadLetter,
		Logger:  slog.Default(),
	})
	if err != nil {
		return err
	}
	running.Go(func() { runner.Run(ctx) })
	// end
	// code: wait
	receipt, err := db.Update(ctx, func(tx *annals.Tx) error {
		ada, err := Accounts.Load(tx, "ada")
		if err != nil {
			return err
		}
		return ada.Withdraw(30)
	})
	if err != nil {
		return err
	}
	if err := runner.Wait(ctx, receipt.Last); err != nil {
		return err
	}
	var balance int
	err = read.QueryRowContext(ctx, `SELECT balance FROM balances WHERE account = 'account-ada'`).Scan(&balance)
	// end
	if err == nil && balance != 70 {
		err = fmt.Errorf("ada has %d", balance)
	}
	if err != nil {
		return err
	}
	// code: control
	control := projection.NewControl(db.Log(), projection.SQLite(read))
	all, err := control.List(ctx)
	for _, s := range all {
		fmt.Println(s.Projection, s.Version, s.State, s.Behind, s.Lag, s.Letters)
	}
	// end
	if err != nil {
		return err
	}
	// code: letters
	letters, err := control.Letters(ctx, "balances", "")
	if err != nil {
		return err
	}
	for _, l := range letters {
		fmt.Println(l.Position, l.Key, l.Type, l.Error)
	}
	tried, err := runner.Retry(ctx, "account-ada", true) // dry: handled and undone
	if err == nil && tried.Failed == nil {
		tried, err = runner.Retry(ctx, "account-ada", false)
	}
	// end
	return err
}

func rebuild(ctx context.Context, db *annals.DB) error {
	read, err := sql.Open("sqlite3", "file:rebuilt.db?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)")
	if err != nil {
		return err
	}
	target := projection.SQLite(read)
	running.Go(func() { Balances.Run(ctx, db, target, nil) })
	if _, err := Accounts.Update(ctx, db, "ada", func(a *Account) error { return a.Withdraw(1) }); err != nil {
		return err
	}
	first, err := Balances.Open(ctx, db, target, nil)
	if err != nil {
		return err
	}
	if err := first.Wait(ctx, 1); err != nil {
		return err
	}
	// code: rebuild
	next, err := BalancesV2.Open(ctx, db, target, nil) // it says .Version("v2")
	if err != nil {
		return err
	}
	running.Go(func() { next.Run(ctx) })

	control := projection.NewControl(db.Log(), target)
	tables, err := control.Compare(ctx, "balances", "v2", 10) // the first 10 rows that differ
	if err != nil {
		return err
	}
	for _, t := range tables {
		for _, d := range t.Differences {
			fmt.Println(t.Table, d.Key, d.Live, d.Next)
		}
	}
	if tables[0].Differing > 0 {
		return control.Drop(ctx, "balances", "v2")
	}
	return control.Switch(ctx, "balances", "v2")
	// end
}

// code: documents
type Statement struct{ Deposits, Total int }

var statements = projection.NewCollection[Statement]("statements")

var AllStatements = projection.New("statements",
	projection.On(func(_ context.Context, tx *projection.Docs, e Deposited, env projection.Envelope) error {
		return statements.Change(tx, env.Stream, func(s *Statement) { s.Deposits++; s.Total += e.Amount })
	}),
).Collections("statements")

// end

func documents(ctx context.Context, db *annals.DB) error {
	docs, err := projection.NewDocuments(db.Log())
	if err != nil {
		return err
	}
	runner, err := AllStatements.Open(ctx, db, docs, nil)
	if err != nil {
		return err
	}
	running.Go(func() { runner.Run(ctx) })
	if err := runner.Wait(ctx, 2); err != nil {
		return err
	}
	// code: view
	return docs.View(ctx, func(tx *projection.Docs) error {
		ada, err := statements.Get(tx, "account-ada")
		fmt.Println(ada.Total, err)
		for account, s := range statements.All(tx) {
			fmt.Println(account, s.Deposits)
		}
		return nil
	})
	// end
}

func inMemory(ctx context.Context, db *annals.DB) error {
	// code: memory
	type Bank struct{ Total int }

	total := projection.NewMemory[Bank](db.Log(), nil, nil)
	sum := projection.New("bank", projection.On(func(_ context.Context, b *Bank, e Deposited, _ projection.Envelope) error {
		b.Total += e.Amount
		return nil
	}))
	running.Go(func() { sum.Run(ctx, db, total, nil) })
	total.View(func(b *Bank) { fmt.Println(b.Total) })
	// end
	return nil
}

func inline(ctx context.Context) error {
	// code: inline
	store, err := sqlitestore.Open("shop.db", nil)
	if err != nil {
		return err
	}
	defer store.Close()
	db := annals.New(store, nil)
	remove, err := Balances.Inline(ctx, db, projection.SQLite(store.DB()), nil)
	if err != nil {
		return err
	}
	defer remove()
	// end
	_, err = Accounts.Add(ctx, db, "ada", func(a *Account) error { return a.Deposit(100) })
	if err != nil {
		return err
	}
	var balance int
	err = store.DB().QueryRowContext(ctx, `SELECT balance FROM balances`).Scan(&balance)
	if err == nil && balance != 100 {
		err = fmt.Errorf("ada has %d", balance)
	}
	return err
}
