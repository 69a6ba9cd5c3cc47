package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/audit"
	"github.com/annals-db/annals/internal/when"
)

// auditFilterFlags say which changes are meant.
type auditFilterFlags struct {
	column, actor, user, since, until string
	xid                               uint32
	noReason                          bool
}

func (f *auditFilterFlags) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.column, "column", "", "only changes that set this column of TABLE, under whichever name it had")
	flags.StringVar(&f.actor, "actor", "", "only by this person, as the application says (annals.actor)")
	flags.StringVar(&f.user, "user", "", "only by this database user, as the server says")
	flags.StringVar(&f.since, "since", "", "only committed at TIME or later")
	flags.StringVar(&f.until, "until", "", "only committed at TIME or before")
	flags.Uint32Var(&f.xid, "transaction", 0, "only of the transaction with this ID")
	flags.BoolVar(&f.noReason, "no-reason", false, "only of transactions for which no reason was given")
}

// filter returns what the flags and [TABLE [KEY...]] say.
func (f *auditFilterFlags) filter(a *app, args []string) (audit.Filter, error) {
	out := audit.Filter{Column: f.column, Actor: f.actor, User: f.user, Transaction: f.xid, NoReason: f.noReason}
	if len(args) > 0 {
		name, err := audit.ParseName(args[0])
		if err != nil {
			return out, usage(err)
		}
		out.Table, out.Key = name, args[1:]
	}
	if f.column != "" && len(args) == 0 {
		return out, usagef("--column of which TABLE?")
	}
	var err error
	if out.From, err = a.auditSpan("since", f.since); err != nil {
		return out, err
	}
	out.To, err = a.auditSpan("until", f.until)
	return out, err
}

func (a *app) auditLogCommand(r *auditFlags) *cobra.Command {
	var f auditFilterFlags
	var limit int
	cmd := &cobra.Command{
		Use:   "log [TABLE [KEY...]]",
		Short: "Print the changes of a row, a column, a person, a time span, a transaction",
		Long: `Print changes in the order of their commits: of a row, a table or all, those that
set a column, by a person, in a time span, of a transaction, without a reason.
ACTOR and REASON are what the application claims; USER is what the server vouches
for. -o jsonl has it all: "claimed", "vouched", before and after.

` + when.Syntax,
		Example: `  annals audit log orders 42
  annals audit log orders --column status --since 2026-01-01
  annals audit log --actor alice -o jsonl
  annals audit log --transaction 7341
  annals audit log --no-reason --since 24h`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			filter, err := f.filter(a, args)
			if err != nil {
				return err
			}
			if limit < 0 {
				return usagef("--limit is negative")
			}
			trail, log, err := a.trail(cmd, r, args)
			if err != nil {
				return err
			}
			defer log.Close()
			return a.auditLog(cmd, trail, filter, limit)
		},
	}
	f.flags(cmd)
	cmd.Flags().IntVarP(&limit, "limit", "n", 0, "at most this many (default all)")
	return cmd
}

func (a *app) auditLog(cmd *cobra.Command, trail *audit.Trail, f audit.Filter, limit int) error {
	p := a.printer("COMMITTED", "XID", "TABLE", "KEY", "TYPE", "ACTOR", "USER", "REASON", "CHANGES")
	n := 0
	for c, err := range trail.Changes(cmd.Context(), f) {
		if err != nil {
			return errors.Join(p.flush(), err)
		}
		p.add(changeItem(&c))
		if n++; n == limit {
			break
		}
	}
	return p.finish()
}

func changeItem(c *audit.Change) item {
	text, err := c.MarshalJSON()
	if err != nil {
		text = []byte(asJSON(err.Error()))
	}
	actor, user, reason, xid := "", "", "", ""
	if c.Who != nil {
		actor, user, reason = c.Who.Claimed.Actor, c.Who.Vouched.User, c.Who.Claimed.Reason
	}
	if c.Xid != 0 {
		xid = fmt.Sprint(c.Xid)
	}
	return item{text, []string{stampOf(c.Committed), xid, c.Table.String(), c.Key, c.Type, actor, user, brief(reason, 40), brief(changed(c), 120)}}
}

// changed says what c changed, in words.
func changed(c *audit.Change) string {
	if c.Before == nil && c.After == nil {
		return tableChanged(c)
	}
	var parts []string
	if c.Type == audit.RowUpdated {
		for column, old := range c.Old() {
			parts = append(parts, fmt.Sprintf("%s: %s → %s", column, old[0], old[1]))
		}
		return strings.Join(parts, ", ")
	}
	if c.After != nil {
		return string(c.After)
	}
	return "was " + string(c.Before)
}

// tableChanged says what happened to a table, in words.
func tableChanged(c *audit.Change) string {
	var d struct {
		Columns             []audit.Column
		Query, Reason, From string
		Rows                int
	}
	if err := json.Unmarshal(c.Data, &d); err != nil {
		return string(c.Data)
	}
	switch c.Type {
	case audit.SchemaChanged:
		return d.Query
	case audit.TableTruncated:
		return count(d.Rows, "row")
	case audit.TableDropped:
		return d.Reason
	case audit.TableLeftOut:
		return "from LSN " + d.From + " on: " + d.Reason
	}
	return count(len(d.Columns), "column")
}
