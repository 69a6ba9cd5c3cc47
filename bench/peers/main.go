// Command peers does the same work with Annals and with other event sourcing
// libraries for Go, each used as its documentation says, in one run on one
// machine, and prints the table:
//
//	go run .          # needs cgo for the SQLite driver the peers' documentation uses
//	go run . -quick
//
// It is a module of its own, so that nothing of it reaches users of Annals.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/annals-db/annals/bench/internal/measure"
)

// system is a library on a store, with the entities of this benchmark: items
// whose events are quantityDecreased.
type system interface {
	// save records one event of the n-th item of a writer and returns when the
	// library says that it is kept.
	save(writer, n int) error
	// fill gives the item "big" so many events more, 100 in a save.
	fill(events int) error
	// load loads the item "big" from its events, without snapshot or cache,
	// and returns how many it has.
	load() (int, error)
	// readAll reads every event in the order of the log and returns how many
	// there are; errNone if the library cannot.
	readAll() (int, error)
	close() error
}

var errNone = errors.New("the library has no log of all events")

// peer is a library and how to open it on a new store.
type peer struct {
	name       string
	durability string // of what it acknowledges, as it is set up here
	open       func(dir string) (system, error)
}

// writers is the most that save at once; perWriter the items of each.
const (
	writers   = 64
	perWriter = 4
)

// The event, alike for everyone.
const (
	sku    = "laptop-15-inch"
	price  = 129900
	reason = "sold-web"
)

func itemID(writer, n int) string { return fmt.Sprintf("%03d-%02d", writer, n%perWriter) }

func main() {
	quick := flag.Bool("quick", false, "shorter measurements, one round")
	dir := flag.String("dir", "", "where to measure (default: a new directory under the system's temporary one)")
	flag.Parse()
	rounds, window := 3, 2*time.Second
	if *quick {
		rounds, window = 1, 500*time.Millisecond
	}
	if err := run(*dir, rounds, window); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(dir string, rounds int, window time.Duration) error {
	dir, err := os.MkdirTemp(dir, "annals-peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	found := make([]figures, len(peers))
	for range rounds {
		for i, p := range peers {
			if err := found[i].measure(p, dir, window); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	fmt.Printf("%s, %s/%s, %d CPUs, %s, median of %d rounds\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		time.Now().UTC().Format("2006-01-02 15:04Z"), rounds)
	printTable(found)
	return nil
}

func printTable(found []figures) {
	fmt.Println("| library | acknowledged means | saves, 1 writer | saves, 64 writers | load of 1,000 events | reading all in order |")
	fmt.Println("| --- | --- | ---: | ---: | ---: | ---: |")
	ours := &found[0]
	for i, p := range peers {
		f := &found[i]
		fmt.Printf("| %s | %s | %s | %s | %s | %s |\n", p.name, p.durability,
			f.one.cell(measure.PerSecond, ours.one, i), f.many.cell(measure.PerSecond, ours.many, i),
			f.load.cell(measure.Duration, ours.load, i), f.all.cell(measure.PerSecond, ours.all, i))
	}
	fmt.Print(`
In brackets: how many times as fast Annals is. A save is one event of an entity, one append. Peers keep the entity in memory between
saves, as they allow; Annals loads it in each update, from its cache. The event is a small struct of four fields, as JSON.
`)
}
