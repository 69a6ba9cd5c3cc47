package guide_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/sqlitestore"
)

func TestSQLiteStore(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := operateSQLite(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func operateSQLite(ctx context.Context) error {
	// code: open
	store, err := sqlitestore.Open("bank.db", nil)
	if err != nil {
		return err
	}
	defer store.Close()
	db := annals.New(store, nil)
	// end
	if _, err := Accounts.Add(ctx, db, "ada", func(a *Account) error { return a.Deposit(100) }); err != nil {
		return err
	}
	// code: table
	_, err = store.DB().ExecContext(ctx, `CREATE TABLE IF NOT EXISTS balances (owner TEXT PRIMARY KEY, balance INTEGER NOT NULL)`)
	// end
	if err != nil {
		return err
	}
	// code: update
	err = store.Update(ctx, func(tx *sql.Tx, log driver.Log) error {
		ada, err := depositInto(ctx, annals.New(log, nil), "ada", 50)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO balances VALUES (?, ?)`, "ada", ada.Balance)
		return err
	})
	// end
	if err != nil {
		return err
	}
	var balance int
	if err := store.DB().QueryRowContext(ctx, `SELECT balance FROM balances WHERE owner = 'ada'`).Scan(&balance); err != nil || balance != 150 {
		return fmt.Errorf("the balance is %d: %w", balance, err)
	}
	// code: hook
	remove := store.Inline(func(ctx context.Context, tx any, records []driver.Record) error {
		for _, r := range records {
			if _, err := tx.(*sql.Tx).ExecContext(ctx, `INSERT INTO feed (position, stream, type) VALUES (?, ?, ?)`, r.Position, r.Stream, r.Type); err != nil {
				return err
			}
		}
		return nil
	})
	// end
	if _, err := store.DB().ExecContext(ctx, `CREATE TABLE feed (position INTEGER PRIMARY KEY, stream TEXT, type TEXT)`); err != nil {
		return err
	}
	if _, err := depositInto(ctx, db, "ada", 1); err != nil {
		return err
	}
	remove()
	// code: backup
	info, err := store.Backup(ctx, "bank-backup.db")
	if err != nil {
		return err
	}
	fmt.Println("up to", info.Head, "of log", info.LogID)
	// end
	// code: verify
	for fault := range store.Verify(ctx, nil) {
		var damage *driver.CorruptError
		if errors.As(fault, &damage) {
			fmt.Println("at position", damage.Position, "in", damage.Place)
		}
		err = errors.Join(err, fault)
	}
	// end
	return err
}

func depositInto(ctx context.Context, db *annals.DB, owner string, amount int) (*Account, error) {
	var account *Account
	_, err := Accounts.Update(ctx, db, owner, func(a *Account) error {
		account = a
		return a.Deposit(amount)
	})
	return account, err
}
