package audit

import (
	"log/slog"
	"time"

	"github.com/jackc/pglogrepl"
)

// Options are what [Capture] may be told.
type Options struct {
	// Slot is the name of the replication slot. Defaults to "annals".
	Slot string
	// Publication is the name of the publication, whose tables are captured.
	// Defaults to "annals".
	Publication string
	// Status is told how far capture is, every StatusInterval. It must not
	// block for long. Defaults to nobody.
	Status func(Status)
	// StatusInterval is how often. Defaults to 5 s.
	StatusInterval time.Duration
	// WarnBytes is how much log of its own the server may have to keep for the
	// slot before [Status].Warning says so. Defaults to 1 GiB.
	WarnBytes int64
	// CacheBytes is the memory for rows of late, which are asked for where the
	// replica identity is not full. Defaults to 64 MiB.
	CacheBytes int
	// ChunkRows is how many rows of a table are read again at once. Defaults to 1000.
	ChunkRows int
	// LeaveOut are tables that the trail goes on without, from where it stands
	// and until they are taken in again: so that one whose changes cannot be captured does not hold up the
	// others. It is recorded, with Why. Defaults to none.
	LeaveOut []Name
	// TakeIn are tables of the publication that were left out and are captured
	// again: they are read as they are when capture has come to where the
	// server was when it began. Defaults to none. Tables that are published later, and never
	// were left out, are taken in by themselves.
	TakeIn []Name
	// Why is the reason that is recorded for LeaveOut. Defaults to none.
	Why string
	// Once makes Capture return at the first error of a connection rather
	// than connect again. Defaults to false.
	Once bool
	// Until makes Capture return nil once everything up to this LSN is in the
	// log. Defaults to 0, never.
	Until pglogrepl.LSN
	// CatchUp makes Capture return nil once everything that was committed when
	// it began is in the log. Defaults to false.
	CatchUp bool
	// Logger is told what happens. Defaults to silence.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Slot == "" {
		out.Slot = "annals"
	}
	if out.Publication == "" {
		out.Publication = "annals"
	}
	if out.Status == nil {
		out.Status = func(Status) {}
	}
	if out.StatusInterval <= 0 {
		out.StatusInterval = 5 * time.Second
	}
	if out.WarnBytes <= 0 {
		out.WarnBytes = 1 << 30
	}
	if out.CacheBytes <= 0 {
		out.CacheBytes = 64 << 20
	}
	if out.ChunkRows <= 0 {
		out.ChunkRows = 1000
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out
}

// Status is how far capture is.
type Status struct {
	Phase        string        `json:"phase"`        // "snapshot" or "following"
	LSN          pglogrepl.LSN `json:"lsn"`          // up to where everything is in the log
	ServerLSN    pglogrepl.LSN `json:"server_lsn"`   // where the server is
	LagBytes     int64         `json:"lag_bytes"`    // from one to the other; 0 in the phase "snapshot"
	Lag          time.Duration `json:"lag"`          // how long there has been more than what is in the log
	Transactions uint64        `json:"transactions"` // captured since Capture began
	Events       uint64        `json:"events"`       // likewise, of rows and tables
	// KeptBytes is what the server has to keep of its log for the slot, -1 if not known.
	KeptBytes int64  `json:"kept_bytes"`
	Warning   string `json:"warning,omitempty"` // what has to be done before the disk is full or the slot lost
}
