package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/annals-db/annals/audit"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/when"
)

// auditFlags are those that every question has.
type auditFlags struct{ record, why string }

func (a *app) auditCommand() *cobra.Command {
	var f auditFlags
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Keep and ask the audit trail of a live PostgreSQL",
		Long: `Keep every insert, update, delete and truncate of chosen tables of a PostgreSQL
database in the store, each with before and after, who and why, and ask it.

  annals audit init --postgres URL --tables orders,customers --apply
  annals audit run  --postgres URL
  annals audit log orders 42            what happened to a row, and who did it
  annals audit table orders --as-of 2026-01-31
  annals audit verify --postgres URL    the rebuilt tables against the live ones

TABLE is table, for public.table, or schema.table, "in quotes" where it has a dot or comma; KEY is the text of the primary
key's column, or one argument for each. ` + audit.PointSyntax,
		Example: `  annals audit init --postgres postgres://audit@localhost/shop --tables orders
  annals audit log --actor alice --since 2026-01-01`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&f.record, "record", "", "record in this store, in stream annals.readings, that the trail is read")
	cmd.PersistentFlags().StringVar(&f.why, "why", "", "why, for --record and --leave-out")
	cmd.AddCommand(a.auditInitCommand(), a.auditRunCommand(&f), a.auditVerifyCommand(), a.auditSealCommand(),
		a.auditLogCommand(&f), a.auditTablesCommand(&f), a.auditTableCommand(&f), a.auditDiffCommand(&f), a.auditBlameCommand(&f), a.auditExportCommand(&f))
	return cmd
}

// trail opens the store and the trail in it; the question is recorded first, if that is asked for.
func (a *app) trail(cmd *cobra.Command, f *auditFlags, args []string) (*audit.Trail, driver.Log, error) {
	ctx := cmd.Context()
	if f.why != "" && f.record == "" {
		return nil, nil, usagef("--why is for --record")
	}
	log, err := a.open(toRead)
	if err != nil {
		return nil, nil, err
	}
	trail, err := audit.Open(ctx, log)
	if err == nil && f.record != "" {
		err = a.recordReading(cmd, f, trail, args)
	}
	if err != nil {
		_ = log.Close()
		return nil, nil, err
	}
	return trail, log, nil
}

func (a *app) recordReading(cmd *cobra.Command, f *auditFlags, trail *audit.Trail, args []string) error {
	into, err := a.openURL(cmd.Context(), f.record, opening{want: toWrite})
	if err != nil {
		return err
	}
	defer into.Close()
	by := "unknown"
	if u, err := user.Current(); err == nil {
		by = u.Username
	}
	return trail.RecordReading(cmd.Context(), into, audit.Reading{By: by, Reason: f.why, Question: a.question(cmd, args)})
}

// question is the command line without what is only about its form.
func (a *app) question(cmd *cobra.Command, args []string) string {
	words := append([]string{cmd.CommandPath()}, args...)
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "output", "store", "config", "timeout", "record", "why", "tz":
			return
		}
		words = append(words, "--"+f.Name+"="+f.Value.String())
	})
	return strings.Join(words, " ")
}

// postgresFlag is the database that is audited.
type postgresFlag struct{ url string }

func (f *postgresFlag) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.url, "postgres", "", "URL of the database (default $ANNALS_POSTGRES)")
}

func (f *postgresFlag) get() (string, error) {
	if url := first(f.url, os.Getenv("ANNALS_POSTGRES")); url != "" {
		return url, nil
	}
	return "", usagef("which database? Use --postgres postgres://user@host/database, or the variable ANNALS_POSTGRES")
}

// tableNames reads names of tables, by comma; one within quotes is of a name.
func tableNames(texts []string) (names []audit.Name, err error) {
	for _, text := range texts {
		for more := text != ""; more; {
			var t string
			if t, text, more = cutTable(text); t == "" {
				continue
			}
			n, err := audit.ParseName(t)
			if err != nil {
				return nil, usage(err)
			}
			names = append(names, n)
		}
	}
	return names, nil
}

// cutTable cuts text at its first comma that is not within quotes.
func cutTable(text string) (table, rest string, found bool) {
	quoted := false
	for i := range len(text) {
		switch {
		case text[i] == '"':
			quoted = !quoted
		case text[i] == ',' && !quoted:
			return text[:i], text[i+1:], true
		}
	}
	return text, "", false
}

// auditPoint reads a point; "" is the latest.
func (a *app) auditPoint(flag, text string) (audit.Point, error) {
	if text == "" {
		return audit.Point{}, nil
	}
	p, err := audit.ParsePoint(text, func(s string) (time.Time, error) { return when.Parse(s, a.now(), a.zone) })
	if err != nil {
		return p, usagef("%s: %v", flag, err)
	}
	return p, nil
}

// auditSpan reads a time; "" is none.
func (a *app) auditSpan(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	return a.time(flag, text)
}

// asJSON returns v, which is of texts, numbers and times, as JSON.
func asJSON(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return quoted("(" + err.Error() + ")")
	}
	return strings.TrimSuffix(b.String(), "\n")
}
