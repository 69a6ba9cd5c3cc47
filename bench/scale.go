package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/annals-db/annals/bench/internal/measure"
	"github.com/annals-db/annals/filestore"
)

// scaleRows are those of the large log, which the first of them makes.
func scaleRows() []row {
	var ordinary, hard large
	const limit = 250e6
	memory := func(anonymous int64) result {
		return result{measure.Megabytes(anonymous), "250 MB", fmt.Sprintf("%.2f", float64(anonymous)/limit), anonymous < limit}
	}
	return []row{
		{"large log: rate of 64 writers against that at 100,000 events", "0.9", func(e env) (result, error) {
			l, err := ordinary.make(e, streams, false)
			return atLeast(fmt.Sprintf("%s at %s events", measure.PerSecond(l.filled.Large), thousands(e.events)), measure.PerSecond(l.filled.Small), l.filled.Ratio, 0.9), err
		}},
		{"large log: anonymous memory while filling it", "under 250 MB", func(e env) (result, error) {
			l, err := ordinary.make(e, streams, false)
			return memory(l.filled.Anonymous), err
		}},
		{"large log: bytes on disk, indexes included", "under 1.15 of the encoded events", func(e env) (result, error) {
			l, err := ordinary.make(e, streams, false)
			if err != nil {
				return result{}, err
			}
			used, err := measure.OnDisk(l.dir)
			return atMost(measure.Megabytes(used), measure.Megabytes(l.filled.Encoded), float64(used)/float64(l.filled.Encoded), 1.15), err
		}},
		{"large log: reopening after a crash", "under 1 s", func(e env) (result, error) {
			l, err := ordinary.make(e, streams, false)
			if err != nil {
				return result{}, err
			}
			return crashAndReopen(e, l.dir)
		}},
		{"large log: rebuilding every index", "under 20 s", func(e env) (result, error) {
			l, err := ordinary.make(e, streams, false)
			if err != nil {
				return result{}, err
			}
			var r rebuilt
			err = ask(task{Name: "rebuild", Dir: l.dir}, &r)
			l.remove()
			return result{fmt.Sprintf("%.1f s, %s", r.Took.Seconds(), measure.Megabytes(r.Anonymous)), "20 s, 250 MB",
				fmt.Sprintf("%.2f", r.Took.Seconds()/20), r.Took < 20*time.Second && r.Anonymous < limit}, err
		}},
		{"the same with 1 million streams and random IDs: anonymous memory while filling it", "under 250 MB", func(e env) (result, error) {
			hard.dir, _ = e.scratch("hard")
			defer hard.remove()
			err := ask(task{Name: "fill", Dir: hard.dir, Events: e.events, Streams: min(1_000_000, e.events/10), Random: true}, &hard.filled)
			return memory(hard.filled.Anonymous), err
		}},
	}
}

// crashAndReopen kills a process that appends to the store in dir, several
// times, and times opening it.
func crashAndReopen(e env, dir string) (result, error) {
	var took []float64
	for range e.rounds {
		if err := crash(dir, e.window); err != nil {
			return result{}, err
		}
		began := time.Now()
		log, err := filestore.Open(dir, nil)
		if err != nil {
			return result{}, err
		}
		took = append(took, time.Since(began).Seconds())
		if err := log.Close(); err != nil {
			return result{}, err
		}
	}
	mid := measure.Median(took)
	return result{measure.Duration(mid), "1 s", fmt.Sprintf("%.2f", mid), mid < 1}, nil
}

// crash lets a process append to dir for a while and kills it.
func crash(dir string, after time.Duration) error {
	cmd, err := child(task{Name: "append", Dir: dir})
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	_, began := out.Read(make([]byte, 8))
	time.Sleep(after)
	killed := cmd.Process.Kill()
	if err := cmd.Wait(); err == nil {
		return errors.New("the process that was to be killed ended by itself")
	}
	return errors.Join(began, killed)
}

func thousands(n int) string {
	switch {
	case n%1_000_000 == 0:
		return fmt.Sprintf("%d M", n/1_000_000)
	case n%1000 == 0:
		return fmt.Sprintf("%d k", n/1000)
	}
	return fmt.Sprint(n)
}
