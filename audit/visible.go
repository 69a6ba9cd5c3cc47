package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// settling is how long the server may take to show a transaction that it sent,
// before it is asked whether it waits for this capture.
const settling = 2 * time.Second

// settled waits until the catalog shows what the transaction did, and reports
// whether it does. The server sends a transaction as soon as its commit is on disk, and shows it to
// others a little later; much later where it waits for a synchronous standby
// (src/backend/access/transam/xact.c, RecordTransactionCommit). Where that is this capture, it waits in vain.
func (s *session) settled(ctx context.Context) (bool, error) {
	xid := strconv.FormatUint(uint64(s.tx.xid), 10)
	began, ask := time.Now(), settling
	for wait := time.Millisecond; !s.tx.settled; wait = min(2*wait, pulse) {
		not, err := hidden(ctx, s.sql)
		if err != nil {
			return false, err
		}
		if !not(xid) {
			s.tx.settled = true
			break
		}
		if time.Since(began) > ask {
			ask += time.Minute
			var us bool
			err := s.sql.QueryRow(ctx, "SELECT coalesce(bool_or(sync_state IN ('sync', 'quorum')), false) FROM pg_stat_replication WHERE pid = $1", s.conn.PID()).Scan(&us)
			if err != nil {
				return false, fmt.Errorf("ask the server whether it waits for this capture: %w", err)
			}
			if us {
				s.o.Logger.Warn("the server waits for this capture as for a standby, so that its catalog cannot be looked at as it is after this transaction; leave it out of synchronous_standby_names", "xid", s.tx.xid)
				return false, nil
			}
			s.o.Logger.Warn("a transaction that changes tables is sent, and not visible yet; the server may wait for a standby", "xid", s.tx.xid, "since", time.Since(began).Round(time.Second))
		}
		if err := s.confirm(ctx, false); err != nil {
			return false, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
	return true, nil
}

// hidden returns which of the transactions that are sent q does not show.
func hidden(ctx context.Context, q queryer) (skipper, error) {
	var snapshot string
	if err := q.QueryRow(ctx, "SELECT pg_current_snapshot()::text").Scan(&snapshot); err != nil {
		return nil, fmt.Errorf("ask the server which transactions are visible: %w", err)
	}
	return unseen(snapshot)
}

// visible waits until the server shows transactions.
func visible(ctx context.Context, q queryer, xids map[string]bool) error {
	for {
		not, err := hidden(ctx, q)
		if err != nil || !slices.ContainsFunc(slices.Collect(maps.Keys(xids)), not) {
			return err
		}
		select {
		case <-time.After(pulse):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// writersBefore waits until the transactions that may have written to the table
// by now have ended. What they wrote before the table was published is in no message, and so
// has to be in what is read. The server lets go of locks after a transaction is visible.
func (r *reread) writersBefore(ctx context.Context, conn queryer) error {
	writers := func() (list []string, err error) {
		err = conn.QueryRow(ctx, `SELECT coalesce(array_agg(DISTINCT virtualtransaction), '{}') FROM pg_locks
			WHERE locktype = 'relation' AND relation = $1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND granted AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')`, r.table.OID).Scan(&list)
		return list, err
	}
	before, err := writers()
	for said := false; err == nil && len(before) > 0; {
		if !said {
			r.logger.Info("a table is read when the transactions that write to it now have ended", "table", r.table.name.String(), "transactions", len(before))
			said = true
		}
		select {
		case <-time.After(pulse):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		var now []string
		now, err = writers()
		before = slices.DeleteFunc(before, func(w string) bool { return !slices.Contains(now, w) })
	}
	return err
}
