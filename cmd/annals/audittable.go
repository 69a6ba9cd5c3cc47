package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/audit"
	"github.com/annals-db/annals/internal/when"
)

func (a *app) auditTablesCommand(r *auditFlags) *cobra.Command {
	var asOf string
	cmd := &cobra.Command{
		Use:     "tables",
		Short:   "List the tables of the trail",
		Long:    "List the tables that the trail has, now or at a point.\n\n" + audit.PointSyntax + "\n\n" + when.Syntax,
		Example: "  annals audit tables\n  annals audit tables --as-of 2026-01-31",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := a.auditPoint("--as-of", asOf)
			if err != nil {
				return err
			}
			trail, log, err := a.trail(cmd, r, args)
			if err != nil {
				return err
			}
			defer log.Close()
			names, err := trail.Tables(cmd.Context(), at)
			if err != nil {
				return err
			}
			p := a.printer("TABLE")
			for _, n := range names {
				p.add(item{[]byte(asJSON(map[string]string{"table": n.String()})), []string{n.String()}})
			}
			return p.finish()
		},
	}
	cmd.Flags().StringVar(&asOf, "as-of", "", "at this POINT, see below (default the latest)")
	return cmd
}

func (a *app) auditTableCommand(r *auditFlags) *cobra.Command {
	var asOf string
	var csv bool
	cmd := &cobra.Command{
		Use:   "table TABLE",
		Short: "Print a table as it was",
		Long: `Print the rows of a table as they were at a point, in the order of the key, with
the columns of then. Values are the text that PostgreSQL prints, with every digit.

` + audit.PointSyntax + "\n\n" + when.Syntax,
		Example: `  annals audit table orders
  annals audit table orders --as-of 2026-01-31 --csv
  annals audit table orders --as-of tx:7341 -o json`,
		Args: between(1, 1, "one TABLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := audit.ParseName(args[0])
			if err != nil {
				return usage(err)
			}
			at, err := a.auditPoint("--as-of", asOf)
			if err != nil {
				return err
			}
			trail, log, err := a.trail(cmd, r, args)
			if err != nil {
				return err
			}
			defer log.Close()
			t, err := trail.Table(cmd.Context(), name, at)
			if err != nil {
				return err
			}
			if t.Vague {
				a.note("table %s had just been rewritten, or had no primary key: rows that were changed before they could be read again may have the values of before", name)
			}
			if csv {
				return t.WriteCSV(a.out)
			}
			return a.auditTable(t)
		},
	}
	cmd.Flags().StringVar(&asOf, "as-of", "", "at this POINT, see below (default the latest)")
	cmd.Flags().BoolVar(&csv, "csv", false, "as CSV: NULL is an empty field, an empty text is \"\"")
	return cmd
}

func (a *app) auditTable(t *audit.Table) error {
	var headers []string
	for _, c := range t.Columns {
		headers = append(headers, strings.ToUpper(c.Name))
	}
	p := a.printer(headers...)
	for r := range t.Rows() {
		text, err := t.AppendJSON(nil, r)
		if err != nil {
			return err
		}
		var cells []string
		for _, v := range r.Values {
			cells = append(cells, shown(v))
		}
		p.add(item{text, cells})
	}
	return p.finish()
}

func (a *app) auditDiffCommand(r *auditFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff TABLE FROM [TO]",
		Short: "Print what differs in a table between two points",
		Long: `Print the rows of a table that differ between two points; TO is the latest unless
given. A column is the same through renames.

` + audit.PointSyntax + "\n\n" + when.Syntax,
		Example: `  annals audit diff orders 2026-01-31 2026-02-28
  annals audit diff orders tx:7340 tx:7341`,
		Args: between(2, 3, "TABLE, FROM and at most TO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := audit.ParseName(args[0])
			if err != nil {
				return usage(err)
			}
			points := [2]audit.Point{}
			for i, text := range args[1:] {
				if points[i], err = a.auditPoint([]string{"FROM", "TO"}[i], text); err != nil {
					return err
				}
			}
			trail, log, err := a.trail(cmd, r, args)
			if err != nil {
				return err
			}
			defer log.Close()
			list, err := trail.Difference(cmd.Context(), name, points[0], points[1])
			if err != nil {
				return err
			}
			return a.auditDifferences(list)
		},
	}
	return cmd
}

func (a *app) auditDifferences(list []audit.Difference) error {
	type column struct {
		Column string  `json:"column"`
		Old    *string `json:"old"`
		New    *string `json:"new"`
	}
	p := a.printer("", "KEY", "DIFFERENCES")
	for _, d := range list {
		var columns []column
		var words []string
		for _, c := range d.Columns {
			columns = append(columns, column{c.Column, c.Old, c.New})
			switch d.Kind {
			case "added":
				words = append(words, c.Column+"="+shown(c.New))
			case "removed":
				words = append(words, c.Column+"="+shown(c.Old))
			default:
				words = append(words, fmt.Sprintf("%s: %s → %s", c.Column, shown(c.Old), shown(c.New)))
			}
		}
		text := asJSON(map[string]any{"kind": d.Kind, "key": d.Key, "columns": columns})
		p.add(item{[]byte(text), []string{d.Kind, strings.Join(d.Key, ","), strings.Join(words, ", ")}})
	}
	return p.finish()
}

func (a *app) auditBlameCommand(r *auditFlags) *cobra.Command {
	var asOf string
	cmd := &cobra.Command{
		Use:   "blame TABLE KEY...",
		Short: "Print who last set each value of a row",
		Long:  "Print for each column of a row its value and the change that last set it.\n\n" + audit.PointSyntax + "\n\n" + when.Syntax,
		Example: `  annals audit blame orders 42
  annals audit blame orders 42 --as-of 2026-01-31`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return errors.New("blame needs TABLE and KEY")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := audit.ParseName(args[0])
			if err != nil {
				return usage(err)
			}
			at, err := a.auditPoint("--as-of", asOf)
			if err != nil {
				return err
			}
			trail, log, err := a.trail(cmd, r, args)
			if err != nil {
				return err
			}
			defer log.Close()
			list, err := trail.Blame(cmd.Context(), name, args[1:], at)
			if err != nil {
				return err
			}
			p := a.printer("COLUMN", "VALUE", "COMMITTED", "XID", "TYPE", "ACTOR", "USER", "REASON")
			for _, b := range list {
				i := changeItem(&b.Change)
				text := asJSON(map[string]any{"column": b.Column, "value": b.Value, "set_by": b.Change})
				p.add(item{[]byte(text), []string{b.Column, shown(b.Value), i.cells[0], i.cells[1], i.cells[4], i.cells[5], i.cells[6], i.cells[7]}})
			}
			return p.finish()
		},
	}
	cmd.Flags().StringVar(&asOf, "as-of", "", "at this POINT, see below (default the latest)")
	return cmd
}
