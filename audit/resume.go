package audit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/driver"
)

// open reads where the trail stands and looks whether this is its database.
func (s *session) open(ctx context.Context) error {
	id, err := pglogrepl.IdentifySystem(ctx, s.conn)
	if err != nil {
		return fmt.Errorf("ask the server who it is: %w", err)
	}
	if s.state, err = readState(ctx, s.log); err != nil {
		return fmt.Errorf("read where the trail stands: %w", err)
	}
	if err := s.lookAtSetUp(ctx); err != nil {
		return err
	}
	if s.state.stream == "" {
		s.state.stream = captureCategory + "-" + id.SystemID
		s.state.mark = mark{System: id.SystemID, Timeline: id.Timeline, LSN: "0/0"}
		return nil
	}
	return s.sameDatabase(ctx, id)
}

// sameDatabase returns a *ForkedError if the database is not that of the trail.
func (s *session) sameDatabase(ctx context.Context, id pglogrepl.IdentifySystemResult) error {
	began, last := &s.state.started, &s.state.mark
	switch {
	case id.SystemID != began.System:
		return &ForkedError{fmt.Sprintf("the trail is of the server with system identifier %s, this is %s", began.System, id.SystemID)}
	case id.DBName != began.Database:
		return &ForkedError{fmt.Sprintf("the trail is of database %q, this is %q", began.Database, id.DBName)}
	case s.o.Slot != began.Slot:
		return &RefusedError{What: "slot " + s.o.Slot, Reason: fmt.Sprintf("the trail is kept by slot %s", began.Slot)}
	case id.Timeline < last.Timeline:
		return &ForkedError{fmt.Sprintf("the trail is on timeline %d, and the server is back on %d: it was restored to an earlier time", last.Timeline, id.Timeline)}
	case id.Timeline > last.Timeline:
		if err := s.newTimeline(ctx, id); err != nil {
			return err
		}
	}
	if id.XLogPos < s.state.lsn {
		return &ForkedError{fmt.Sprintf("the trail goes to LSN %s, and the server only to %s: it was restored to an earlier time", s.state.lsn, id.XLogPos)}
	}
	return nil
}

// newTimeline looks whether the server's new timeline left the trail's behind
// the last transaction of the trail, and so has it.
func (s *session) newTimeline(ctx context.Context, id pglogrepl.IdentifySystemResult) error {
	h, err := pglogrepl.TimelineHistory(ctx, s.conn, id.Timeline)
	if err != nil {
		return fmt.Errorf("read the history of timeline %d: %w", id.Timeline, err)
	}
	left, found, err := leftAt(string(h.Content), s.state.mark.Timeline)
	switch {
	case err != nil:
		return err
	case !found:
		return &ForkedError{fmt.Sprintf("timeline %d of the server does not come from timeline %d of the trail", id.Timeline, s.state.mark.Timeline)}
	case left < s.state.lsn:
		return &ForkedError{fmt.Sprintf("the server left timeline %d at LSN %s, before the last transaction of the trail at %s: what is in the trail from there on was lost by the database",
			s.state.mark.Timeline, left, s.state.lsn)}
	}
	s.state.mark.Timeline = id.Timeline
	return nil
}

// leftAt reads from a timeline history file where a timeline was left.
func leftAt(history string, timeline int32) (pglogrepl.LSN, bool, error) {
	for line := range strings.Lines(history) {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		n, err := strconv.ParseInt(fields[0], 10, 32)
		if err != nil {
			return 0, false, fmt.Errorf("timeline history line %q: %w", strings.TrimSpace(line), err)
		}
		if int32(n) == timeline {
			lsn, err := pglogrepl.ParseLSN(fields[1])
			return lsn, true, err
		}
	}
	return 0, false, nil
}

// lookAtSetUp notes what set-up there is.
func (s *session) lookAtSetUp(ctx context.Context) error {
	guarded, err := guarded(ctx, s.sql)
	if err != nil {
		return err
	}
	s.guarded.Store(guarded)
	err = s.sql.QueryRow(ctx, `SELECT count(*) = 3 FROM pg_event_trigger WHERE evtname IN ('annals_ddl', 'annals_drop', 'annals_rewrite') AND evtenabled <> 'D'`).Scan(&s.triggered)
	if err != nil {
		return fmt.Errorf("look for the event triggers: %w", err)
	}
	if !s.triggered {
		s.o.Logger.Warn("there is no event trigger, so that a change of a table's columns is seen only when one of its rows next changes; annals audit init says how to make it")
	}
	return nil
}

