package feed_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/feed"
	"github.com/annals-db/annals/memstore"
)

func batch(stream string, c ...driver.Condition) driver.Batch {
	return driver.Batch{Events: []driver.Event{{ID: uuid.New(), Stream: stream, Type: "T", Data: []byte("1")}}, Conditions: c}
}

// serial is a log without Submit.
type serial struct{ driver.Log }

func TestRun(t *testing.T) {
	for name, wrap := range map[string]func(driver.Log) driver.Log{
		"a submitter": func(l driver.Log) driver.Log { return l },
		"any log":     func(l driver.Log) driver.Log { return serial{l} },
	} {
		ctx := context.Background()
		t.Run(name+"/answers in order what was appended in order", func(t *testing.T) {
			log := wrap(memstore.New(nil))
			var tags []int
			err := feed.Run(ctx, log, &feed.Options{Window: 3}, func(f *feed.Feeder[int]) error {
				for i := range 100 {
					if err := f.Submit(i, batch(fmt.Sprint("s-", i))); err != nil {
						return err
					}
				}
				return nil
			}, func(tag int, r driver.Receipt, err error) error {
				if int(r.First) != tag+1 {
					t.Errorf("%d is at %d", tag, r.First)
				}
				tags = append(tags, tag)
				return err
			})
			if err != nil || len(tags) != 100 || !slices.IsSorted(tags) {
				t.Errorf("got %v, %v", tags, err)
			}
		})
		t.Run(name+"/stops at an error and answers what is under way", func(t *testing.T) {
			log := wrap(memstore.New(nil))
			submitted, answers := 0, 0
			err := feed.Run(ctx, log, &feed.Options{Window: 4}, func(f *feed.Feeder[int]) error {
				for i := range 1000 {
					b := batch("s-1")
					if i == 5 {
						b = batch("s-1", driver.StreamAbsent("s-1"))
					}
					if err := f.Submit(i, b); err != nil {
						return err
					}
					submitted++
				}
				return nil
			}, func(tag int, r driver.Receipt, err error) error {
				answers++
				return err
			})
			var c *driver.ConflictError
			if !errors.As(err, &c) || answers != submitted || submitted == 1000 {
				t.Errorf("got %v after %d answers of %d", err, answers, submitted)
			}
			if info, _ := log.Info(ctx); int(info.Head) != submitted-1 {
				t.Errorf("the log has %d events of %d", info.Head, submitted)
			}
		})
		t.Run(name+"/flushes", func(t *testing.T) {
			answers := 0
			err := feed.Run(ctx, wrap(memstore.New(nil)), nil, func(f *feed.Feeder[int]) error {
				for i := range 50 {
					if err := f.Submit(i, batch("s-1")); err != nil {
						return err
					}
				}
				if err := f.Flush(); err != nil || answers != 50 {
					t.Errorf("flushed after %d answers, %v", answers, err)
				}
				return errors.New("done")
			}, func(int, driver.Receipt, error) error { answers++; return nil })
			if err == nil || err.Error() != "done" {
				t.Errorf("got %v", err)
			}
		})
		t.Run(name+"/takes no more when the context ends", func(t *testing.T) {
			ctx, cancel := context.WithCancel(ctx)
			n := 0
			err := feed.Run(ctx, wrap(memstore.New(nil)), nil, func(f *feed.Feeder[int]) error {
				for i := 0; ; i++ {
					if i == 10 {
						cancel()
					}
					if err := f.Submit(i, batch("s-1")); err != nil {
						return err
					}
				}
			}, func(_ int, _ driver.Receipt, err error) error { n++; return err })
			if err != context.Canceled || n != 10 {
				t.Errorf("got %v after %d", err, n)
			}
		})
	}
}

// slow is a log that answers late, and not at all once its context has ended.
type slow struct{ driver.Log }

func (s slow) Submit(ctx context.Context, b driver.Batch) func() (driver.Receipt, error) {
	r, err := s.Append(ctx, b)
	return func() (driver.Receipt, error) {
		select {
		case <-time.After(20 * time.Millisecond):
			return r, err
		case <-ctx.Done():
			return driver.Receipt{}, driver.ErrOutcomeUnknown
		}
	}
}

func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	answers := 0
	err := feed.Run(ctx, slow{memstore.New(nil)}, nil, func(f *feed.Feeder[int]) error {
		for i := range 3 {
			if err := f.Submit(i, batch("s-1")); err != nil {
				return err
			}
		}
		cancel()
		return f.Submit(3, batch("s-1"))
	}, func(_ int, _ driver.Receipt, err error) error {
		if err == nil {
			answers++
		}
		return err
	})
	if err != context.Canceled || answers != 3 {
		t.Errorf("what was under way was not waited for: %d answers, %v", answers, err)
	}
}

func TestHead(t *testing.T) {
	log := memstore.New(nil)
	at := func(second int64) driver.Batch {
		b := batch("s-1")
		b.Time = time.Unix(second, 0)
		return b
	}
	if _, err := log.Append(context.Background(), at(100)); err != nil {
		t.Fatal(err)
	}
	err := feed.Run(context.Background(), slow{log}, &feed.Options{Head: time.Unix(100, 0)}, func(f *feed.Feeder[int]) error {
		for _, second := range []int64{50, 150} {
			if err := f.Submit(0, at(second)); err != nil {
				return err
			}
		}
		return nil
	}, func(_ int, _ driver.Receipt, err error) error { return err })
	var invalid *driver.InvalidError
	if info, _ := log.Info(context.Background()); !errors.As(err, &invalid) || info.Head != 1 {
		t.Errorf("a batch was appended behind one that was refused for its time: head %d, %v", info.Head, err)
	}
}
