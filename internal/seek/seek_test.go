package seek_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/seek"
	"github.com/annals-db/annals/memstore"
)

// plain hides that a log can find positions by itself.
type plain struct{ driver.Log }

func TestAsOf(t *testing.T) {
	ctx := context.Background()
	log := memstore.New(nil)
	for i, second := range []int64{10, 20, 20, 20, 30, 31} {
		_, err := log.Append(ctx, driver.Batch{Time: time.Unix(second, 0), Events: []driver.Event{{ID: uuid.UUID{15: byte(i + 1)}, Stream: "s", Type: "T", Data: []byte("1")}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for second, want := range map[int64]driver.Position{0: 0, 9: 0, 10: 1, 19: 1, 20: 4, 25: 4, 30: 5, 31: 6, 99: 6} {
		for _, l := range []driver.Log{log, plain{log}} {
			if got, err := seek.AsOf(ctx, l, time.Unix(second, 0)); err != nil || got != want {
				t.Errorf("%T: as of second %d: got %d, %v, want %d", l, second, got, err, want)
			}
		}
	}
	if got, err := seek.AsOf(ctx, plain{memstore.New(nil)}, time.Now()); got != 0 || err != nil {
		t.Errorf("an empty log: got %d, %v", got, err)
	}
}
