package filestore

import (
	"fmt"
	"runtime"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/quorum"
)

// commitOrdered is commit where a cluster orders the groups. One that was
// judged here is handed over, and written only when it is in the log for good;
// what the cluster holds need not wait for this disk, so the group before is
// synced meanwhile, still before the next is written.
func (w *writer) commitOrdered() {
	order := w.s.opts.Order
	wait := func() error { return nil }
	judged := len(w.placed) > 0 && w.placed[0].decided == nil
	if judged {
		wait = order.Publish(w.records())
	}
	begun := time.Now()
	err := w.settle()
	failed := wait()
	w.answered, w.ordering = len(w.placed), time.Since(begun)
	if failed != nil {
		err = fmt.Errorf("%w: %w", quorum.ErrNotLeading, failed)
	} else {
		if err == nil {
			err = w.write()
		}
		if err != nil && judged {
			err = fmt.Errorf("%w: it is in the log, and not in this node's copy: %w", quorum.ErrNotLeading, err)
		}
	}
	if err != nil {
		if judged {
			order.Fail()
		}
		w.fail(err)
		return
	}
	w.group++
	w.unsettled, w.reached = true, w.mark()
	w.publish()
	w.finish()
}

// settleAfter is how long the last group waits for a next one to be synced beside.
const settleAfter = 5 * time.Millisecond

// await waits until there may be something in the queue. If nothing comes for a
// while, the last group is synced.
func (w *writer) await() {
	if w.unsettled {
		timer := time.NewTimer(settleAfter)
		defer timer.Stop()
		select {
		case <-w.wake:
			return
		case <-timer.C:
			_ = w.settle() // a failure is in why the store cannot be written
		}
	}
	<-w.wake
}

// gather waits for those who were answered together to come again, for an
// eighth of what a group takes at most. Else the first of them would make a
// group of its own, and the others wait for it.
func (w *writer) gather() {
	if w.ordering == 0 || w.answered < 2 {
		return
	}
	for begun := time.Now(); time.Since(begun) < min(w.ordering/8, time.Millisecond); runtime.Gosched() {
		w.mu.Lock()
		n := len(w.queue)
		w.mu.Unlock()
		if n == 0 || n >= w.answered {
			return
		}
	}
}

// settle makes the last group durable here, and notes so in the mark.
func (w *writer) settle() error {
	if !w.unsettled {
		return nil
	}
	w.unsettled = false
	if err := w.seg.file.Sync(); err != nil {
		w.s.setReadOnly(fmt.Errorf("a sync failed, reopen the store: %w", err))
		return fmt.Errorf("append to %s: %w: %w", w.s.dir, driver.ErrUnavailable, err)
	}
	w.writeMark(w.reached)
	return nil
}

// records returns the records of the group under way.
func (w *writer) records() []driver.Record {
	records := make([]driver.Record, 0, len(w.cur.offsets))
	for _, r := range w.placed {
		for i := range r.batch.Events {
			records = append(records, driver.Record{
				Event:    r.batch.Events[i],
				Position: r.receipt.First + driver.Position(i),
				Version:  r.versions[i],
				Time:     r.receipt.Time,
				Batch:    r.receipt.First,
			})
		}
		records[len(records)-len(r.batch.Events)].Conditions = r.batch.Conditions
	}
	return records
}
