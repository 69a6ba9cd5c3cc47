package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/pgstore"
)

func TestOpenSaysTheCauseAtOnce(t *testing.T) {
	server := pgserver.Shared(t)
	url := newURL(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	runSQL(t, url, `CREATE ROLE reader LOGIN; CREATE ROLE repeatable LOGIN SUPERUSER; ALTER ROLE repeatable SET default_transaction_isolation = 'repeatable read';
		CREATE ROLE readonly LOGIN SUPERUSER; ALTER ROLE readonly SET default_transaction_read_only = on`)
	runSQL(t, url, `CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`)
	newer, empty, foreign, numbers, events := newURL(t), newURL(t), newURL(t), newURL(t), newURL(t)
	openStore(t, newer, nil)
	runSQL(t, newer, `UPDATE annals.log SET schema_version = 1000`)
	runSQL(t, foreign, `CREATE SCHEMA annals; CREATE TABLE annals.log (line text)`)
	runSQL(t, numbers, `CREATE SCHEMA annals; CREATE TABLE annals.log (id int, schema_version text); INSERT INTO annals.log VALUES (1, 'x')`)
	runSQL(t, events, `CREATE SCHEMA annals; CREATE TABLE annals.events (line text)`)
	as := func(url, user string) string { return strings.Replace(url, pgserver.User+"@", user+"@", 1) }
	for name, c := range map[string]struct {
		url   string
		o     *pgstore.Options
		is    error
		words []string
	}{
		"no such database":          {server.URL("nowhere"), nil, driver.ErrNotFound, []string{`database "nowhere" does not exist`}},
		"no such user":              {as(url, "nobody"), nil, nil, []string{`role "nobody" does not exist`}},
		"no server on the port":     {fmt.Sprintf("postgres://annals@127.0.0.1:%d/annals", unusedPort(t)), nil, driver.ErrUnavailable, []string{"refused"}},
		"no such host":              {"postgres://annals@no-such-host.invalid/annals", nil, driver.ErrUnavailable, []string{"no-such-host.invalid"}},
		"a host that never answers": {fmt.Sprintf("postgres://annals@%s/annals?connect_timeout=1&sslmode=disable", silent.Addr()), nil, driver.ErrUnavailable, nil},
		"no URL":                    {"://", nil, nil, nil},
		"a newer schema":            {newer, nil, nil, []string{"version 1000", "newer"}},
		"no log that must exist":    {empty, &pgstore.Options{MustExist: true}, driver.ErrNotFound, []string{`"annals"`}},
		"no log to read":            {empty, &pgstore.Options{ReadOnly: true}, driver.ErrNotFound, nil},
		"no right to make one":      {as(empty, "reader"), nil, nil, []string{"permission denied"}},
		"another's table":           {foreign, nil, nil, []string{"not of Annals"}},
		"another's, alike":          {numbers, nil, nil, []string{"not of Annals"}},
		"another's table of events": {events, nil, nil, []string{`schema "annals" holds no log`, `"events" already exists`}},
		"a bad schema name":         {url, &pgstore.Options{Schema: `x"; DROP`}, nil, []string{"schema"}},
		"limits beyond an index":    {url, &pgstore.Options{Limits: driver.Limits{NameBytes: 1 << 20}}, nil, []string{"limits"}},
		"an isolation level":        {as(url, "repeatable"), nil, nil, []string{"default_transaction_isolation", "repeatable read"}},
		"a read-only role":          {as(url, "readonly"), nil, driver.ErrReadOnly, []string{"read-only"}},
		"an encoding":               {server.URL("latin"), nil, nil, []string{"LATIN1", "UTF8"}},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			s, err := pgstore.Open(context.Background(), c.url, c.o)
			if err == nil {
				s.Close()
				t.Fatal("it opens")
			}
			t.Log(err)
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is no %v", err, c.is)
			}
			if c.is == nil && (errors.Is(err, driver.ErrUnavailable) || errors.Is(err, driver.ErrNotFound)) {
				t.Errorf("%v is of the wrong kind", err)
			}
			if !contains(err, c.words...) {
				t.Errorf("%v does not say %q", err, c.words)
			}
			if d := time.Since(start); d > 20*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}

func TestOpenWithAWrongPasswordSaysSo(t *testing.T) {
	server := pgserver.ForTest(t, nil)
	runSQL(t, server.URL("postgres"), `CREATE ROLE app LOGIN PASSWORD 'right'`)
	if err := server.RequirePasswords(); err != nil {
		t.Fatal(err)
	}
	url := strings.Replace(server.URL("postgres"), pgserver.User+"@", "app:wr0ng#secret@", 1)
	_, err := pgstore.Open(context.Background(), url, nil)
	if err == nil || !contains(err, "password authentication failed") || errors.Is(err, driver.ErrUnavailable) {
		t.Errorf("Open returned %v", err)
	}
	if err != nil && strings.Contains(err.Error(), "wr0ng#secret") {
		t.Errorf("the error gives the password away: %v", err)
	}
}

func TestSeveralOpenAtOnceAndMakeOneLog(t *testing.T) {
	url := newURL(t)
	var wg sync.WaitGroup
	ids := make([]driver.ID, 8)
	for i := range ids {
		wg.Go(func() {
			s, err := pgstore.Open(context.Background(), url+"&schema=race", nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			info, err := s.Info(context.Background())
			if err != nil || s.Schema() != "race" {
				t.Errorf("Info of schema %q: %v", s.Schema(), err)
			}
			ids[i] = info.LogID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] || id == (driver.ID{}) {
			t.Fatalf("logs %v were made", ids)
		}
	}
}

func TestReadOnlyStoreReadsAndRefusesAppends(t *testing.T) {
	url, id := newURL(t), uuid.New()
	s := openStore(t, url, &pgstore.Options{LogID: id})
	r := openStore(t, url, &pgstore.Options{ReadOnly: true, MustExist: true})
	mustAppend(t, s, batch(event("a-1", "A")))
	info, err := r.Info(newContext(t))
	if err != nil || info.LogID != id || info.Head != 1 || info.ReadOnly == "" || r.State() != nil {
		t.Errorf("Info returned %+v and %v", info, err)
	}
	if _, err := r.Append(newContext(t), batch(event("a-1", "B"))); !errors.Is(err, driver.ErrReadOnly) {
		t.Errorf("Append returned %v", err)
	}
	if n := len(readAll(t, r)); n != 1 {
		t.Errorf("%d events", n)
	}
}

func TestStoreOnTheCallersPool(t *testing.T) {
	pool := openPool(t, newURL(t))
	s, err := pgstore.FromPool(context.Background(), pool, nil)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, batch(event("a-1", "A")))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := pool.Ping(context.Background()); err != nil {
		t.Errorf("the pool was closed: %v", err)
	}
}

func TestReceiptSaysHowDurable(t *testing.T) {
	for setting, want := range map[string]string{
		"":                         "fsync",
		"synchronous_commit=off":   "fsync off: synchronous_commit is off",
		"synchronous_commit=local": "fsync",
	} {
		config, err := pgxpool.ParseConfig(newURL(t))
		if err != nil {
			t.Fatal(err)
		}
		if name, value, ok := strings.Cut(setting, "="); ok {
			config.ConnConfig.RuntimeParams[name] = value
		}
		pool, err := pgxpool.NewWithConfig(context.Background(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		s, err := pgstore.FromPool(context.Background(), pool, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if r := mustAppend(t, s, batch(event("a-1", "A"))); r.Durability != want {
			t.Errorf("with %q the receipt says %q", setting, r.Durability)
		}
	}
	server := pgserver.ForTest(t, &pgserver.Options{Settings: map[string]string{"fsync": "off", "full_page_writes": "off"}})
	s := openStore(t, server.URL("postgres"), nil)
	if r := mustAppend(t, s, batch(event("a-1", "A"))); r.Durability != "fsync off: fsync is off, full_page_writes is off" {
		t.Errorf("the receipt says %q", r.Durability)
	}
}

func unusedPort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