// settleParts says of parts that were not closed that they never will be.
func (s *session) settleParts(ctx context.Context) error {
	group := s.state.open
	if group == "" {
		return nil
	}
	m := s.state.peek(s.state.lsn, s.state.mark.Committed)
	m.Group, m.Reason = group, "capture ended before they were complete; they are begun anew"
	if err := s.chain.append(ctx, nil, partsAbandoned, m, []string{"group:" + group}, s.state.lsn, nil); err != nil {
		return err
	}
	s.state.abandoned[group], s.state.open = true, ""
	return s.chain.wait(ctx)
}

// slotState is what the server says of a slot.
type slotState struct {
	exists                     bool
	plugin, database, walState string
	activePID                  int
	confirmed                  pglogrepl.LSN
	kept, safe                 int64 // bytes; -1 where not known
}

func readSlot(ctx context.Context, q queryer, slot string) (st slotState, err error) {
	var confirmed string
	err = q.QueryRow(ctx, `
		SELECT coalesce(plugin, ''), coalesce(database, ''), coalesce(wal_status, ''), coalesce(active_pid, 0), coalesce(confirmed_flush_lsn::text, '0/0'),
		  coalesce(CASE WHEN pg_is_in_recovery() THEN -1 ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) END, -1)::bigint, coalesce(safe_wal_size, -1)
		FROM pg_replication_slots WHERE slot_name = $1`, slot).
		Scan(&st.plugin, &st.database, &st.walState, &st.activePID, &confirmed, &st.kept, &st.safe)
	if errors.Is(err, pgx.ErrNoRows) {
		return slotState{}, nil
	}
	if err != nil {
		return st, fmt.Errorf("look at slot %q: %w", slot, err)
	}
	st.exists = true
	st.confirmed, err = pglogrepl.ParseLSN(confirmed)
	return st, err
}

// checkSlot refuses a slot that cannot go on from where the trail stands.
func (s *session) checkSlot(ctx context.Context) error {
	st, err := readSlot(ctx, s.sql, s.o.Slot)
	if err != nil {
		return err
	}
	what := "slot " + s.o.Slot
	lost := "the changes since the end of the trail are lost to it; keep this trail, drop the slot, and begin another trail in a new store"
	switch {
	case !st.exists:
		return &RefusedError{What: what, Reason: "it is gone from the server, and with it the place to go on from", Mend: lost}
	case st.walState == "lost":
		return &RefusedError{What: what, Reason: "the server has removed log that the slot needed (max_slot_wal_keep_size)", Mend: lost}
	case st.plugin != "pgoutput":
		return &RefusedError{What: what, Reason: fmt.Sprintf("it is of the plugin %q, not pgoutput", st.plugin), Mend: "name another slot"}
	case st.database != s.state.started.Database:
		return &RefusedError{What: what, Reason: fmt.Sprintf("it is of database %q", st.database), Mend: "name another slot"}
	}
	told, known, err := s.lastConfirmed(ctx)
	if err != nil {
		return err
	}
	if known && st.confirmed > max(told, s.state.end) {
		return &RefusedError{What: what, Reason: fmt.Sprintf("someone else has used it: it stands at %s, and the trail confirmed only up to %s", st.confirmed, max(told, s.state.end)), Mend: lost}
	}
	return nil
}

// confirmedKey is where a store with a small state keeps up to where the server
// was told that it need not keep its log, where that is beyond the last transaction.
const confirmedKey = "audit/confirmed"

// lastConfirmed returns what was kept under confirmedKey, and whether the store can keep it.
func (s *session) lastConfirmed(ctx context.Context) (lsn pglogrepl.LSN, known bool, err error) {
	if s.beside == nil {
		return 0, false, nil
	}
	text, _, err := s.beside.Load(ctx, confirmedKey)
	if errors.Is(err, driver.ErrNotFound) {
		return 0, true, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("read up to where the server was told: %w", err)
	}
	lsn, err = pglogrepl.ParseLSN(string(text))
	return lsn, true, err
}
