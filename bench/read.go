package main

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/annals-db/annals/bench/internal/measure"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
)

// fill appends so many events in batches of 1,000 from several writers.
func fill(log driver.Log, events int) error {
	const writers, batch = 4, 1000
	return measure.Together(writers, func(w int) error {
		p := newProducer(w, batch)
		for done := 0; done < events/writers; done += batch {
			if _, err := log.Append(context.Background(), p.next()); err != nil {
				return err
			}
		}
		return nil
	})
}

func streamRow() row {
	return row{"reading a warm 100-event stream", "within 3 × decoding the same bytes from one buffer", func(e env) (result, error) {
		const events, aim = 100, 3
		dir, remove := e.scratch("stream")
		defer remove()
		log, err := filestore.Open(dir, nil)
		if err != nil {
			return result{}, err
		}
		defer log.Close()
		if err := fill(log, events*streams); err != nil {
			return result{}, err
		}
		queries := make([]driver.Query, warmStreams)
		buffers := make([][]byte, warmStreams)
		for i := range queries {
			queries[i].Items = []driver.Item{{Streams: streamNames[77*i%streams : 77*i%streams+1]}}
			if buffers[i], err = encodeAll(log, queries[i], events); err != nil {
				return result{}, err
			}
		}
		turn := 0
		c, err := measure.Compare(e.rounds,
			func() (float64, error) {
				return measure.Seconds(measure.Each(e.window, func() error {
					turn++
					return decodeAll(buffers[turn%warmStreams], events)
				}))
			},
			func() (float64, error) {
				return measure.Seconds(measure.Each(e.window, func() error {
					turn++
					return readAll(log, queries[turn%warmStreams], events)
				}))
			})
		return atMost(measure.Duration(c.Ours), measure.Duration(c.Base), c.Ratio, aim), err
	}}
}

// warmStreams is how many streams are read in turn where one is not to be
// favoured.
const warmStreams = 16

// encodeAll returns the records that match q in the plainest binary form.
func encodeAll(log driver.Log, q driver.Query, events int) (buffer []byte, err error) {
	found := 0
	for r, err := range log.Read(context.Background(), q, driver.ReadOptions{}) {
		if err != nil {
			return nil, err
		}
		buffer = encodeEvent(buffer, &r.Event, r.Time)
		found++
	}
	if found != events {
		return nil, fmt.Errorf("the stream has %d events, want %d", found, events)
	}
	return buffer, nil
}

// sink keeps what is decoded from being optimised away.
var sink driver.Record

func decodeAll(buffer []byte, events int) error {
	n := 0
	for len(buffer) > 0 {
		var r driver.Record
		var err error
		if buffer, err = decodeEvent(buffer, &r); err != nil {
			return err
		}
		sink = r
		n++
	}
	if n != events {
		return errBuffer
	}
	return nil
}

func readAll(log driver.Log, q driver.Query, events int) error {
	n := 0
	for r, err := range log.Read(context.Background(), q, driver.ReadOptions{}) {
		if err != nil {
			return err
		}
		sink = r
		n++
	}
	if n != events {
		return fmt.Errorf("%d events were read, want %d", n, events)
	}
	return nil
}

func scanRow() row {
	return row{"full scan, checksums checked", "0.6 of reading and checksumming the same bytes", func(e env) (result, error) {
		const aim = 0.6
		dir, remove := e.scratch("scan")
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
		var read int64
		c, err := measure.Compare(e.rounds,
			func() (float64, error) {
				began := time.Now()
				read, err = checksum(dir)
				return float64(events) / time.Since(began).Seconds(), err
			},
			func() (float64, error) {
				began := time.Now()
				err := readAll(log, driver.Query{}, events)
				return float64(events) / time.Since(began).Seconds(), err
			})
		if err != nil {
			return result{}, err
		}
		return atLeast(measure.PerSecond(c.Ours), fmt.Sprintf("%s (%.2f GB/s)", measure.PerSecond(c.Base), c.Base*float64(read)/float64(events)/1e9), c.Ratio, aim), nil
	}}
}

var sum uint32

// checksum reads the segment files of dir, as far as they are written, in
// pieces of 1 MiB, and sums them in pieces of an event's size, since every
// record has a checksum of its own. It returns how many bytes it read.
func checksum(dir string) (int64, error) {
	files, err := filepath.Glob(filepath.Join(dir, "log", "*.seg"))
	if err != nil {
		return 0, err
	}
	if len(files) == 0 {
		return 0, fmt.Errorf("no segment files in %s", dir)
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	buf := make([]byte, 1<<20)
	var total int64
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return 0, err
		}
		for {
			n, err := io.ReadFull(f, buf)
			if n > 0 && zeros(buf[:n]) {
				break // made ready for what is to come
			}
			for b := buf[:n]; len(b) > 0; {
				piece := b[:min(int(encodedSize), len(b))]
				sum ^= crc32.Checksum(piece, table)
				b = b[len(piece):]
			}
			total += int64(n)
			if err != nil {
				break
			}
		}
		f.Close()
	}
	return total, nil
}

// zeros reports whether b begins and ends as what is not written yet.
func zeros(b []byte) bool {
	for _, v := range b[:min(64, len(b))] {
		if v != 0 {
			return false
		}
	}
	return true
}
