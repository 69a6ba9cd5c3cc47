package pgstore_test

import (
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/drivertest"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/pgstore"
)

// bounced returns the URL of a new database by way of a PgBouncer that pools
// by the transaction, and the direct one.
func bounced(t testing.TB) (pooled, direct string) {
	direct = newURL(t)
	name, _, _ := strings.Cut(path.Base(direct), "?")
	return pgserver.Shared(t).Bouncer(t).URL(name), direct
}

func TestConformanceThroughAPooler(t *testing.T) {
	pooled, _ := bounced(t)
	drivertest.Run(t, pooledHarness{harness{pooled, new(atomic.Int64), new(sync.Map)}})
}

// pooledHarness leaves out what is the same with a pooler and without.
type pooledHarness struct{ harness }

func (h pooledHarness) Open(t testing.TB, clock func() time.Time) driver.Log {
	if strings.Contains(t.Name(), "/flaky/") && os.Getenv("ANNALS_SEEDS") == "" {
		t.Skip("TestConformance runs it without a pooler; ANNALS_SEEDS=1 runs it with one")
	}
	return h.harness.Open(t, clock)
}

func TestPooledAndDirectStoresWakeEachOther(t *testing.T) {
	pooledURL, url := bounced(t)
	ctx := newContext(t)
	direct, pooled := openStore(t, url, nil), openStore(t, pooledURL, nil)
	for i := range driver.Position(4) {
		from, to := direct, pooled
		if i%2 == 1 {
			from, to = pooled, direct
		}
		woken := make(chan error, 1)
		go func() { _, err := to.Wait(ctx, i); woken <- err }()
		mustAppend(t, from, batch(event("a-1", "A")))
		if err := <-woken; err != nil {
			t.Fatal(err)
		}
	}
}

func TestTransactionThroughAPooler(t *testing.T) {
	pooledURL, url := bounced(t)
	ctx := newContext(t)
	s := openStore(t, url, nil) // only the transactions come by the pooler
	config, err := pgx.ParseConfig(pooledURL)
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode, config.DescriptionCacheCapacity, config.StatementCacheCapacity = pgx.QueryExecModeExec, 0, 0
	for range 5 {
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		for n := range 3 {
			tx, err := conn.Begin(ctx)
			if err != nil {
				t.Fatal(err)
			}
			log := s.In(tx)
			mustAppend(t, log, batch(event("a-1", "A")))
			if n == 2 {
				err = tx.Rollback(ctx)
			} else {
				err = pgstore.CommitError(tx.Commit(ctx))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(readAll(t, s)); n != 10 {
		t.Errorf("%d events", n)
	}
}
