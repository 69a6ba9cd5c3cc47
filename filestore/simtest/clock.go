package simtest

import (
	"sync"
	"time"
)

// clock is the store's clock: it goes on by microseconds and can be set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(1013 * time.Nanosecond)
	return c.now
}

// coarse is about the time, without moving the clock on, so that who asks
// makes no difference to the others.
func (c *clock) coarse() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now.Truncate(time.Second)
}

func (c *clock) jump(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}
