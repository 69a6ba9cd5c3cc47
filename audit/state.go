package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/annals-db/annals/driver"
)

// state is what the log says of the capture: where it stands and what it knows.
type state struct {
	stream    string          // of the capture, "" in a log without a trail
	version   uint64          // of that stream
	last      driver.Position // of its last event
	started   mark            // who began it
	mark      mark            // the last one
	lsn, end  pglogrepl.LSN   // where the commit record of the last transaction begins and ends
	snapshot  bool            // the first snapshot is complete
	open      string          // the group of parts that were not closed, "" if none
	abandoned map[string]bool // groups that never will be

	tables  map[string]*table          // by stream, as they are now
	out     map[string]*leftOut        // tables that are left out, by stream
	from    map[uint32]pglogrepl.LSN   // from which on tables that were taken in are in the trail, by OID
	rereads map[string]driver.Position // tables that are to be read again, by stream: since when
	lineage lineage
}

// lineage is what tables were, by stream, in order.
type lineage map[string][]tableVersion

type tableVersion struct {
	since driver.Position
	table *table // nil once it was dropped
}

func (l lineage) add(stream string, since driver.Position, t *table) {
	l[stream] = append(l[stream], tableVersion{since, t})
}

// at returns the table as it was at a position, as it first was if that is earlier.
func (l lineage) at(stream string, p driver.Position) *table {
	list := l[stream]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].table != nil && (list[i].since <= p || i == 0) {
			return list[i].table
		}
	}
	return nil
}

// before reports whether there was a table just before a position.
func (l lineage) before(stream string, p driver.Position) bool {
	there := false
	for _, v := range l[stream] {
		if v.since < p {
			there = v.table != nil
		}
	}
	return there
}

// capture selects the events of the capture.
func capture(types ...string) driver.Query {
	return driver.Query{Items: []driver.Item{{Category: captureCategory, Types: types}}}
}

// readState reads the state of the capture in a log.
func readState(ctx context.Context, log driver.Log) (*state, error) {
	s := &state{abandoned: map[string]bool{}, tables: map[string]*table{}, out: map[string]*leftOut{}, from: map[uint32]pglogrepl.LSN{}, rereads: map[string]driver.Position{}, lineage: lineage{}}
	for r, err := range log.Read(ctx, capture(captureStarted), driver.ReadOptions{Limit: 1}) {
		if err != nil {
			return nil, err
		}
		if s.started, err = readMark(&r); err != nil {
			return nil, err
		}
		s.stream = r.Stream
	}
	if s.stream == "" {
		return s, nil
	}
	for r, err := range log.Read(ctx, capture(), driver.ReadOptions{Backward: true, Limit: 1}) {
		if err != nil {
			return nil, err
		}
		if s.mark, err = readMark(&r); err != nil {
			return nil, err
		}
		s.version, s.last = r.Version, r.Position
		if !closes(r.Type) {
			s.open = s.mark.Group
		}
	}
	lsn, err := s.mark.lsn()
	if err != nil {
		return nil, err
	}
	s.lsn, s.end = lsn, lsn
	if s.mark.End != "" {
		if s.end, err = pglogrepl.ParseLSN(s.mark.End); err != nil {
			return nil, fmt.Errorf("LSN %q of the trail: %w", s.mark.End, err)
		}
	}
	if err := s.readMarks(ctx, log); err != nil {
		return nil, err
	}
	return s, s.readTables(ctx, log)
}

// readMarks reads what few events of the capture say.
func (s *state) readMarks(ctx context.Context, log driver.Log) error {
	for r, err := range log.Read(ctx, capture(partsAbandoned, snapshotCompleted), driver.ReadOptions{}) {
		if err != nil {
			return err
		}
		m, err := readMark(&r)
		switch {
		case err != nil:
			return err
		case r.Type == partsAbandoned:
			s.abandoned[m.Group] = true
		default:
			s.snapshot = true
		}
	}
	return nil
}

// readTables reads what the tables are, and which are to be read again.
func (s *state) readTables(ctx context.Context, log driver.Log) error {
	q := driver.Query{Items: []driver.Item{{Types: []string{TableDescribed, SchemaChanged, TableDropped, TableLeftOut}},
		{Category: captureCategory, Types: []string{rereadCompleted}}}}
	for r, err := range log.Read(ctx, q, driver.ReadOptions{}) {
		if err != nil {
			return err
		}
		if group := r.Metadata.Value("group"); group != "" && (s.abandoned[group] || group == s.open) {
			continue
		}
		if r.Type == rereadCompleted {
			m, err := readMark(&r)
			if err != nil {
				return err
			}
			if s.rereads[m.Table] == m.First {
				delete(s.rereads, m.Table)
			}
			continue
		}
		if r.Type == TableDropped || r.Type == TableLeftOut {
			if r.Type == TableLeftOut {
				out := &leftOut{}
				if err := json.Unmarshal(r.Data, out); err != nil {
					return fmt.Errorf("event %s at position %d of the trail: %w", r.Type, r.Position, err)
				}
				s.out[r.Stream] = out
			}
			delete(s.tables, r.Stream)
			delete(s.rereads, r.Stream)
			s.lineage.add(r.Stream, r.Position, nil)
			continue
		}
		t, err := tableOf(&r)
		if err != nil {
			return err
		}
		s.tables[r.Stream] = t
		if r.Type == TableDescribed && t.SeenBy == "catalog" {
			s.takenIn(r.Stream, t.OID)
		}
		s.lineage.add(r.Stream, r.Position, t)
		if t.Reread {
			s.rereads[r.Stream] = r.Position
		}
		if t.From != "" {
			if s.from[t.OID], err = pglogrepl.ParseLSN(t.From); err != nil {
				return fmt.Errorf("LSN %q of the trail: %w", t.From, err)
			}
		}
	}
	return nil
}

// tableOf reads a table from an event that describes it.
func tableOf(r *driver.Record) (*table, error) {
	var d description
	if err := json.Unmarshal(r.Data, &d); err != nil {
		return nil, fmt.Errorf("event %s at position %d of the trail: %w", r.Type, r.Position, err)
	}
	return newTable(d)
}

// next returns a mark that goes on from the last one, to be the last one.
func (s *state) next(lsn, end pglogrepl.LSN, committed time.Time) mark {
	m := s.peek(lsn, committed)
	m.End = end.String()
	s.mark, s.lsn, s.end = m, lsn, end
	return m
}

// peek returns a mark that goes on from the last one.
func (s *state) peek(lsn pglogrepl.LSN, committed time.Time) mark {
	m := mark{System: s.mark.System, Timeline: s.mark.Timeline, LSN: lsn.String(), End: s.mark.End, AsOf: s.mark.AsOf}
	if !committed.IsZero() {
		m.Committed = committed.UTC()
	}
	if committed.After(m.AsOf) {
		m.AsOf = committed.UTC()
	}
	return m
}
