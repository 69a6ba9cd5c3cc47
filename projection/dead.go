package projection

import (
	"context"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
)

// Letter is a dead letter: an event set aside, by its position in the log.
type Letter struct {
	Position  annals.Position `json:"position"`
	Partition int             `json:"partition"`
	Key       string          `json:"key"`
	Stream    string          `json:"stream,omitempty"`
	Type      string          `json:"type"`
	// Error is what its handler said last; "" where it only waits behind an
	// earlier one of its key.
	Error    string    `json:"error,omitempty"`
	Attempts int       `json:"attempts"`
	Time     time.Time `json:"time"` // when it was set aside or last tried
}

// parking sets events aside within one transaction.
type parking struct {
	r    *Runner
	b    Book
	keys map[string]int // how many letters a key has
}

// holds reports whether events of key wait.
func (k *parking) holds(ctx context.Context, key string) (bool, error) {
	n, known := k.keys[key]
	if !known {
		count, err := load[int](ctx, k.b.Load, parkedKey(k.r.name, k.r.version, key))
		if err != nil {
			return false, err
		}
		if count != nil {
			n = *count
		}
		k.set(key, n)
	}
	return n > 0, nil
}

func (k *parking) set(key string, n int) {
	if k.keys == nil {
		k.keys = map[string]int{}
	}
	k.keys[key] = n
}

// add sets rec aside; f is nil where it waits behind another.
func (k *parking) add(ctx context.Context, cp *checkpoint, partition int, rec *driver.Record, f *Failure) error {
	key := k.r.key(rec)
	if _, err := k.holds(ctx, key); err != nil {
		return err
	}
	l := Letter{Position: rec.Position, Partition: partition, Key: key, Stream: rec.Stream, Type: rec.Type, Time: now()}
	if f != nil {
		l.Error, l.Attempts = f.Error, f.Attempts
	}
	if err := save(ctx, k.b, letterKey(k.r.name, k.r.version, rec.Position), l); err != nil {
		return err
	}
	cp.Parked++
	k.set(key, k.keys[key]+1)
	return save(ctx, k.b, parkedKey(k.r.name, k.r.version, key), k.keys[key])
}

// remove takes a letter away. The caller has locked the checkpoint cp.
func removeLetter(ctx context.Context, b Book, name, version string, l *Letter, cp *checkpoint) error {
	if err := b.Delete(ctx, letterKey(name, version, l.Position)); err != nil {
		return err
	}
	key := parkedKey(name, version, l.Key)
	count, err := load[int](ctx, b.Load, key)
	if err != nil {
		return err
	}
	if count != nil && *count > 1 {
		err = save(ctx, b, key, *count-1)
	} else {
		err = b.Delete(ctx, key)
	}
	if err != nil {
		return err
	}
	cp.Parked = max(0, cp.Parked-1)
	cp.Updated = now()
	return save(ctx, b, checkpointKey(name, version, l.Partition), cp)
}
