package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// joining is a table that is going to be captured, once the stream of changes
// has passed the place at which the server was when that was asked for.
type joining struct {
	name Name
	from pglogrepl.LSN
}

// lookEvery is how often capture looks for tables that were published.
const lookEvery = 10 * time.Second

// choose does what the options say of single tables.
func (s *session) choose(ctx context.Context) error {
	for _, name := range s.o.LeaveOut {
		if err := s.leaveOut(ctx, name); err != nil {
			return fmt.Errorf("leave out table %s: %w", name, err)
		}
	}
	for _, name := range s.o.TakeIn {
		if s.state.tables[name.Stream()] != nil {
			continue
		}
		if slices.Contains(s.o.LeaveOut, name) {
			return &RefusedError{What: "table " + name.String(), Reason: "it is to be left out and to be taken in"}
		}
		has, err := published(ctx, s.sql, s.o.Publication)
		if err != nil {
			return err
		}
		if !slices.Contains(has, name) {
			return &RefusedError{What: "table " + name.String(), Reason: "it is not in publication " + s.o.Publication,
				Mend: fmt.Sprintf("ALTER PUBLICATION %s ADD TABLE %s", quote(s.o.Publication), name.SQL())}
		}
		if err := capturable(ctx, s.sql, name); err != nil {
			return err
		}
		if err := s.join(ctx, name); err != nil {
			return err
		}
	}
	return s.lookForTables(ctx)
}

