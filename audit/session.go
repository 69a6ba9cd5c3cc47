package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/annals-db/annals/driver"
)

// counts are kept over all sessions of a Capture.
type counts struct{ appends, transactions, events atomic.Uint64 }

// session is capture over one connection. All but chain's answers happens on one goroutine.
type session struct {
	o      *Options
	url    string
	log    driver.Log
	counts *counts

	conn *pgconn.PgConn // of the stream of changes
	sql  *pgx.Conn      // to look things up

	state   *state
	chain   *chain
	rows    *rows
	tx      *transaction // the one that is being received, nil between them
	skipped bool         // it is in the log already
	resent  resent

	relations map[uint32]*table                     // by the number in messages; nil: it is not captured
	pending   map[uint32]*pglogrepl.RelationMessage // described by the stream, and not used yet
	types     map[typeKey]string
	guarded   atomic.Bool // only set-up's own functions can send messages
	triggered bool        // changes of schema are told by an event trigger

	unnamed    map[uint32]*unnamedError              // tables that have no key, and will have one
	heard      map[uint32]*pglogrepl.RelationMessage // described by the stream last
	joining    []joining
	looked     time.Time     // when tables that were published were looked for
	passedOver map[Name]bool // published tables that cannot be captured

	reread   *reread
	received pglogrepl.LSN // everything before was received
	beside   driver.State  // the small state beside the log, nil if there is none
	status   status
}

type typeKey struct {
	oid      uint32
	modifier int32
}

// start begins to append.
func (s *session) start(fail context.CancelCauseFunc) {
	s.chain = newChain(s.log, s.limits(), s.state, fail)
	s.rows = &rows{log: s.log, settle: s.chain.wait, tableAt: s.state.lineage.at,
		skip: func(group string) bool { return s.state.abandoned[group] }}
	// What is not yet in the log must be in the younger half of the cache.
	s.rows.max = max(s.o.CacheBytes, 4*s.chain.limits.BatchBytes)
	if st, ok := s.log.(driver.Stater); ok {
		s.beside = st.State()
	}
	s.relations, s.pending, s.types = map[uint32]*table{}, map[uint32]*pglogrepl.RelationMessage{}, map[typeKey]string{}
	s.unnamed = map[uint32]*unnamedError{}
	s.heard, s.passedOver = map[uint32]*pglogrepl.RelationMessage{}, map[Name]bool{}
}

func (s *session) limits() driver.Limits {
	info, err := s.log.Info(context.Background())
	if err != nil {
		return driver.DefaultLimits // the append says what is wrong
	}
	return info.Limits
}

func (s *session) close() {
	if s.reread != nil {
		s.reread.close()
	}
	if s.chain != nil {
		s.chain.close()
	}
	if s.conn != nil {
		shut(s.conn)
	}
	if s.sql != nil {
		shut(s.sql)
	}
}

// run takes the first snapshot if need be, and follows the stream of changes.
func (s *session) run(ctx context.Context) error {
	s.status.begin(s)
	defer s.status.end()
	if err := s.settleParts(ctx); err != nil {
		return err
	}
	if !s.state.snapshot {
		if err := s.firstSnapshot(ctx); err != nil {
			return err
		}
	}
	if err := s.checkSlot(ctx); err != nil {
		return err
	}
	if err := s.resent.expect(ctx, s); err != nil {
		return err
	}
	args := []string{"proto_version '1'", "publication_names " + literal(quote(s.o.Publication)), "messages 'true'"}
	err := pglogrepl.StartReplication(ctx, s.conn, quote(s.o.Slot), 0, pglogrepl.StartReplicationOptions{PluginArgs: args})
	if err != nil {
		return slotError(err, s.o.Slot)
	}
	s.status.durable.Store(uint64(s.state.end))
	s.status.snapshot.Store(false)
	if err := s.choose(ctx); err != nil {
		return err
	}
	s.status.captures(s.state)
	return wayOn(s.receive(ctx))
}

// broken names what the server could not send.
func (s *session) broken(err *pgconn.PgError) error {
	if err.Code == "22021" || err.Code == "22P05" {
		return &RefusedError{What: "slot " + s.o.Slot, Reason: "a value has no text form in UTF-8: " + err.Message,
			Mend: "keep such bytes in a column of type bytea, and the database in the encoding UTF8; what is behind this value can be captured by another slot only"}
	}
	return fmt.Errorf("follow slot %q: %w", s.o.Slot, err)
}

func slotError(err error, slot string) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "55006" {
		return fmt.Errorf("%w: %s", errSlotActive, pg.Message)
	}
	return fmt.Errorf("follow slot %q: %w", slot, err)
}

// pulse is how long receive waits before it looks at other things, and haste
// how long while a table is read again.
const (
	pulse = 100 * time.Millisecond
	haste = 2 * time.Millisecond
)

