package simtest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
)

// fileStore is the store under test, with segments so small that a run fills many.
var fileStore = Store{
	Open: func(o Opening) (driver.Log, error) {
		log, err := filestore.Open(o.Dir, &filestore.Options{
			FS:           o.FS,
			Clock:        o.Clock,
			ReadOnly:     o.ReadOnly,
			SegmentBytes: [...]int64{4 << 10, 8 << 10, 20 << 10, 64 << 10}[o.Seed%4],
			CacheBytes:   1 << 20,
		})
		if err != nil {
			return nil, err
		}
		return log, nil
	},
	Backup: func(ctx context.Context, log driver.Log, dir string) (driver.Position, error) {
		r, err := log.(*filestore.Store).Backup(ctx, dir, nil)
		return r.Head, err
	},
	Data:    func(name string) bool { return strings.HasSuffix(name, ".seg") },
	Readers: true,
}

// The file store keeps its promises on a disk that loses power, tears writes,
// fails to sync, lies about syncing, fills up and flips bits. For more seeds:
//
//	go test ./filestore/simtest -run TestSim -timeout 0 -seeds 50000 -from 1
func TestSim(t *testing.T) {
	c := simulate(t, fileStore, *fromFlag, *seedsFlag, Options{Theme: *themeFlag, Trace: *traceFlag})
	c.report(t, "TestSim")
}

// The simulation finds each fault that the engine can be given.
func TestMutants(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(mutants)) {
		t.Run(name, func(t *testing.T) { findMutant(t, name, fileStore) })
	}
}