// lookForTables has tables join that were published and are not in the trail.
func (s *session) lookForTables(ctx context.Context) error {
	s.looked = time.Now()
	has, err := published(ctx, s.sql, s.o.Publication)
	if err != nil && !errors.As(err, new(*RefusedError)) {
		return err
	}
	for _, name := range has {
		if s.state.tables[name.Stream()] != nil || s.passedOver[name] ||
			slices.ContainsFunc(s.joining, func(j joining) bool { return j.name == name }) {
			continue
		}
		err := capturable(ctx, s.sql, name)
		if errors.As(err, new(*RefusedError)) {
			s.o.Logger.Warn("a table was published that cannot be captured; its first change will stop the trail", "error", err)
			s.passedOver[name] = true
			continue
		}
		if vanished(err) {
			continue
		}
		if err != nil {
			return err
		}
		d, err := s.describe(ctx, name)
		if vanished(err) {
			continue
		}
		if err != nil {
			return err
		}
		out := s.state.isOut(name, d.OID)
		if out != nil && out.Unpublished {
			whole, err := publishedWhole(ctx, s.sql, s.o.Publication, d.OID)
			if err != nil {
				return err
			}
			if !whole {
				continue
			}
		} else if out != nil {
			s.passedOver[name] = true
			continue
		}
		if err := s.join(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// vanished reports whether an error says that a table is not there any more.
func vanished(err error) bool {
	var pg *pgconn.PgError
	return errors.Is(err, pgx.ErrNoRows) || errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "3F000") // its schema neither
}

func (s *session) join(ctx context.Context, name Name) error {
	from, err := currentLSN(ctx, s.sql)
	if err != nil {
		return err
	}
	s.joining = append(s.joining, joining{name, from})
	return nil
}

// joinStep takes in the tables whose place the stream has passed. It is called between transactions.
func (s *session) joinStep(ctx context.Context) error {
	for len(s.joining) > 0 && s.passed() >= s.joining[0].from {
		name := s.joining[0].name
		s.joining = s.joining[1:]
		if s.state.tables[name.Stream()] != nil {
			continue // a change of it came first
		}
		if err := s.takeIn(ctx, name); err != nil {
			return fmt.Errorf("take in table %s: %w", name, err)
		}
	}
	if time.Since(s.looked) > lookEvery {
		return s.lookForTables(ctx)
	}
	return nil
}

// takeIn begins to capture a table, which is read as it is.
func (s *session) takeIn(ctx context.Context, name Name) error {
	err := capturable(ctx, s.sql, name)
	if errors.As(err, new(*RefusedError)) || vanished(err) {
		return nil // it was changed meanwhile; the stream will tell
	}
	if err != nil {
		return err
	}
	d, err := s.describe(ctx, name)
	if vanished(err) {
		return nil
	}
	if err != nil {
		return err
	}
	d.Reread, d.From = true, s.passed().String()
	return s.decide(ctx, "table "+name.String()+" is captured from here on", func() error {
		if err := s.supersede(ctx, d.OID, name); err != nil {
			return err
		}
		if _, err := s.redescribe(ctx, nil, TableDescribed, d); err != nil {
			return err
		}
		s.state.takenIn(name.Stream(), d.OID)
		if m := s.heard[d.OID]; m != nil {
			s.pending[d.OID] = m // the stream may not describe it again
			s.renamed(d.OID, name)
		}
		delete(s.relations, d.OID)
		return nil
	})
}

// leaveOut ends a table in the trail, though it goes on in the database.
func (s *session) leaveOut(ctx context.Context, name Name) error {
	stream := name.Stream()
	was := s.state.tables[stream]
	if out := s.state.out[stream]; was == nil && out != nil && !out.Unpublished {
		return nil
	}
	out := &leftOut{Schema: name.Schema, Table: name.Table, From: s.state.lsn.String(), Reason: s.o.Why}
	if was != nil {
		out.OID = was.OID
	} else if err := s.sql.QueryRow(ctx, "SELECT coalesce(to_regclass($1)::oid::bigint, 0)", name.SQL()).Scan(&out.OID); err != nil {
		return err
	}
	s.o.Logger.Warn("a table is left out of the trail", "table", name.String(), "from", out.From, "why", out.Reason)
	return s.decide(ctx, s.o.Why, func() error { return s.goes(ctx, name, was, out) })
}

// goes ends a table in the trail, of which was is what the trail has, as part of the transaction.
func (s *session) goes(ctx context.Context, name Name, was *table, out *leftOut) error {
	stream := name.Stream()
	if was != nil {
		if err := s.rowsGone(ctx, was, RowLeftOut); err != nil {
			return err
		}
	}
	if err := s.tx.add(ctx, stream, TableLeftOut, mustJSON(out)); err != nil {
		return err
	}
	s.tx.described = append(s.tx.described, describedAt{stream: stream, event: s.tx.events[len(s.tx.events)-1].ID})
	delete(s.state.tables, stream)
	delete(s.state.rereads, stream)
	s.state.out[stream] = out
	return nil
}

// decide records what was decided of the capture itself, by no transaction of the database.
func (s *session) decide(ctx context.Context, why string, what func() error) error {
	s.tx = s.begin(s.state.lsn, 0, s.state.mark.AsOf)
	s.tx.end = s.state.end
	tx := s.tx
	if err := what(); err != nil {
		return err
	}
	s.tx = nil
	m := s.state.peek(s.state.lsn, s.state.mark.AsOf)
	m.Events, m.Group, m.First, m.Reason = tx.total, tx.group, tx.first, why
	var tags []string
	if tx.group != "" {
		tags = []string{"group:" + tx.group}
	}
	if err := tx.hand(ctx, tablesChosen, m, tags); err != nil {
		return err
	}
	return tx.learn(ctx)
}

// leftOut is the data of TableLeftOut.
type leftOut struct {
	Schema string `json:"schema"`
	Table  string `json:"table"`
	OID    uint32 `json:"oid,omitempty"`
	From   string `json:"from"` // the LSN of the last transaction of which the trail has the table's changes
	Reason string `json:"reason,omitempty"`
	// Unpublished says that nobody decided it: the publication left out the table
	// or some of its changes. It is taken in again once it is published whole.
	Unpublished bool `json:"unpublished,omitempty"`
}

// isOut returns how a table is left out, by its name or under the name it has since; nil if it is not.
func (s *state) isOut(name Name, oid uint32) *leftOut {
	if t := s.tables[name.Stream()]; t != nil && t.OID == oid {
		return nil // it has the name of one that is
	}
	if o := s.out[name.Stream()]; o != nil {
		return o
	}
	for _, o := range s.out {
		if o.OID == oid {
			return o
		}
	}
	return nil
}

// takenIn forgets that a table was left out, under the name it has or had.
func (s *state) takenIn(stream string, oid uint32) {
	delete(s.out, stream)
	for old, o := range s.out {
		if o.OID == oid {
			delete(s.out, old)
		}
	}
}

// ofTable says of an error of which table it is.
func ofTable(err error, name Name) error {
	var refused *RefusedError
	if errors.As(err, &refused) {
		refused.table = name
	}
	return err
}

// wayOn adds to an error of a single table how the trail goes on without it.
func wayOn(err error) error {
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.table == (Name{}) {
		return err
	}
	if refused.Mend != "" {
		refused.Mend += "; or "
	}
	refused.Mend += fmt.Sprintf("go on without it from here: annals audit run --leave-out %s --why …, and once it can be captured --take-in %s",
		shellWord(refused.table.SQL()), shellWord(refused.table.SQL()))
	return err
}

// shellWord writes s for a shell.
func shellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\\''`) + "'" }
