package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/annals-db/annals/driver"
)

// transaction gathers the events of one transaction of the database.
type transaction struct {
	s         *session
	lsn, end  pglogrepl.LSN // where its commit record begins and ends
	xid       uint32
	committed time.Time
	who       Who

	events []driver.Event
	bytes  int // of events
	total  int // events with those of parts that are written
	group  string
	first  driver.Position

	described []describedAt   // what this transaction made of tables
	rewritten map[uint32]bool // tables that are being rewritten, by OID
	settled   bool            // the catalog is known to show it
}

// describedAt is a description in a transaction: the event that has it.
type describedAt struct {
	stream string
	table  *table // nil if it was dropped
	event  driver.ID
	at     driver.Position // once it is known
}

func (s *session) begin(lsn pglogrepl.LSN, xid uint32, committed time.Time) *transaction {
	return &transaction{s: s, lsn: lsn, xid: xid, committed: committed, rewritten: map[uint32]bool{}}
}

// room is what metadata and the closing event may need beside the events themselves.
const room = 512

// add adds an event; a full batch becomes a part.
func (t *transaction) add(ctx context.Context, stream, typ string, data []byte) error {
	size := len(stream) + len(typ) + len(data) + room
	limits := t.s.chain.limits
	if len(t.events) > 0 && (len(t.events)+2 > limits.BatchEvents || t.bytes+size+1<<16 > limits.BatchBytes) {
		if err := t.part(ctx); err != nil {
			return err
		}
	}
	t.events = append(t.events, t.s.chain.event(stream, typ, data))
	t.bytes += size
	t.total++
	return nil
}

// part writes what was gathered as a part of the transaction.
func (t *transaction) part(ctx context.Context) error {
	if t.group == "" {
		t.group = fmt.Sprintf("tx-%d-%s-v%d", t.xid, t.lsn, t.s.chain.version)
	}
	m := t.s.state.peek(t.s.state.lsn, time.Time{})
	m.Xid, m.Group = t.xid, t.group
	if err := t.hand(ctx, transactionPart, m, []string{"group:" + t.group}); err != nil {
		return err
	}
	// A large transaction goes part by part, so that memory is bounded and the place of the first is known.
	return t.s.chain.wait(ctx)
}

// commit closes the transaction.
func (t *transaction) commit(ctx context.Context, end pglogrepl.LSN) error {
	t.end = end
	if t.total == 0 {
		return nil // it changed nothing that is captured
	}
	m := t.s.state.next(t.lsn, end, t.committed)
	m.Xid, m.Events, m.Group, m.First = t.xid, t.total, t.group, t.first
	if t.who != (Who{}) {
		m.Who = &t.who
	}
	if err := t.hand(ctx, transactionCommitted, m, t.tags()); err != nil {
		return err
	}
	return t.learn(ctx)
}

// learn takes up what the transaction made of tables, once it is in the log.
func (t *transaction) learn(ctx context.Context) error {
	if len(t.described) == 0 {
		return nil
	}
	if err := t.s.chain.wait(ctx); err != nil {
		return err
	}
	for _, d := range t.described {
		t.s.state.lineage.add(d.stream, d.at, d.table)
		if d.table != nil && d.table.Reread {
			t.s.state.rereads[d.stream] = d.at
		}
	}
	t.s.status.captures(t.s.state)
	return nil
}

// hand appends what was gathered with the event that ends it.
func (t *transaction) hand(ctx context.Context, typ string, m mark, tags []string) error {
	md := t.metadata()
	for i := range t.events {
		t.events[i].Metadata, t.events[i].Occurred = md, t.committed.UTC()
	}
	events := t.events
	t.events, t.bytes = nil, 0
	return t.s.chain.append(ctx, events, typ, m, tags, t.end, func(r driver.Receipt) {
		if t.first == 0 {
			t.first = r.First
		}
		if len(t.described) == 0 {
			return
		}
		for i := range events {
			for j := range t.described {
				if t.described[j].event == events[i].ID {
					t.described[j].at = r.First + driver.Position(i)
				}
			}
		}
	})
}

// metadata is that of every event of the transaction.
func (t *transaction) metadata() driver.Metadata {
	md := make(driver.Metadata, 0, 6)
	add := func(key, value string) {
		if value != "" {
			md = append(md, driver.Pair{Key: key, Value: value})
		}
	}
	add("actor", t.who.Claimed.Actor)
	add("database_user", t.who.Vouched.User)
	add("group", t.group)
	add("lsn", t.lsn.String())
	add("reason", t.who.Claimed.Reason)
	if t.xid != 0 {
		add("xid", strconv.FormatUint(uint64(t.xid), 10))
	}
	return md
}

// tags find the event that closes a transaction.
func (t *transaction) tags() []string {
	tags := []string{"xid:" + strconv.FormatUint(uint64(t.xid), 10)}
	limit := t.s.chain.limits.NameBytes
	add := func(key, value string) {
		if value != "" && len(key)+1+len(value) <= limit {
			tags = append(tags, key+":"+value)
		}
	}
	add("group", t.group)
	add("actor", t.who.Claimed.Actor)
	add("user", t.who.Vouched.User)
	if t.who.Claimed.Reason == "" {
		add("reason", "missing")
	}
	return tags
}

// says takes up what a message says of who makes the transaction.
func (t *transaction) says(prefix string, content []byte) error {
	switch prefix {
	case "annals.actor":
		var a struct{ Actor, Reason *string }
		if err := json.Unmarshal(content, &a); err != nil {
			return t.odd(prefix, err)
		}
		t.who.Claimed.Actor, t.who.Claimed.Reason = text(a.Actor), text(a.Reason)
	case "annals.witness":
		var w struct {
			User, Role, Application, Client *string
			PID                             int
		}
		if err := json.Unmarshal(content, &w); err != nil {
			return t.odd(prefix, err)
		}
		v := Vouched{User: text(w.User), Role: text(w.Role), Client: text(w.Client), PID: w.PID}
		if v.Role == "none" || v.Role == v.User {
			v.Role = ""
		}
		t.who.Claimed.Application = text(w.Application)
		if t.s.guarded.Load() {
			t.who.Vouched = v
		} else {
			t.who.Unproven = v
		}
	}
	return nil
}

// odd notes a message that is not ours though its prefix is: anyone may send one.
func (t *transaction) odd(prefix string, err error) error {
	t.s.o.Logger.Warn("a message is not of its form or not true, and is passed over", "prefix", prefix, "xid", t.xid, "error", err)
	return nil
}

// maxClaim is the most bytes that are kept of what someone says of himself.
const maxClaim = 4096

func text(s *string) string {
	if s == nil {
		return ""
	}
	out := strings.ToValidUTF8(strings.ReplaceAll(*s, "\x00", ""), "\uFFFD")
	if len(out) > maxClaim {
		out = strings.ToValidUTF8(out[:maxClaim], "") + "…"
	}
	return out
}
