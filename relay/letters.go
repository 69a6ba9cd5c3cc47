package relay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/annals-db/annals/driver"
)

// Letter is a key whose event could not be published, and what waits behind it.
type Letter struct {
	Key       string            `json:"key"`
	Error     string            `json:"error"` // of the first of Positions
	Attempts  int               `json:"attempts"`
	Since     time.Time         `json:"since"`
	Positions []driver.Position `json:"positions"` // the event, then those of the key that wait, in order
}

// Letters are the dead letters of a relay. They lie in the state, and may be
// dealt with in any process that can write it, also while the relay runs.
type Letters struct {
	r      *Relay
	prefix string
}

// Letters returns the relay's dead letters.
func (r *Relay) Letters() *Letters { return &Letters{r, "relay/" + r.name + "/dead/"} }

// All yields the dead letters, in no order that means anything.
func (l *Letters) All(ctx context.Context) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) {
		for key, err := range l.r.state.Keys(ctx, l.prefix) {
			var letter Letter
			if err == nil {
				letter, _, err = l.load(ctx, key)
			}
			if errors.Is(err, driver.ErrNotFound) {
				continue // dealt with meanwhile
			}
			if !yield(letter, err) || err != nil {
				return
			}
		}
	}
}

// Find returns the dead letter of a key, an error that wraps
// [driver.ErrNotFound] if there is none.
func (l *Letters) Find(ctx context.Context, key string) (Letter, error) {
	letter, _, err := l.load(ctx, l.path(key))
	if err != nil {
		return letter, fmt.Errorf("dead letter of key %q: %w", key, err)
	}
	return letter, nil
}

// Retry publishes the events of a dead letter in order, and returns how many it
// could. If one fails again, it and those behind it stay.
func (l *Letters) Retry(ctx context.Context, key string) (int, error) {
	info, err := l.r.log.Info(ctx)
	if err != nil {
		return 0, err
	}
	for done := 0; ; {
		letter, revision, err := l.load(ctx, l.path(key))
		if err != nil {
			return done, fmt.Errorf("dead letter of key %q: %w", key, err)
		}
		n, failed := l.publish(ctx, &letter, info.LogID)
		done += n
		letter.Positions = letter.Positions[n:]
		if failed != nil {
			letter.Error, letter.Attempts = failed.Error(), letter.Attempts+1
		}
		err = l.put(context.WithoutCancel(ctx), letter, revision)
		switch {
		case errors.Is(err, driver.ErrRevision) && failed == nil:
			done -= n // more waits behind it; all is published again, with the same IDs
			continue
		case failed != nil:
			return done, fmt.Errorf("dead letter of key %q: %w", key, failed)
		case err != nil:
			return done, fmt.Errorf("dead letter of key %q: %w", key, err)
		}
		return done, nil
	}
}

// Messages yields what a retry of a key's dead letter would publish.
func (l *Letters) Messages(ctx context.Context, key string) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		letter, err := l.Find(ctx, key)
		if err != nil {
			yield(nil, err)
			return
		}
		info, err := l.r.log.Info(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, p := range letter.Positions {
			for rec, err := range l.r.log.Read(ctx, driver.Query{}, driver.ReadOptions{After: p - 1, UpTo: p}) {
				m := l.r.message(&rec, info.LogID)
				if !yield(&m, err) || err != nil {
					return
				}
			}
		}
	}
}

// publish publishes a letter's events until one fails, and returns how many it did.
func (l *Letters) publish(ctx context.Context, letter *Letter, log driver.ID) (int, error) {
	for n, p := range letter.Positions {
		for rec, err := range l.r.log.Read(ctx, driver.Query{}, driver.ReadOptions{After: p - 1, UpTo: p}) {
			if err == nil {
				err = l.r.call(ctx, []Message{l.r.message(&rec, log)})
			}
			if err != nil {
				return n, fmt.Errorf("position %d: %w", p, err)
			}
		}
	}
	return len(letter.Positions), nil
}

// Drop drops the first event of a dead letter, which is never published then;
// with all also those that wait behind it. What is left is retried, so that the
// key goes on.
func (l *Letters) Drop(ctx context.Context, key string, all bool) error {
	for {
		letter, revision, err := l.load(ctx, l.path(key))
		if err != nil {
			return fmt.Errorf("drop dead letter of key %q: %w", key, err)
		}
		letter.Positions = letter.Positions[1:]
		if all {
			letter.Positions = nil
		}
		err = l.put(ctx, letter, revision)
		if errors.Is(err, driver.ErrRevision) {
			continue // more has come behind it
		}
		if err != nil {
			return fmt.Errorf("drop dead letter of key %q: %w", key, err)
		}
		if len(letter.Positions) == 0 {
			return nil
		}
		_, err = l.Retry(ctx, key)
		return err
	}
}

// add sets a message aside.
func (l *Letters) add(ctx context.Context, m *Message, attempts int, failed error) error {
	letter := Letter{Key: m.Key, Error: failed.Error(), Attempts: attempts, Since: time.Now().UTC(), Positions: []driver.Position{m.Record.Position}}
	for {
		err := l.put(ctx, letter, 0)
		if errors.Is(err, driver.ErrRevision) { // the key has one already
			var still bool
			if still, err = l.wait(ctx, m.Key, letter.Positions); err == nil && !still {
				continue
			}
		}
		if err != nil {
			return fmt.Errorf("set aside position %d: %w", m.Record.Position, err)
		}
		return nil
	}
}

// wait puts positions behind the dead letter of key, those that are not there
// yet, and reports false if there is no dead letter any more.
func (l *Letters) wait(ctx context.Context, key string, positions []driver.Position) (bool, error) {
	for {
		letter, revision, err := l.load(ctx, l.path(key))
		if errors.Is(err, driver.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		before := len(letter.Positions)
		for _, p := range positions {
			// What lies before the first was published before that was refused.
			if at, there := slices.BinarySearch(letter.Positions, p); !there && at > 0 {
				letter.Positions = slices.Insert(letter.Positions, at, p)
			}
		}
		if len(letter.Positions) == before {
			return true, nil
		}
		if err := l.put(ctx, letter, revision); !errors.Is(err, driver.ErrRevision) {
			return true, err
		}
	}
}

func (l *Letters) path(key string) string {
	sum := sha256.Sum256([]byte(key))
	return l.prefix + hex.EncodeToString(sum[:16])
}

func (l *Letters) load(ctx context.Context, path string) (letter Letter, revision uint64, err error) {
	value, revision, err := l.r.state.Load(ctx, path)
	if err == nil {
		err = json.Unmarshal(value, &letter)
	}
	if err == nil && len(letter.Positions) == 0 {
		err = fmt.Errorf("state %q is not a dead letter", path)
	}
	return letter, revision, err
}

// put stores letter in place of revision, or nothing where nothing waits.
func (l *Letters) put(ctx context.Context, letter Letter, revision uint64) error {
	path := l.path(letter.Key)
	if len(letter.Positions) == 0 {
		return l.r.state.Delete(ctx, path, revision)
	}
	value, err := json.Marshal(letter)
	if err != nil {
		return err
	}
	_, err = l.r.state.Save(ctx, path, value, revision)
	return err
}
