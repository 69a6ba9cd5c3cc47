package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
)

// status tells how far a session is, on a goroutine of its own.
type status struct {
	confirmed   pglogrepl.LSN
	confirmedAt time.Time

	durable    atomic.Uint64 // the LSN confirmed last
	serverLSN  atomic.Uint64
	serverTime atomic.Int64
	committed  atomic.Int64 // when the last transaction received was committed
	even       atomic.Int64 // when everything that the server had was last in the log
	snapshot   atomic.Bool  // the tables are being read for the first time
	tables     atomic.Pointer[[]Name]
	out        atomic.Pointer[[]Name] // tables that are left out

	cancel context.CancelFunc
	ended  chan struct{}
}

func (st *status) server(lsn pglogrepl.LSN, at time.Time) {
	if uint64(lsn) > st.serverLSN.Load() {
		st.serverLSN.Store(uint64(lsn))
	}
	st.serverTime.Store(at.UnixNano())
}

func (st *status) begin(s *session) {
	ctx, cancel := context.WithCancel(context.Background())
	st.cancel, st.ended = cancel, make(chan struct{})
	st.snapshot.Store(!s.state.snapshot)
	st.captures(s.state)
	if !s.state.mark.AsOf.IsZero() {
		st.committed.Store(s.state.mark.AsOf.UnixNano())
	}
	st.durable.Store(uint64(s.state.end))
	go func() {
		defer close(st.ended)
		var conn *pgx.Conn
		defer func() {
			if conn != nil {
				shut(conn)
			}
		}()
		tick := time.NewTicker(s.o.StatusInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if conn == nil || conn.IsClosed() {
				conn, _ = connect(ctx, s.url) // the stream's own connection says what is wrong with the server
			}
			s.o.Status(st.look(ctx, s, conn))
		}
	}()
}

// captures notes which tables are captured.
func (st *status) captures(s *state) {
	list, out := make([]Name, 0, len(s.tables)), make([]Name, 0, len(s.out))
	for _, t := range s.tables {
		list = append(list, t.name)
	}
	for _, t := range s.out {
		if t.Unpublished {
			list = append(list, Name{t.Schema, t.Table})
		} else {
			out = append(out, Name{t.Schema, t.Table})
		}
	}
	sortNames(list)
	sortNames(out)
	st.tables.Store(&list)
	st.out.Store(&out)
}

func (st *status) end() {
	st.cancel()
	<-st.ended
}

// look puts together what is known. conn may be nil.
func (st *status) look(ctx context.Context, s *session, conn *pgx.Conn) Status {
	out := Status{Phase: "following", LSN: pglogrepl.LSN(st.durable.Load()), ServerLSN: pglogrepl.LSN(st.serverLSN.Load()),
		Transactions: s.counts.transactions.Load(), Events: s.counts.events.Load(), KeptBytes: -1}
	if st.snapshot.Load() {
		out.Phase = "snapshot"
	}
	if conn != nil {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		var text string
		var now time.Time
		if conn.QueryRow(ctx, "SELECT pg_current_wal_lsn()::text, clock_timestamp()").Scan(&text, &now) == nil {
			if lsn, err := pglogrepl.ParseLSN(text); err == nil {
				st.server(lsn, now)
				out.ServerLSN = max(out.ServerLSN, lsn)
			}
		}
		if slot, err := readSlot(ctx, conn, s.o.Slot); err == nil {
			out.KeptBytes, out.Warning = slot.kept, slot.warning(s.o.WarnBytes)
		}
		if g, err := guarded(ctx, conn); err == nil {
			s.guarded.Store(g)
		}
		if out.Warning == "" && !st.snapshot.Load() {
			out.Warning = st.unpublished(ctx, conn, s.o.Publication)
		}
	}
	if st.snapshot.Load() {
		return out // there is nothing yet to be behind of
	}
	out.LagBytes = max(0, int64(out.ServerLSN)-int64(out.LSN))
	if at, since := st.serverTime.Load(), max(st.committed.Load(), st.even.Load()); out.LagBytes > 0 && since > 0 {
		out.Lag = max(0, time.Duration(at-since))
	}
	return out
}

// warning says what has to be done before the disk is full or the slot lost, "" if nothing.
func (st *slotState) warning(limit int64) string {
	const mib = 1 << 20
	switch {
	case st.walState == "lost":
		return "the server has removed log that the slot needed: changes are lost"
	case st.walState == "unreserved":
		return "the server is about to remove log that the slot needs (max_slot_wal_keep_size); let capture catch up at once"
	case st.safe >= 0 && st.safe < st.kept/3:
		return fmt.Sprintf("the server keeps %d MiB of its log for the slot, and after %d MiB more the slot is lost (max_slot_wal_keep_size)", st.kept/mib, st.safe/mib)
	case st.kept > limit:
		return fmt.Sprintf("the server keeps %d MiB of its log for the slot; let capture catch up before the server's disk is full, or set max_slot_wal_keep_size", st.kept/mib)
	}
	return ""
}

// unpublished warns of tables of the trail that are not in the publication any
// more, and of those in it that are left out.
func (st *status) unpublished(ctx context.Context, conn *pgx.Conn, publication string) string {
	has, err := published(ctx, conn, publication)
	var refused *RefusedError
	if err != nil && !errors.As(err, &refused) {
		return ""
	}
	for _, t := range *st.tables.Load() {
		if !slices.Contains(has, t) {
			return fmt.Sprintf("table %s is not in publication %s, and its changes are not captured", t, publication)
		}
	}
	for _, t := range *st.out.Load() {
		if slices.Contains(has, t) {
			return fmt.Sprintf("table %s is left out of the trail; --take-in takes it in again", t)
		}
	}
	return ""
}
