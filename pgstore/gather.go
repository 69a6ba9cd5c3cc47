package pgstore

import (
	"context"
	"runtime"
	"sync"

	"github.com/annals-db/annals/driver"
)

// The most that is asked in one statement, and how many are under way at once.
const (
	gatherKeys    = 256
	gatherRunners = 2
)

// gather answers questions that are asked at the same time by one statement:
// what is asked while others are under way is asked together next. A question
// is put to the server after it was asked, so its answer is never older.
type gather[K, V any] struct {
	ask func(ctx context.Context, keys []K) ([]V, error)

	mu      sync.Mutex
	waiting []*question[K, V]
	runners int
}

type question[K, V any] struct {
	key    K
	done   chan struct{}
	answer V
	err    error
}

// do asks for the answer to key.
func (g *gather[K, V]) do(ctx context.Context, s *Store, key K) (answer V, err error) {
	if err := s.usable(ctx); err != nil {
		return answer, err
	}
	q := &question[K, V]{key: key, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, q)
	if g.runners < gatherRunners {
		if !s.spawn(func() { g.run(s) }) {
			g.mu.Unlock()
			return answer, driver.ErrClosed
		}
		g.runners++
	}
	g.mu.Unlock()
	select {
	case <-q.done:
		return q.answer, q.err
	case <-ctx.Done():
		return answer, ctx.Err()
	}
}

// run asks until nothing waits.
func (g *gather[K, V]) run(s *Store) {
	for {
		g.mu.Lock()
		n := min(len(g.waiting), gatherKeys)
		if n == 0 {
			g.runners--
			g.mu.Unlock()
			return
		}
		questions := g.waiting[:n:n]
		g.waiting = g.waiting[n:]
		g.mu.Unlock()
		keys := make([]K, n)
		for i, q := range questions {
			keys[i] = q.key
		}
		answers, err := g.ask(s.closing, keys)
		for i, q := range questions {
			if q.err = err; err == nil {
				q.answer = answers[i]
			} else if s.closed.Load() {
				q.err = driver.ErrClosed
			}
			close(q.done)
		}
		runtime.Gosched() // those who were answered may ask again with those who wait
	}
}

// spawn runs f in a goroutine that Close waits for, unless it has begun.
func (s *Store) spawn(f func()) bool {
	s.heads.mu.Lock()
	defer s.heads.mu.Unlock()
	if s.closing.Err() != nil {
		return false
	}
	s.done.Go(f)
	return true
}
