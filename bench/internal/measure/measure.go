// Package measure is what the benchmarks measure with: rates of many
// goroutines, times of one call, memory and disk.
package measure

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Median returns the median of v, 0 if there is none.
func Median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	n := len(v)
	if n == 0 {
		return 0
	}
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}

// Comparison is what several rounds gave: the medians of both sides, and of
// the rounds' own ratios.
type Comparison struct{ Base, Ours, Ratio float64 }

// Compare measures base and ours in turn, so many times. What slows the machine
// for longer than a round slows both.
func Compare(rounds int, base, ours func() (float64, error)) (Comparison, error) {
	var bs, os, ratios []float64
	for range rounds {
		b, err := base()
		if err != nil {
			return Comparison{}, err
		}
		o, err := ours()
		if err != nil {
			return Comparison{}, err
		}
		bs, os, ratios = append(bs, b), append(os, o), append(ratios, o/b)
	}
	return Comparison{Median(bs), Median(os), Median(ratios)}, nil
}

// Verbose also tells what CPU time each measurement of a rate took, which other
// work on the machine disturbs less than the rate.
var Verbose bool

// Rate runs work in so many goroutines until the window is over and returns
// how many events a second came through. work returns the events it did. A
// quarter of the window before it warms up and is not counted.
func Rate(window time.Duration, writers int, work func(writer int) (int, error)) (float64, error) {
	var (
		wg      sync.WaitGroup
		stop    atomic.Bool
		failure atomic.Pointer[error]
	)
	counts := make([]struct {
		atomic.Int64
		_ [56]byte // a cache line each
	}, writers)
	for w := range writers {
		wg.Go(func() {
			for !stop.Load() {
				n, err := work(w)
				if err != nil {
					failure.Store(&err)
					return
				}
				counts[w].Add(int64(n))
			}
		})
	}
	sum := func() (n int64) {
		for i := range counts {
			n += counts[i].Load()
		}
		return n
	}
	time.Sleep(window / 4)
	before, began, used := sum(), time.Now(), CPUTime()
	time.Sleep(window)
	done, took := sum()-before, time.Since(began)
	if Verbose && done > 0 {
		fmt.Fprintf(os.Stderr, "  %9.0f/s  %7.2f µs of CPU each\n", float64(done)/took.Seconds(), float64((CPUTime()-used).Nanoseconds())/1e3/float64(done))
	}
	stop.Store(true)
	wg.Wait()
	if err := failure.Load(); err != nil {
		return 0, *err
	}
	return float64(done) / took.Seconds(), nil
}

// Each returns how long one call of fn takes: the best of several runs of at
// least window/8 each, so that what else the machine does counts little.
func Each(window time.Duration, fn func() error) (time.Duration, error) {
	best := time.Duration(1<<63 - 1)
	for range 5 {
		n, began := 0, time.Now()
		for time.Since(began) < window/8 {
			if err := fn(); err != nil {
				return 0, err
			}
			n++
		}
		best = min(best, time.Since(began)/time.Duration(n))
	}
	return best, nil
}

// OnDisk is what the files of dir take, in allocated blocks where the system says.
func OnDisk(dir string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		total += allocated(info)
		return nil
	})
	return total, err
}

// Anonymous is the process's anonymous memory in bytes, 0 where the system does not say.
func Anonymous() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for s := bufio.NewScanner(bytes.NewReader(status)); s.Scan(); {
		if rest, ok := bytes.CutPrefix(s.Bytes(), []byte("RssAnon:")); ok {
			kb, _ := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))), 10, 64)
			return kb << 10
		}
	}
	return 0
}

// WatchMemory notes the most anonymous memory until the function returned is called.
func WatchMemory() (most func() int64) {
	stop, ended := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			most = max(most, Anonymous())
			select {
			case <-stop:
				ended <- most
				return
			case <-tick.C:
			}
		}
	}()
	return func() int64 { close(stop); return <-ended }
}

// PerSecond is a rate in words.
func PerSecond(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2fM/s", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.0fk/s", v/1e3)
	}
	return fmt.Sprintf("%.0f/s", v)
}

// Megabytes is a size in words.
func Megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// Together runs work in so many goroutines and returns the first error.
func Together(writers int, work func(writer int) error) error {
	errs := make(chan error, writers)
	for w := range writers {
		go func() { errs <- work(w) }()
	}
	var first error
	for range writers {
		if err := <-errs; first == nil {
			first = err
		}
	}
	return first
}

// Seconds turns what [Each] returns into what [Compare] takes.
func Seconds(d time.Duration, err error) (float64, error) { return d.Seconds(), err }

// Duration is a time in words; s is in seconds.
func Duration(s float64) string {
	if s >= 1 {
		return fmt.Sprintf("%.2f s", s)
	}
	if s >= 1e-3 {
		return fmt.Sprintf("%.2f ms", s*1e3)
	}
	return fmt.Sprintf("%.1f µs", s*1e6)
}
