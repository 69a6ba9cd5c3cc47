package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/pgstore"
)

var errHook = errors.New("the hook will not have it")

func TestInlineHookCommitsWithItsAppendOrFailsItAlone(t *testing.T) {
	ctx, url := newContext(t), newURL(t)
	s, pool := openStore(t, url, nil), openPool(t, url)
	runSQL(t, url, `CREATE TABLE seen (position bigint PRIMARY KEY, id uuid)`)
	remove := s.Inline(func(ctx context.Context, tx any, records []driver.Record) error {
		for i := range records {
			r := &records[i]
			if _, err := tx.(pgx.Tx).Exec(ctx, `INSERT INTO seen VALUES ($1, $2)`, int64(r.Position), r.ID.String()); err != nil {
				return err
			}
			switch r.Type {
			case "Bad":
				return errHook
			case "Worse": // leaves the transaction failed, and says nothing
				_, _ = tx.(pgx.Tx).Exec(ctx, `SELECT 1/0`)
			case "Worst":
				if err := tx.(pgx.Tx).Rollback(ctx); err == nil {
					t.Error("a hook may roll back")
				}
			}
		}
		return nil
	})
	var wg sync.WaitGroup
	for w := range 12 {
		wg.Go(func() {
			typ := []string{"Good", "Bad", "Worse", "Worst"}[w%4]
			for range 5 {
				_, err := s.Append(ctx, batch(event(fmt.Sprintf("a-%d", w), typ), event("", typ, "k:v")))
				if (err == nil) != (typ == "Good" || typ == "Worst") || typ == "Bad" && !errors.Is(err, errHook) {
					t.Errorf("Append of %s returned %v", typ, err)
				}
				if errors.Is(err, driver.ErrOutcomeUnknown) || errors.Is(err, driver.ErrUnavailable) {
					t.Errorf("Append of %s returned %v", typ, err)
				}
			}
		})
	}
	wg.Wait()
	records := readAll(t, s)
	checkHistory(t, records)
	if len(records) != 6*5*2 {
		t.Errorf("%d records", len(records))
	}
	var rows int
	if err := pool.QueryRow(ctx, `SELECT count(*) FROM seen JOIN annals.events USING (position, id)`).Scan(&rows); err != nil || rows != len(records) {
		t.Errorf("%d rows for %d records (%v)", rows, len(records), err)
	}
	_, err := s.Append(ctx, driver.Batch{Events: []driver.Event{event("a-1", "Good")}, Conditions: []driver.Condition{driver.StreamPresent("nowhere")}})
	if !isConflict(err) {
		t.Errorf("Append returned %v", err)
	}
	b := batch(event("b-1", "Good"))
	if first, again := mustAppend(t, s, b), mustAppend(t, s, b); !again.Repeated || again.First != first.First {
		t.Errorf("the batch again gives %+v, first %+v", again, first)
	}
	tx := begin(t, pool, pgx.ReadCommitted)
	if _, err := s.In(tx).Append(ctx, batch(event("c-1", "Good"))); err == nil {
		t.Error("an append within a transaction passes the hook by")
	}
	remove()
	mustAppend(t, s, batch(event("c-1", "Bad")))
}

func TestInlineHookSeesTheRecordsAsTheyWillBeRead(t *testing.T) {
	var seen []driver.Record
	s := openStore(t, newURL(t), &pgstore.Options{})
	s.Inline(func(_ context.Context, _ any, records []driver.Record) error {
		seen = append(seen, slices.Clone(records)...)
		return nil
	})
	e := event("a-1", "A", "k:v", "k:w")
	e.Metadata = driver.NewMetadata(map[string]string{"actor": "ann"})
	mustAppend(t, s, driver.Batch{Events: []driver.Event{e, event("", "B", "k:v")}, Conditions: []driver.Condition{driver.StreamAbsent("a-1")}})
	for i, r := range readAll(t, s) {
		if fmt.Sprintf("%+v", r) != fmt.Sprintf("%+v", seen[i]) {
			t.Errorf("the hook saw %+v, it reads back as %+v", seen[i], r)
		}
	}
}
