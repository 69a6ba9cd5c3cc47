package audit

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/annals-db/annals/driver"
)

// mark is the data of an event of the capture. One ends each append.
type mark struct {
	System   string `json:"system"` // the server's system identifier
	Timeline int32  `json:"timeline"`
	LSN      string `json:"lsn"` // up to where the stream of changes is in the log: where the transaction's commit record begins

	End string `json:"end,omitempty"` // where its commit record ends

	Xid       uint32    `json:"xid,omitempty"`
	Committed time.Time `json:"committed,omitzero"` // by the server's clock
	// AsOf is Committed, or that of the transaction before if it is later: the
	// order of commits is that of LSNs, and clocks may differ from it a little.
	AsOf   time.Time `json:"as_of,omitzero"`
	Events int       `json:"events,omitempty"` // of rows and tables, of the whole transaction
	Who    *Who      `json:"who,omitempty"`

	Group string          `json:"group,omitempty"` // of parts: what they are parts of
	First driver.Position `json:"first,omitempty"` // of the end of parts: the first event of the first

	Database    string   `json:"database,omitempty"`
	Slot        string   `json:"slot,omitempty"`
	Publication string   `json:"publication,omitempty"`
	Tables      []string `json:"tables,omitempty"`
	Table       string   `json:"table,omitempty"`
	Reason      string   `json:"reason,omitempty"`
}

// Who says who made a transaction, and who says so. What is claimed could be
// said by anyone who may write to the database; for what is vouched for the server stands.
type Who struct {
	Claimed Claimed `json:"claimed,omitzero"`
	Vouched Vouched `json:"vouched,omitzero"`
	// Unproven is what would be vouched for if not everybody were allowed
	// to send messages like those of the statement trigger: see [Check].
	Unproven Vouched `json:"unproven,omitzero"`
}

// Claimed is what the application says.
type Claimed struct {
	Actor       string `json:"actor,omitempty"`       // the first argument of annals.actor
	Reason      string `json:"reason,omitempty"`      // its second
	Application string `json:"application,omitempty"` // application_name
}

// Vouched is what the server knows of the connection.
type Vouched struct {
	User   string `json:"user,omitempty"`   // who logged in
	Role   string `json:"role,omitempty"`   // as whom it acts, by SET ROLE, if another
	Client string `json:"client,omitempty"` // the address it came from, "" for a local socket
	PID    int    `json:"pid,omitempty"`    // of the server process
}

func (m *mark) lsn() (pglogrepl.LSN, error) {
	lsn, err := pglogrepl.ParseLSN(m.LSN)
	if err != nil {
		return 0, fmt.Errorf("LSN %q of the trail: %w", m.LSN, err)
	}
	return lsn, nil
}

// closes reports whether an event of the capture closes what is before it.
func closes(typ string) bool {
	switch typ {
	case transactionPart, snapshotBegun, snapshotPart:
		return false
	}
	return true
}

func readMark(r *driver.Record) (mark, error) {
	var m mark
	if err := json.Unmarshal(r.Data, &m); err != nil {
		return m, fmt.Errorf("event %s at position %d of the trail: %w", r.Type, r.Position, err)
	}
	return m, nil
}
