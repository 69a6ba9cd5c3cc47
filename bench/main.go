// Command bench measures Annals against a yardstick within one run on one
// machine, and prints the table:
//
//	go run ./bench                    everything; takes some minutes and 4 GB of disk
//	go run ./bench -quick             every row, shorter and with fewer events
//	go run ./bench -rows 'append|p99' the rows whose name matches
//
// Each figure is the median of several rounds; a round measures the yardstick
// and Annals one after the other. The footnotes printed under the table say
// what each yardstick does.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/annals-db/annals/bench/internal/measure"
)

// env is what a measurement runs in.
type env struct {
	dir    string        // scratch, on the disk that is measured
	rounds int           // of which the median counts
	window time.Duration // how long one measurement of a rate takes
	events int           // how many the large log has
	many   int           // how many updates the latency row makes
}

// row is one line of the table.
type row struct {
	name string
	aim  string
	run  func(env) (result, error)
}

// result is what a row shows.
type result struct {
	ours, base, ratio string
	met               bool
}

func main() {
	do := run
	if told := os.Getenv(childVariable); told != "" {
		do = func() error { return serve(told) }
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	var (
		rows    = flag.String("rows", "", "only rows whose name matches this regular expression")
		quick   = flag.Bool("quick", false, "shorter measurements, three rounds, and 300,000 events unless -events says otherwise")
		events  = flag.Int("events", 0, "events of the large log (default 10,000,000)")
		dir     = flag.String("dir", "", "where to measure (default: a new directory under the system's temporary one)")
		profile = flag.String("cpuprofile", "", "write a CPU profile of the run to this file")
		list    = flag.Bool("list", false, "list the rows")
	)
	flag.BoolVar(&measure.Verbose, "v", false, "tell the CPU time of each event on standard error")
	flag.Parse()
	match, err := regexp.Compile(*rows)
	if err != nil {
		return err
	}
	if *list {
		for _, r := range table() {
			fmt.Println(r.name)
		}
		return nil
	}
	e := env{rounds: 7, window: time.Second, events: 10_000_000, many: 1_000_000}
	if *quick {
		e = env{rounds: 3, window: time.Second / 2, events: 300_000, many: 100_000}
	}
	if *events > 0 {
		e.events = *events
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if e.dir, err = os.MkdirTemp(*dir, "annals-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(e.dir)
	return print(e, match)
}

func print(e env, match *regexp.Regexp) error {
	fmt.Printf("%s, %s/%s, %d CPUs, %s, %s\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), processor(), time.Now().UTC().Format("2006-01-02 15:04Z"))
	fmt.Println("| what | aim | ours | yardstick | ratio | |")
	fmt.Println("| --- | --- | ---: | ---: | ---: | --- |")
	var failed error
	for _, r := range table() {
		if !match.MatchString(r.name) {
			continue
		}
		debug.FreeOSMemory()
		res, err := r.run(e)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", r.name, err))
			fmt.Printf("| %s | %s | failed | | | ✗ |\n", r.name, r.aim)
			continue
		}
		mark := "✓"
		if !res.met {
			mark = "short"
		}
		fmt.Printf("| %s | %s | %s | %s | %s | %s |\n", r.name, r.aim, res.ours, res.base, res.ratio, mark)
	}
	fmt.Print(footnotes)
	return failed
}

// scratch returns a new directory of e and what removes it.
func (e env) scratch(name string) (string, func()) {
	dir, err := os.MkdirTemp(e.dir, name+"-")
	if err != nil {
		return filepath.Join(e.dir, name), func() {} // opening a store there says why
	}
	return dir, func() { os.RemoveAll(dir) }
}

func processor() string {
	out, err := exec.Command("sh", "-c", "grep -m1 'model name' /proc/cpuinfo | cut -d: -f2").Output()
	if err != nil || len(out) == 0 {
		return "CPU unknown"
	}
	return strings.TrimSpace(string(out))
}

const footnotes = `
- raw: one file zeroed beforehand, one goroutine that takes all requests waiting, writes them with one pwrite, fdatasyncs and wakes the
  callers; the same number of writers, each of which makes its events and encodes them for itself; no checksum, no index, no conditions.
- An encoded event is what any log must keep of it, in the plainest binary form: ID (16 bytes), time (8), occurred time where given (8), and
  stream, type, tags, metadata and data behind their lengths. No position, version, checksum or index.
- Decoding from one buffer is turning that form into records that share the buffer; 16 streams are read in turn. Decoding payloads is what the
  JSON codec does to the 1,000 events. Files are in the page cache; the store may keep decoded records of streams that are read again and again,
  which it does for one entity and has no room for with 50. Payloads are decoded and folded each time.
- Reading and checksumming is pread of the log's own segment files in 1 MiB pieces with a CRC32C for every 137 bytes, an encoded event.
- Anonymous memory is the most that RssAnon was of a process that does nothing else; a large log is filled in batches of 1,000 by 4 writers.
- A crash is a process that is killed while 64 writers append; the page cache survives it.
- By hand is one SQLite table of events with unique IDs and versions, each append a statement and so a transaction of its own, prepared, on one
  connection of the same driver in WAL mode with synchronous = FULL, and nothing else: no tags, no hashes, no conditions.
- A channel hand-off is a goroutine that is told the position when the append is acknowledged and reads that record. The upserts by hand are of
  decoded events in memory, through database/sql, 1,000 a transaction.
- An INSERT each is a table by hand with unique IDs and versions, a prepared statement and so a transaction for each event, over 64 connections
  to the same PostgreSQL server, started by the run with its default durability; pgstore has 8. PostgreSQL runs on the same CPUs.
- Replication to nowhere is pg_recvlogical that writes to the null device, of the same publication, with pgbench (TPC-B-like, 4 clients, scale 2), the
  server and capture on the same cores. Captured is until everything is in a file store, synced. The source's rate is compared with a database
  that has neither triggers nor publication.
- Plain publishing is JetStream's own client publishing the encoded events one by one, each acknowledged before the writer's next, on one connection
  to the same three servers (sync_interval: always) and a stream of three replicas. Nodes of the log and writers share one process, servers another.
- Texts: server and editors are one process and speak over WebSockets on loopback; positions are code points. A replay opens the same text without
  snapshots, from its first event. Each of the 50 editors is told to type at times of its own, whatever the server does.
- An encoded event is 137 bytes here, 72 of them its JSON; the logs have 1,000 streams.
`
