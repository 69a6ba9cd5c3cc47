package pgstore

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annals-db/annals/driver"
)

// write takes what is queued and appends it, group by group: what comes while a
// group is being made durable becomes the next one. It ends when the queue is
// closed and empty.
func (s *Store) write() {
	var requests []*request
	for {
		more := s.queue.take(len(requests) == 0)
		requests = append(requests, more...)
		if len(requests) == 0 {
			return
		}
		g := newGroup()
		n := 0
		for ; n < len(requests); n++ {
			r := requests[n]
			if r.state.Load() == withdrawn {
				continue
			}
			if !g.fits(r) {
				break
			}
			if r.state.CompareAndSwap(waiting, taken) {
				g.add(r)
			}
		}
		requests = requests[n:]
		if len(g.requests) > 0 {
			s.commit(g)
			runtime.Gosched() // those who were answered may join those who wait
		}
	}
}

// commit appends a group and answers its requests.
func (s *Store) commit(g *group) {
	if s.hooked() {
		s.commitInline(g)
		return
	}
	v, err := s.appendGroup(g)
	if err != nil {
		for _, r := range g.requests {
			r.answer(driver.Receipt{}, err)
		}
		return
	}
	s.heads.grown(s, v.head())
	for b, r := range g.requests {
		s.deliver(r, v, b)
	}
}

// appendGroup sends a group, and returns the verdict when it is durable.
func (s *Store) appendGroup(g *group) (*verdict, error) {
	conn, err := s.pool.Acquire(s.closing)
	if err != nil {
		return nil, wrap("append", unavailable(err))
	}
	defer conn.Release()
	v := &verdict{}
	args := append([]any{s.mode, false, s.now()}, g.args()...)
	if err := v.scan(conn.QueryRow(s.closing, s.sql.append, args...)); err != nil {
		return nil, outcome(err)
	}
	v.words = s.durable(v.durability)
	return v, nil
}

// unavailable marks an error of getting a connection.
func unavailable(err error) error {
	if errors.Is(err, driver.ErrUnavailable) {
		return err
	}
	if kindOf(err) == nil {
		return fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
	}
	return err
}

// outcome says what an error of a statement that appends means: an answer of
// the server is certain, a connection that broke behind what was sent is not.
func outcome(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && !fatal(pg) {
		return wrap("append", err)
	}
	if pgconn.SafeToRetry(err) {
		return wrap("append", unavailable(err))
	}
	return fmt.Errorf("append: %w: %w", driver.ErrOutcomeUnknown, err)
}

// now returns the store's own time, nil where the server's is taken.
func (s *Store) now() *int64 {
	if s.opts.Clock == nil {
		return nil
	}
	return new(s.opts.Clock().UnixNano())
}

// verdict is what the function append answers.
type verdict struct {
	status, which     []int32
	at, heads         []int64
	positions         []*int64
	versions, times   []int64
	durability, words string
}

func (v *verdict) scan(row pgx.Row) error {
	return row.Scan(&v.status, &v.which, &v.at, &v.heads, &v.positions, &v.versions, &v.times, &v.durability)
}

// head returns the position that the log now ends at, as far as the verdict says.
func (v *verdict) head() driver.Position {
	for i := len(v.positions) - 1; i >= 0; i-- {
		if p := v.positions[i]; p != nil {
			return driver.Position(*p)
		}
	}
	return 0
}

// The statuses of a batch.
const (
	statusAppended = iota
	statusKnown
	statusConflict
	statusPosition
	statusTime
)

// deliver answers the request of batch b.
func (s *Store) deliver(r *request, v *verdict, b int) {
	if v.status[b] == statusKnown {
		r.known = true
	}
	r.answer(v.receipt(r, b))
}

// receipt returns what batch b of the verdict means for its request.
func (v *verdict) receipt(r *request, b int) (driver.Receipt, error) {
	if v.status[b] != statusAppended {
		return driver.Receipt{}, v.refusal(r, b)
	}
	n := len(r.batch.Events)
	versions := make([]uint64, n)
	for i := range versions {
		versions[i] = uint64(v.versions[r.first+i])
	}
	first := driver.Position(*v.positions[r.first])
	return driver.Receipt{First: first, Last: first + driver.Position(n) - 1, Time: nanoseconds(v.times[b]), Versions: versions, Durability: v.words}, nil
}

// refusal returns why batch b was not appended.
func (v *verdict) refusal(r *request, b int) error {
	return refusalOf(v.status[b], int(v.which[b])-1-r.condition, v.at[b], v.heads[b], r.batch.Conditions)
}

func refusalOf(status int32, index int, at, head int64, conditions []driver.Condition) error {
	switch status {
	case statusConflict:
		c := cloneCondition(conditions[index])
		e := &driver.ConflictError{Condition: c, Index: index, Head: driver.Position(head)}
		if c.Kind == driver.NoneAfterKind {
			e.Position = driver.Position(at)
			e.Head = max(e.Head, e.Position)
		} else {
			e.Version = uint64(at)
		}
		return e
	case statusPosition:
		return &driver.PositionError{What: fmt.Sprintf("position %d", conditions[index].After), Head: driver.Position(head)}
	case statusTime:
		return &driver.InvalidError{Index: -1, Field: "time", Reason: fmt.Sprintf("it is before the log's head, %s", nanoseconds(at))}
	}
	return nil
}
