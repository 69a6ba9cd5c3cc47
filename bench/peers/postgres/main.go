// Command postgres saves events of entities with Annals and with other event
// sourcing libraries for Go, on one PostgreSQL server that it starts, each used
// as its documentation says, and prints the table:
//
//	go run ./postgres          # in bench/peers; needs PostgreSQL's programs
//	go run ./postgres -quick
package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/annals-db/annals/bench/internal/measure"
	"github.com/annals-db/annals/internal/pgserver"
)

// system is a library on a new database.
type system interface {
	// save records one event of the n-th item of a writer and returns when it
	// is committed.
	save(writer, n int) error
	close() error
}

// peer is a library and how to open it.
type peer struct {
	name  string
	order string // what orders its log
	open  func(url string) (system, error)
}

var peers = []peer{
	{"**Annals**, pgstore", "commit, under a lock", openOurs},
	{"hallgren/eventsourcing 0.9.1", "a sequence, with gaps seen out of order", openHallgren},
	{"chronicle 0.5.0", "a sequence, with gaps seen out of order", openChronicle},
}

// perWriter is the items of each writer.
const perWriter = 4

func itemID(writer, n int) string { return fmt.Sprintf("%03d-%02d", writer, n%perWriter) }

func main() {
	quick := flag.Bool("quick", false, "shorter measurements, one round")
	flag.Parse()
	rounds, window := 3, 4*time.Second
	if *quick {
		rounds, window = 1, time.Second
	}
	if err := run(rounds, window); err != nil {
		fmt.Fprintln(os.Stderr, "postgres:", err)
		os.Exit(1)
	}
}

func run(rounds int, window time.Duration) error {
	server, err := pgserver.Start(&pgserver.Options{Settings: map[string]string{"shared_buffers": "256MB", "max_wal_size": "4GB"}})
	if err != nil {
		return err
	}
	defer server.Stop() //nolint:errcheck // its directory is temporary
	writers := []int{1, 64, 512}
	rates := make([][][]float64, len(peers))
	for i := range rates {
		rates[i] = make([][]float64, len(writers))
	}
	for range rounds {
		for i, p := range peers {
			for k, w := range writers {
				r, err := rate(server, p, w, window)
				if err != nil {
					return fmt.Errorf("%s, %d writers: %w", p.name, w, err)
				}
				rates[i][k] = append(rates[i][k], r)
			}
		}
	}
	fmt.Printf("%s, %s/%s, %d CPUs, %s, median of %d rounds\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		time.Now().UTC().Format("2006-01-02 15:04Z"), rounds)
	fmt.Println("| library | its log is ordered by | saves, 1 writer | saves, 64 writers | saves, 512 writers |")
	fmt.Println("| --- | --- | ---: | ---: | ---: |")
	for i, p := range peers {
		fmt.Printf("| %s | %s |", p.name, p.order)
		for k := range writers {
			ours, r := measure.Median(rates[0][k]), measure.Median(rates[i][k])
			fmt.Printf(" %s", measure.PerSecond(r))
			if i > 0 {
				fmt.Printf(" (%.1f×)", ours/r)
			}
			fmt.Print(" |")
		}
		fmt.Println()
	}
	fmt.Print(`
In brackets: how many times as fast Annals is. A save is one event of an entity in one transaction that is flushed to disk. Peers keep the
entity in memory between saves, as they allow, and have 64 connections; Annals loads it in each update, from its cache, and has 8.
`)
	return nil
}

// rate is saves a second on a new database.
func rate(server *pgserver.Server, p peer, writers int, window time.Duration) (float64, error) {
	url, err := server.Create(context.Background())
	if err != nil {
		return 0, err
	}
	s, err := p.open(url)
	if err != nil {
		return 0, err
	}
	defer s.close() //nolint:errcheck // what was measured is committed
	turns := make([]int, writers)
	return measure.Rate(window, writers, func(w int) (int, error) {
		turns[w]++
		return 1, s.save(w, turns[w])
	})
}

func openDB(url string) (*sql.DB, error) {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(64)
	db.SetMaxIdleConns(64)
	return db, nil
}
