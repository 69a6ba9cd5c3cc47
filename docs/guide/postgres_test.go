package guide_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/pgstore"
)

func TestPostgreSQLStore(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	server := pgserver.ForTest(t, nil)
	if err := operatePostgres(ctx, server.URL("postgres")); err != nil {
		t.Fatal(err)
	}
}

func operatePostgres(ctx context.Context, url string) error {
	// code: open
	store, err := pgstore.Open(ctx, url, nil) // "postgres://app@db.example.com/shop"
	if err != nil {
		return err
	}
	defer store.Close()
	db := annals.New(store, nil)
	// end
	if _, err := Accounts.Add(ctx, db, "ada", func(a *Account) error { return a.Deposit(100) }); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `CREATE TABLE balances (owner text PRIMARY KEY, balance bigint NOT NULL); CREATE TABLE feed (position bigint, stream text, type text)`); err != nil {
		return err
	}
	// code: update
	err = store.Update(ctx, func(tx pgx.Tx, log *pgstore.TxLog) error {
		ada, err := depositInto(ctx, annals.New(log, nil), "ada", 50)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO balances VALUES ($1, $2)`, "ada", ada.Balance)
		return err
	})
	var conflict *driver.ConflictError
	if errors.As(err, &conflict) {
		return fmt.Errorf("somebody was faster, and nothing was committed: %w", err)
	}
	// end
	if err != nil {
		return err
	}
	var balance int
	if err := conn.QueryRow(ctx, `SELECT balance FROM balances WHERE owner = 'ada'`).Scan(&balance); err != nil || balance != 150 {
		return fmt.Errorf("the balance is %d: %w", balance, err)
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	// code: in
	log := store.In(tx) // tx is a pgx.Tx of yours
	if _, err := depositInto(ctx, annals.New(log, nil), "ada", 25); err != nil {
		return err
	}
	if err := log.Commit(ctx); err != nil { // or tx.Commit, and pgstore.CommitError of its error
		return err
	}
	receipts, err := log.Receipts(ctx)
	if err != nil {
		return err
	}
	fmt.Println("it is at position", receipts[0].First)
	// end
	// code: hook
	remove := store.Inline(func(ctx context.Context, tx any, records []driver.Record) error {
		for _, r := range records {
			if _, err := tx.(pgx.Tx).Exec(ctx, `INSERT INTO feed VALUES ($1, $2, $3)`, int64(r.Position), r.Stream, r.Type); err != nil {
				return err
			}
		}
		return nil
	})
	// end
	defer remove()
	if _, err := depositInto(ctx, db, "ada", 5); err != nil {
		return err
	}
	var fed int
	if err := conn.QueryRow(ctx, `SELECT count(*) FROM feed`).Scan(&fed); err != nil || fed != 1 {
		return fmt.Errorf("the feed has %d rows: %w", fed, err)
	}
	// code: verify
	for fault := range store.Verify(ctx, nil) {
		var damage *driver.CorruptError
		if errors.As(fault, &damage) {
			fmt.Println("position", damage.Position, "in", damage.Place)
		}
		err = errors.Join(err, fault)
	}
	// end
	// The statements of the page run.
	for _, sql := range pageSQL {
		if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return err
}

// pageSQL is the statements of postgresql-store.md.
var pageSQL = []string{
	`SELECT position, time, type, data->>'Amount' FROM annals.records WHERE stream = 'account-ada' ORDER BY position`,
	`SELECT position, stream, type FROM annals.tags JOIN annals.records USING (position) WHERE tag = 'course:c1' ORDER BY position`,
	`SELECT metadata->>'actor', count(*) FROM annals.events GROUP BY 1 ORDER BY 2 DESC`,
	`GRANT USAGE ON SCHEMA annals TO PUBLIC; GRANT SELECT ON ALL TABLES IN SCHEMA annals TO PUBLIC`,
	`SELECT count(*) AS writers, max(clock_timestamp() - a.query_start) AS longest
	 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.classid = 1634627937 AND NOT l.granted`,
	`SELECT a.pid, clock_timestamp() - a.xact_start AS since, a.application_name
	 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
	 WHERE l.relation = 'annals.inbox'::regclass AND l.mode = 'RowExclusiveLock'`,
	`ANALYZE annals.events, annals.tags`,
}
