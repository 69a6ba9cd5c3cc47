package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/annals-db/annals/bench/internal/measure"
)

// series is what the rounds found of one thing.
type series []float64

// cell shows the median and, for peers, how it compares with ours.
func (s series) cell(show func(float64) string, ours series, peer int) string {
	if len(s) == 0 {
		return "—"
	}
	v := measure.Median(s)
	if peer == 0 || len(ours) == 0 {
		return show(v)
	}
	times := measure.Median(ours) / v
	if show(1) == measure.Duration(1) { // of a time, less is more
		times = 1 / times
	}
	return fmt.Sprintf("%s (%.3g×)", show(v), times)
}

// figures are what is measured of one library.
type figures struct{ one, many, load, all series }

const (
	bigEvents = 1_000
	allEvents = 20_000
)

// measure opens p on a new store and adds a round to each series.
func (f *figures) measure(p peer, dir string, window time.Duration) (err error) {
	dir, err = os.MkdirTemp(dir, "store-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := p.open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := f.measureLoad(s, window); err != nil {
		return err
	}
	if err := f.measureAll(s); err != nil {
		return err
	}
	turns := make([]int, writers)
	for _, c := range []struct {
		writers int
		to      *series
	}{{1, &f.one}, {writers, &f.many}} {
		v, err := measure.Rate(window, c.writers, func(w int) (int, error) {
			turns[w]++
			return 1, s.save(w, turns[w])
		})
		if err != nil {
			return err
		}
		*c.to = append(*c.to, v)
	}
	return nil
}

func (f *figures) measureLoad(s system, window time.Duration) error {
	if err := s.fill(bigEvents); err != nil {
		return err
	}
	took, err := measure.Each(window, func() error {
		n, err := s.load()
		if err == nil && n != bigEvents {
			err = fmt.Errorf("%d events loaded, want %d", n, bigEvents)
		}
		return err
	})
	f.load = append(f.load, took.Seconds())
	return err
}

func (f *figures) measureAll(s system) error {
	if err := s.fill(allEvents - bigEvents); err != nil {
		return err
	}
	began := time.Now()
	n, err := s.readAll()
	if errors.Is(err, errNone) {
		return nil
	}
	if err == nil && n != allEvents {
		err = fmt.Errorf("%d events read, want %d", n, allEvents)
	}
	f.all = append(f.all, allEvents/time.Since(began).Seconds())
	return err
}
