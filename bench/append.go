package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/annals-db/annals/bench/internal/measure"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
)

const rawFile = 256 << 20

// yardstick measures the rate of appends to a rawLog, which is made once.
type yardstick struct {
	log    *rawLog
	remove func()
}

func newYardstick(e env) (*yardstick, error) {
	dir, remove := e.scratch("raw")
	log, err := openRaw(dir, rawFile)
	if err != nil {
		remove()
		return nil, err
	}
	return &yardstick{log, remove}, nil
}

func (y *yardstick) close() error {
	defer y.remove()
	return y.log.close()
}

// rate is events a second: each writer makes its events and encodes them, as
// whoever appends to any log must, and hands the bytes over.
func (y *yardstick) rate(e env, writers, batch int) (float64, error) {
	type state struct {
		*producer
		*rawRequest
		encoded []byte
	}
	all := make([]state, writers)
	for w := range all {
		all[w] = state{newProducer(w, batch), newRawRequest(), nil}
	}
	return measure.Rate(e.window, writers, func(w int) (int, error) {
		s := &all[w]
		b := s.encoded[:0]
		for _, ev := range s.next().Events {
			b = encodeEvent(b, &ev, ev.Occurred)
		}
		s.encoded = b
		return batch, y.log.append(s.rawRequest, b)
	})
}

// appendRate is events a second through a store.
func appendRate(e env, log driver.Log, writers, batch int) (float64, error) {
	producers := make([]*producer, writers)
	for w := range producers {
		producers[w] = newProducer(w, batch)
	}
	ctx := context.Background()
	return measure.Rate(e.window, writers, func(w int) (int, error) {
		_, err := log.Append(ctx, producers[w].next())
		return batch, err
	})
}

func appendRow(name string, writers, batch int, aim float64) row {
	return row{name, fmt.Sprintf("%v of raw", aim), func(e env) (result, error) {
		return againstRaw(e, writers, batch, aim, func(log *filestore.Store) (float64, error) {
			return appendRate(e, log, writers, batch)
		})
	}}
}

// againstRaw opens a yardstick and a store and measures them in turn.
func againstRaw(e env, writers, batch int, aim float64, ours func(*filestore.Store) (float64, error)) (res result, err error) {
	y, err := newYardstick(e)
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, y.close()) }()
	dir, remove := e.scratch("store")
	defer remove()
	log, err := filestore.Open(dir, nil)
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	c, err := measure.Compare(e.rounds,
		func() (float64, error) { return y.rate(e, writers, batch) },
		func() (float64, error) { return ours(log) })
	return atLeast(measure.PerSecond(c.Ours), measure.PerSecond(c.Base), c.Ratio, aim), err
}