// receive takes the stream of changes.
func (s *session) receive(ctx context.Context) error {
	for {
		wait, cancel := s.pulse(ctx)
		err := s.receiveFor(ctx, wait)
		cancel()
		if errors.Is(err, errUntil) {
			return s.confirm(ctx, true)
		}
		if err != nil {
			return err
		}
	}
}

func (s *session) pulse(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.reread != nil {
		return context.WithTimeout(ctx, haste)
	}
	return context.WithTimeout(ctx, pulse)
}

// errUntil says that everything up to Options.Until is in the log.
var errUntil = errors.New("everything that was asked for is in the log")

// receiveFor takes messages until wait ends.
func (s *session) receiveFor(ctx, wait context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if s.tx == nil && !s.skipped {
			if err := s.joinStep(ctx); err != nil {
				return err
			}
			if err := s.rereadStep(ctx); err != nil {
				return err
			}
			if s.o.Until > 0 && s.confirmable() >= s.o.Until && len(s.state.rereads) == 0 && len(s.joining) == 0 {
				return errUntil
			}
		}
		if err := s.confirm(ctx, false); err != nil {
			return err
		}
		m, err := s.conn.ReceiveMessage(wait)
		if err != nil {
			if wait.Err() != nil && pgconn.Timeout(err) {
				return nil
			}
			return fmt.Errorf("receive changes: %w", err)
		}
		if err := s.message(ctx, m); err != nil {
			return err
		}
	}
}

func (s *session) message(ctx context.Context, m pgproto3.BackendMessage) error {
	switch m := m.(type) {
	case *pgproto3.CopyData:
		if len(m.Data) == 0 {
			return nil
		}
		switch m.Data[0] {
		case pglogrepl.PrimaryKeepaliveMessageByteID:
			k, err := pglogrepl.ParsePrimaryKeepaliveMessage(m.Data[1:])
			if err != nil {
				return err
			}
			s.status.server(k.ServerWALEnd, k.ServerTime)
			if s.tx == nil && !s.skipped {
				s.received = max(s.received, k.ServerWALEnd)
			}
			if k.ReplyRequested {
				return s.confirm(ctx, true)
			}
			return nil
		case pglogrepl.XLogDataByteID:
			x, err := pglogrepl.ParseXLogData(m.Data[1:])
			if err != nil {
				return err
			}
			s.status.server(x.ServerWALEnd, x.ServerTime)
			return s.change(ctx, x.WALData)
		}
	case *pgproto3.ErrorResponse:
		return s.broken(pgconn.ErrorResponseToPgError(m))
	case *pgproto3.CopyDone:
		return fmt.Errorf("follow slot %q: %w: the server ended the stream", s.o.Slot, errSlotActive)
	}
	return nil
}

// confirmable is up to where the server need not keep its log: what is in the
// log, or what was received if all that is in the log too.
func (s *session) confirmable() pglogrepl.LSN {
	durable := pglogrepl.LSN(s.chain.durable.Load())
	if durable >= s.chain.handed && s.tx == nil && !s.skipped {
		return max(durable, s.received)
	}
	return durable
}

// confirm tells the server how far everything is in the log, when that has moved.
func (s *session) confirm(ctx context.Context, must bool) error {
	lsn := s.confirmable()
	if uint64(lsn) >= s.status.serverLSN.Load() {
		s.status.even.Store(s.status.serverTime.Load())
	}
	since := time.Since(s.status.confirmedAt)
	inLog := lsn <= pglogrepl.LSN(s.chain.durable.Load())
	switch {
	case must, since > time.Second: // nothing new, that the server hears of us
	case lsn > s.status.confirmed && inLog && since > pulse:
	default:
		return nil
	}
	if s.beside != nil && lsn > s.status.confirmed && !inLog {
		// Nothing in the log says that the slot may be this far.
		if _, err := s.beside.Save(ctx, confirmedKey, []byte(lsn.String()), driver.AnyRevision); err != nil {
			return fmt.Errorf("keep up to where the server is told: %w", err)
		}
	}
	s.status.confirmed, s.status.confirmedAt = lsn, time.Now()
	s.status.durable.Store(uint64(lsn))
	err := pglogrepl.SendStandbyStatusUpdate(ctx, s.conn, pglogrepl.StandbyStatusUpdate{WALWritePosition: lsn})
	if err != nil {
		return fmt.Errorf("confirm up to %s: %w", lsn, err)
	}
	return nil
}

// typeName returns what a type is called.
func (s *session) typeName(ctx context.Context, oid uint32, modifier int32) (string, error) {
	k := typeKey{oid, modifier}
	if name, ok := s.types[k]; ok {
		return name, nil
	}
	var name string
	if err := s.sql.QueryRow(ctx, "SELECT format_type($1, $2)", oid, modifier).Scan(&name); err != nil {
		return "", fmt.Errorf("look up type %d: %w", oid, err)
	}
	if !strings.Contains(name, "???") {
		s.types[k] = name
	}
	return name, nil
}
