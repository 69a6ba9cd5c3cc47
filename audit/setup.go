package audit

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// setupSQL makes the schema annals and its functions.
//
//go:embed setup.sql
var setupSQL string

// setupVersion is in the comment on the schema, so that an older set-up is noticed.
const setupVersion = "annals audit, set-up 2"

// Setup is what [Check] may be told.
type Setup struct {
	// Slot and Publication are as in [Options]. Default to "annals".
	Slot, Publication string
	// KeyIdentity leaves the tables' replica identity as it is: messages then
	// lack the old values, which are taken from the trail. Defaults to false,
	// REPLICA IDENTITY FULL.
	KeyIdentity bool
	// NoWitness makes no statement triggers, so that the trail has no database
	// user, application and address. Defaults to false.
	NoWitness bool
	// NoEventTrigger makes no event triggers, which only a superuser can.
	// Defaults to false.
	NoEventTrigger bool
}

// Finding is one thing that was looked at.
type Finding struct {
	What   string `json:"what"`
	OK     bool   `json:"ok"`
	Advice bool   `json:"advice,omitempty"` // capture works without it
	Detail string `json:"detail,omitempty"`
	SQL    string `json:"sql,omitempty"`  // what mends it
	Then   string `json:"then,omitempty"` // what has to be done by hand
}

// checker gathers findings.
type checker struct {
	conn     *pgx.Conn
	o        Setup
	tables   []Name
	findings []Finding
	user     string
	super    bool
}

// Check looks whether the database at url can be captured: its settings, the
// user's rights, tables, identities, publication, triggers and slot. Without tables, those of the
// publication are looked at. What is not OK and not Advice must be mended first.
func Check(ctx context.Context, url string, tables []Name, o *Setup) ([]Finding, error) {
	c := &checker{tables: tables}
	if o != nil {
		c.o = *o
	}
	if c.o.Slot == "" {
		c.o.Slot = "annals"
	}
	if c.o.Publication == "" {
		c.o.Publication = "annals"
	}
	conn, err := connect(ctx, url)
	if err != nil {
		return nil, connectError(err)
	}
	defer shut(conn)
	c.conn = conn
	for _, look := range []func(context.Context) error{c.server, c.rights, c.named, c.functions, c.guard, c.eventTriggers, c.publication, c.identities, c.witnesses, c.slot} {
		if err := look(ctx); err != nil {
			return c.findings, err
		}
	}
	return c.findings, nil
}

// Missing returns those of findings without which capture does not work or not as asked.
func Missing(findings []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool { return f.OK || f.Advice })
}

// Apply executes the statements of findings that are not OK and not Advice, in
// order, and returns the first error. What has to be done by hand is left.
func Apply(ctx context.Context, url string, findings []Finding) error {
	// A limit on how long a statement may take keeps it from holding others up for longer.
	conn, err := connectWith(ctx, url, nil)
	if err != nil {
		return connectError(err)
	}
	defer shut(conn)
	for _, f := range Missing(findings) {
		if f.SQL == "" || strings.Contains(f.SQL, "…") {
			continue
		}
		// The simple protocol takes several statements, and those that want no transaction one by one.
		if _, err := conn.PgConn().Exec(ctx, f.SQL).ReadAll(); err != nil {
			return fmt.Errorf("%s: %s: %w", f.What, brief(f.SQL), err)
		}
	}
	return nil
}

func brief(sql string) string {
	if first, _, more := strings.Cut(sql, "\n"); more {
		return first + " …"
	}
	return sql
}

func (c *checker) add(ok bool, f Finding) {
	f.OK = ok
	if ok {
		f.SQL, f.Then = "", ""
	}
	c.findings = append(c.findings, f)
}

// scan queries one row.
func (c *checker) scan(ctx context.Context, what, sql string, args []any, into ...any) error {
	if err := c.conn.QueryRow(ctx, sql, args...).Scan(into...); err != nil {
		return fmt.Errorf("look at %s: %w", what, err)
	}
	return nil
}
