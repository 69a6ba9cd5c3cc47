package annalstest

import (
	"sync"
	"time"
)

// Start is the time at which a clock and a scenario begin unless told otherwise.
var Start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// Clock is a clock that stands still until it is set or advanced. Its Now is
// what the options of annals.New and of stores take. It may be used by any
// number of goroutines. The zero Clock stands at the zero time.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at now.
func NewClock(now time.Time) *Clock { return &Clock{now: now} }

// Now returns the time of the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Set puts the clock to now, forwards or back.
func (c *Clock) Set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// Advance puts the clock forward by d.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
