package projection_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/projection"
)

// bank is a projection in memory that sets an event of 13 aside.
func bank(before func(context.Context) error) *projection.Projection[*int] {
	return projection.New("bank", projection.On(func(ctx context.Context, sum *int, e Moved, _ projection.Envelope) error {
		if e.Quantity == 13 {
			return before(ctx)
		}
		*sum += e.Quantity
		return nil
	}))
}

// Who has taken a request and died is not waited for.
func TestARetryWhoseRunnerHasDied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory(t)
		target := projection.NewMemory[int](db.Log(), nil, nil)
		_, err := bank(nil).Open(t.Context(), db, target, quick)
		must(t, err)
		go func() { // takes the request, answers to a few beats and dies
			for n := 0; n < 3; time.Sleep(10 * time.Second) {
				must(t, target.Keep(t.Context(), func(ctx context.Context, b projection.Book) error {
					asked, err := b.List(ctx, "projection/bank/v1/ask/")
					for _, q := range asked {
						n++
						var v map[string]any
						must(t, json.Unmarshal(q.Value, &v))
						v["taken"], v["beat"] = true, n
						text, err := json.Marshal(v)
						must(t, err)
						must(t, b.Save(ctx, q.Key, text))
					}
					return err
				}))
			}
		}()
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err = projection.NewControl(db.Log(), target).Retry(ctx, "bank", "", "", false)
		if err == nil || !strings.Contains(err.Error(), "was not heard of for 30s") {
			t.Fatalf("it has answered: %v", err)
		}
		if waited := time.Since(began); waited < 50*time.Second || waited > 2*time.Minute {
			t.Fatalf("it was waited for for %s", waited)
		}
	})
}

// A retry that takes long is kept alive, and waited for.
func TestARetryThatTakesLong(t *testing.T) {
	db := memory(t)
	_, target := targets[1].open(t)
	var mended atomic.Bool
	alive := make(chan struct{})
	p := stock("v1", 1, func(Moved) error {
		if !mended.Load() {
			return errors.New("unlucky")
		}
		<-alive
		return nil
	})
	last := move(t, db, "a", 1)
	r := start(t, p, db, target, with(func(o *projection.Options) { o.OnError = projection.DeadLetter }))
	must(t, r.Wait(patient(t), last))
	mended.Store(true)
	go func() {
		defer close(alive)
		eventually(t, "it is kept alive", func() (beat bool) {
			must(t, target.Keep(t.Context(), func(ctx context.Context, b projection.Book) error {
				asked, err := b.List(ctx, "projection/stock/v1/ask/")
				beat = len(asked) > 0 && strings.Contains(string(asked[0].Value), `"beat":2`)
				return err
			}))
			return beat
		})
	}()
	got, err := projection.NewControl(db.Log(), target).Retry(patient(t), "stock", "", "", false)
	must(t, err)
	equal(t, "done", got.Done, 1)
}

// A runner that ends in the middle of a retry says so.
func TestARetryWhoseRunnerIsEnded(t *testing.T) {
	db := memory(t)
	var mended atomic.Bool
	retrying := make(chan struct{})
	p := bank(func(ctx context.Context) error {
		if !mended.Load() {
			return errors.New("unlucky")
		}
		close(retrying)
		<-ctx.Done()
		return ctx.Err()
	})
	last := move(t, db, "a", 13)
	target := projection.NewMemory[int](db.Log(), nil, nil)
	r := start(t, p, db, target, with(func(o *projection.Options) { o.OnError = projection.DeadLetter }))
	must(t, r.Wait(patient(t), last))
	mended.Store(true)
	go func() {
		<-retrying
		_ = r.stop()
	}()
	_, err := projection.NewControl(db.Log(), target).Retry(patient(t), "bank", "", "", false)
	if err == nil || !strings.Contains(err.Error(), "was ended before all was tried") {
		t.Fatalf("it has answered: %v", err)
	}
}

// A version that is dropped or retired is not waited for.
func TestARetryOfAVersionThatGoes(t *testing.T) {
	db := memory(t)
	_, target := targets[0].open(t)
	_, err := stock("v1", 1, nil).Open(t.Context(), db, target, quick)
	must(t, err)
	_, err = stock("v2", 1, nil).Open(t.Context(), db, target, quick)
	must(t, err)
	control := projection.NewControl(db.Log(), target)
	done := make(chan error, 1)
	retry := func(version string) {
		go func() {
			_, err := control.Retry(patient(t), "stock", version, "", false)
			done <- err
		}()
		eventually(t, "it is asked for", func() (asked bool) {
			must(t, target.Keep(t.Context(), func(ctx context.Context, b projection.Book) error {
				all, err := b.List(ctx, "projection/stock/"+version+"/ask/")
				asked = len(all) > 0
				return err
			}))
			return asked
		})
	}
	retry("v1")
	must(t, control.Switch(patient(t), "stock", "v2"))
	if err := <-done; err == nil || !strings.Contains(err.Error(), "version v1 is retired") {
		t.Fatalf("it has answered: %v", err)
	}
	must(t, control.Revive(t.Context(), "stock", "v1"))
	retry("v1")
	must(t, control.Drop(t.Context(), "stock", "v1"))
	if err := <-done; !errors.Is(err, annals.ErrNotFound) {
		t.Fatalf("it has answered: %v", err)
	}
}
