package load_test

import (
	"context"
	"testing"
	"time"

	"github.com/annals-db/annals/internal/load"
	"github.com/annals-db/annals/memstore"
)

func TestRun(t *testing.T) {
	log := memstore.New(nil)
	r, err := load.Run(context.Background(), log, load.Options{Writers: 4, Batch: 3, Duration: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	info, _ := log.Info(context.Background())
	if r.Events == 0 || int(info.Head) != r.Events || r.Scanned != r.Events || r.Appends*3 != r.Events || r.P50 > r.P99 || r.P99 > r.Max || r.Durability != "memory" {
		t.Errorf("got %+v with %d in the log", r, info.Head)
	}
	t.Run("fails as the log does", func(t *testing.T) {
		_ = log.Close()
		if _, err := load.Run(context.Background(), log, load.Options{Duration: time.Millisecond}); err == nil {
			t.Error("a closed log took appends")
		}
	})
}
