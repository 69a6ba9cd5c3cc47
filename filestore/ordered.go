package filestore

import (
	"fmt"

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
	err := w.settle()
	if failed := wait(); failed != nil {
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
