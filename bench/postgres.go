package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/bench/internal/measure"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/pgstore"
)

// postgresRows measure pgstore on a server of their own, in one run each with
// what they are compared to.
func postgresRows() []row {
	return []row{
		postgresAppends(64, 1.5),
		postgresAppends(512, 2.5),
		postgresDecisions(),
		postgresSleeper(),
	}
}

// postgres starts a server, and a log and a pool of 64 connections on a database of it.
func postgres() (log *pgstore.Store, pool *pgxpool.Pool, stop func(), err error) {
	server, err := pgserver.Start(&pgserver.Options{Settings: map[string]string{"shared_buffers": "256MB", "max_wal_size": "4GB"}})
	if err != nil {
		return nil, nil, nil, err
	}
	ctx := context.Background()
	stop = func() { _ = server.Stop() } // its directory is temporary
	if log, err = pgstore.Open(ctx, server.URL("postgres"), nil); err != nil {
		stop()
		return nil, nil, nil, err
	}
	if pool, err = pgxpool.New(ctx, server.URL("postgres")+"&pool_max_conns=64"); err != nil {
		_ = log.Close()
		stop()
		return nil, nil, nil, err
	}
	return log, pool, func() { pool.Close(); _ = log.Close(); _ = server.Stop() }, nil
}

// byHand is a table of events as an application would make it, and the append
// of one: a statement, which is a transaction.
const (
	byHandTable = `CREATE TABLE IF NOT EXISTS by_hand (position bigserial PRIMARY KEY, id uuid NOT NULL UNIQUE, stream text NOT NULL, version int NOT NULL,
		type text NOT NULL, data jsonb NOT NULL, occurred timestamptz NOT NULL, UNIQUE (stream, version))`
	byHandInsert = `INSERT INTO by_hand (id, stream, version, type, data, occurred) VALUES ($1, $2, $3, $4, $5, $6)`
)

func postgresAppends(writers int, aim float64) row {
	name := fmt.Sprintf("PostgreSQL: durable single-event appends, %d writers", writers)
	return row{name, fmt.Sprintf("%v of an INSERT each", aim), func(e env) (result, error) {
		log, pool, stop, err := postgres()
		if err != nil {
			return result{}, err
		}
		defer stop()
		if _, err := pool.Exec(context.Background(), byHandTable); err != nil {
			return result{}, err
		}
		versions := make([]int, writers)
		producers := make([]*producer, writers)
		for w := range producers {
			producers[w] = newProducer(w, 1)
		}
		c, err := measure.Compare(e.rounds,
			func() (float64, error) {
				return measure.Rate(e.window, writers, func(w int) (int, error) {
					ev := &producers[w].next().Events[0]
					versions[w]++
					_, err := pool.Exec(context.Background(), byHandInsert, [16]byte(ev.ID), fmt.Sprint("item-", w), versions[w], ev.Type, ev.Data, ev.Occurred)
					return 1, err
				})
			},
			func() (float64, error) { return appendRate(e, log, writers, 1) })
		return atLeast(measure.PerSecond(c.Ours), measure.PerSecond(c.Base), c.Ratio, aim), err
	}}
}

func postgresDecisions() row {
	const writers, aim = 64, 0.7
	return row{"PostgreSQL: a decision by tags and types (one fold, one append), 64 writers, disjoint tags", "0.7 of plain appends", func(e env) (result, error) {
		log, _, stop, err := postgres()
		if err != nil {
			return result{}, err
		}
		defer stop()
		db, turns := annals.New(log, nil), make([]int, writers)
		c, err := measure.Compare(e.rounds,
			func() (float64, error) { return appendRate(e, log, writers, 1) },
			func() (float64, error) { return decisionRate(e, db, turns) })
		return atLeast(measure.PerSecond(c.Ours), measure.PerSecond(c.Base), c.Ratio, aim), err
	}}
}

// postgresSleeper measures how long appends take beside a transaction that has
// appended and sleeps before its COMMIT, against without it.
func postgresSleeper() row {
	const writers, aim = 64, 1.5
	return row{"PostgreSQL: p99 of 64 writers beside a sleeping transaction", "within 1.5 × of without", func(e env) (result, error) {
		log, pool, stop, err := postgres()
		if err != nil {
			return result{}, err
		}
		defer stop()
		c, err := measure.Compare(e.rounds,
			func() (float64, error) { return p99(e, log, writers) },
			func() (v float64, err error) {
				ctx := context.Background()
				tx, err := pool.BeginTx(ctx, pgx.TxOptions{})
				if err != nil {
					return 0, err
				}
				asleep := log.In(tx)
				defer func() { err = errors.Join(err, asleep.Commit(ctx)) }()
				if _, err := asleep.Append(ctx, newProducer(0, 1).next()); err != nil {
					return 0, err
				}
				return p99(e, log, writers)
			})
		return atMost(measure.Duration(c.Ours), measure.Duration(c.Base), c.Ratio, aim), err
	}}
}

// p99 is how many seconds all but the slowest hundredth of appends take at most.
func p99(e env, log driver.Log, writers int) (float64, error) {
	producers, took := make([]*producer, writers), make([][]time.Duration, writers)
	for w := range producers {
		producers[w] = newProducer(w, 1)
	}
	_, err := measure.Rate(e.window, writers, func(w int) (int, error) {
		b := producers[w].next()
		began := time.Now()
		_, err := log.Append(context.Background(), b)
		took[w] = append(took[w], time.Since(began))
		return 1, err
	})
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	if err != nil || len(all) == 0 {
		return 0, err
	}
	return all[len(all)*99/100].Seconds(), nil
}
