package main

import (
	"context"
	"time"

	"github.com/annals-db/annals/bench/internal/measure"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/move"
)

// copyRow measures a copy that is verified, against a full scan of its source.
func copyRow() row {
	return row{"copying a file store to a file store, verified", "0.5 of a full scan", func(e env) (result, error) {
		const aim = 0.5
		dir, remove := e.scratch("copy")
		defer remove()
		log, err := filestore.Open(dir, nil)
		if err != nil {
			return result{}, err
		}
		defer log.Close()
		events := min(e.events, 1_000_000)
		if err := fill(log, events); err != nil {
			return result{}, err
		}
		c, err := measure.Compare(e.rounds,
			func() (float64, error) {
				began := time.Now()
				err := readAll(log, driver.Query{}, events)
				return float64(events) / time.Since(began).Seconds(), err
			},
			func() (float64, error) {
				return copied(e, log, events)
			})
		return atLeast(measure.PerSecond(c.Ours), measure.PerSecond(c.Base), c.Ratio, aim), err
	}}
}

// copied returns the rate at which log is copied to a new store, as annals
// copy does it: the files, a read of what was copied, the comparison.
func copied(e env, log *filestore.Store, events int) (float64, error) {
	dir, remove := e.scratch("copied")
	defer remove()
	began := time.Now()
	if _, err := log.Backup(context.Background(), dir, nil); err != nil {
		return 0, err
	}
	to, err := filestore.Open(dir, nil)
	if err != nil {
		return 0, err
	}
	defer to.Close()
	if err := readAll(to, driver.Query{}, events); err != nil {
		return 0, err
	}
	_, err = move.Copy(context.Background(), log, to, nil)
	return float64(events) / time.Since(began).Seconds(), err
}

// appendedRow measures a copy to a store of another kind or one that holds a
// beginning already: record by record.
func appendedRow() row {
	return row{"the same, record by record", "none set", func(e env) (result, error) {
		dir, remove := e.scratch("copy")
		defer remove()
		log, err := filestore.Open(dir, nil)
		if err != nil {
			return result{}, err
		}
		defer log.Close()
		events := min(e.events, 1_000_000)
		if err := fill(log, events); err != nil {
			return result{}, err
		}
		c, err := measure.Compare(e.rounds,
			func() (float64, error) {
				began := time.Now()
				err := readAll(log, driver.Query{}, events)
				return float64(events) / time.Since(began).Seconds(), err
			},
			func() (float64, error) {
				dir, remove := e.scratch("copied")
				defer remove()
				info, err := log.Info(context.Background())
				if err != nil {
					return 0, err
				}
				began := time.Now()
				to, err := filestore.Open(dir, &filestore.Options{LogID: info.LogID})
				if err != nil {
					return 0, err
				}
				defer to.Close()
				_, err = move.Copy(context.Background(), log, to, nil)
				return float64(events) / time.Since(began).Seconds(), err
			})
		return atLeast(measure.PerSecond(c.Ours), measure.PerSecond(c.Base), c.Ratio, 0), err
	}}
}
