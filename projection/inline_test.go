package projection_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/projection"
	"github.com/annals-db/annals/sqlitestore"
)

func openShop(t testing.TB) (*sqlitestore.Store, *annals.DB) {
	t.Helper()
	log, err := sqlitestore.Open(filepath.Join(t.TempDir(), "shop.db"), nil)
	must(t, err)
	t.Cleanup(func() { log.Close() })
	return log, annals.New(log, nil)
}

func TestInline(t *testing.T) {
	poison := func(e Moved) error {
		if e.Quantity == 13 {
			return errors.New("unlucky")
		}
		return nil
	}
	t.Run("is there when the append returns, and a failure fails its own append only", func(t *testing.T) {
		log, db := openShop(t)
		move(t, db, "before", 1)
		remove, err := stock("v1", 1, poison).Inline(t.Context(), db, projection.SQLite(log.DB()), nil)
		must(t, err)
		defer remove()
		equal(t, "the stock", rows(t, log.DB(), allStock), folded(t, db))
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for n := range 20 {
					quantity := 10 + (n+w)%5
					_, err := db.Update(t.Context(), func(tx *annals.Tx) error {
						return tx.Append(Moved{fmt.Sprint("sku", w), quantity}, annals.WithTags("n:1"))
					})
					var poisoned *projection.EventError
					if (quantity == 13) != errors.As(err, &poisoned) || (quantity == 13) == (err == nil) {
						t.Errorf("%d: %v", quantity, err)
					}
				}
			})
		}
		wg.Wait()
		equal(t, "the stock", rows(t, log.DB(), allStock), folded(t, db))
		info, err := log.Info(t.Context())
		must(t, err)
		equal(t, "events", info.Head, annals.Position(1+8*16))
	})
	t.Run("what is appended without the hook is caught up with, or the append is refused", func(t *testing.T) {
		log, db := openShop(t)
		target := projection.SQLite(log.DB())
		remove, err := stock("v1", 1, nil).Inline(t.Context(), db, target, nil)
		must(t, err)
		defer remove()
		other, err := sqlitestore.Open(filepath.Join(filepath.Dir(databaseFile(t, log.DB())), "shop.db"), nil)
		must(t, err)
		defer other.Close()
		move(t, annals.New(other, nil), "a", 5)
		move(t, db, "a", 1)
		equal(t, "the stock", rows(t, log.DB(), allStock), folded(t, db))
		var many driver.Batch
		for range 1001 {
			many.Events = append(many.Events, driver.Event{ID: annals.NewID(), Stream: "item-b", Type: "Moved", Data: []byte(`{"SKU":"b","Quantity":1}`)})
		}
		_, err = other.Append(t.Context(), many)
		must(t, err)
		_, err = db.Update(t.Context(), func(tx *annals.Tx) error { return tx.Append(Moved{"a", 1}, annals.WithTags("n:1")) })
		if err == nil || !strings.Contains(err.Error(), "run it until it has caught up") {
			t.Fatalf("the append behind 1,001 others ended with %v", err)
		}
		r := start(t, stock("v1", 1, nil), db, target, quick) // beside it
		must(t, r.Wait(patient(t), 1003))
		move(t, db, "a", 1)
		equal(t, "the stock", rows(t, log.DB(), allStock), folded(t, db))
	})
	t.Run("a version is replaced inline", func(t *testing.T) {
		log, db := openShop(t)
		target := projection.SQLite(log.DB())
		for _, v := range []string{"v1", "v2"} {
			remove, err := stock(v, 1, nil).Inline(t.Context(), db, target, nil)
			must(t, err)
			defer remove()
			move(t, db, "a", 5)
		}
		control := projection.NewControl(log, target)
		all, err := control.Compare(t.Context(), "stock", "v2", 5)
		must(t, err)
		equal(t, "rows that differ", all[0].Differing, 0)
		must(t, control.Switch(t.Context(), "stock", "v2"))
		must(t, control.Drop(t.Context(), "stock", "v1"))
		move(t, db, "a", 5)
		equal(t, "the stock", rows(t, log.DB(), allStock), folded(t, db))
		if err := control.Pause(t.Context(), "stock", ""); err == nil {
			t.Fatal("an inline projection was paused")
		}
		if err := control.Reset(t.Context(), "stock", ""); err == nil {
			t.Fatal("an inline projection was reset")
		}
	})
	t.Run("takes a store in SQL", func(t *testing.T) {
		_, target := targets[0].open(t)
		if _, err := stock("v1", 1, nil).Inline(t.Context(), memory(t), target, nil); !errors.Is(err, errors.ErrUnsupported) {
			t.Fatalf("it ended with %v", err)
		}
	})
}

func databaseFile(t testing.TB, db *sql.DB) (path string) {
	t.Helper()
	must(t, db.QueryRowContext(context.Background(), "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&path))
	return path
}
