package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/audit"
)

// auditInitFlags are the flags of audit init.
type auditInitFlags struct {
	postgres                  postgresFlag
	tables                    []string
	setup                     audit.Setup
	identity                  string
	withoutWitness, noTrigger bool
	apply, sql                bool
}

func (a *app) auditInitCommand() *cobra.Command {
	var f auditInitFlags
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Say what a database lacks to be audited, and mend it",
		Long: `Look at the server's settings, the user's rights, the tables, their replica
identities, the functions and triggers that say who and why, the publication and
the slot. For each thing that is missing the statement that mends it is printed;
--apply executes them, --sql prints them as a script. What needs a restart of the
server or another user is said. The exit code is 1 while something is missing.`,
		Example: `  annals audit init --postgres postgres://audit@localhost/shop --tables orders,customers
  annals audit init --postgres postgres://audit@localhost/shop --tables orders --apply
  annals audit init --postgres postgres://audit@localhost/shop --tables orders --sql | psql shop`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.auditInit(cmd, &f) },
	}
	f.postgres.flags(cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.tables, "tables", nil, "the `tables` to audit, by comma (default those of the publication)")
	flags.StringVar(&f.setup.Slot, "slot", "annals", "name of the replication slot")
	flags.StringVar(&f.setup.Publication, "publication", "annals", "name of the publication")
	flags.StringVar(&f.identity, "identity", "full", "replica identity of the tables: full, or key, with which old values come from the trail")
	flags.BoolVar(&f.withoutWitness, "no-witness", false, "no statement triggers, so no database user, application and address")
	flags.BoolVar(&f.noTrigger, "no-event-trigger", false, "no event triggers, so changes of columns are seen late")
	flags.BoolVar(&f.apply, "apply", false, "execute the statements")
	flags.BoolVar(&f.sql, "sql", false, "print only the statements")
	return cmd
}

func (a *app) auditInit(cmd *cobra.Command, f *auditInitFlags) error {
	ctx := cmd.Context()
	url, err := f.postgres.get()
	if err != nil {
		return err
	}
	if f.identity != "full" && f.identity != "key" {
		return usagef("--identity: %q is neither full nor key", f.identity)
	}
	if f.apply && f.sql {
		return usagef("use --apply or --sql, not both")
	}
	f.setup.KeyIdentity, f.setup.NoWitness, f.setup.NoEventTrigger = f.identity == "key", f.withoutWitness, f.noTrigger
	tables, err := tableNames(f.tables)
	if err != nil {
		return err
	}
	findings, err := audit.Check(ctx, url, tables, &f.setup)
	if err != nil {
		return err
	}
	if f.sql {
		return a.auditSQL(findings)
	}
	if f.apply {
		applied := audit.Apply(ctx, url, findings)
		if findings, err = audit.Check(ctx, url, tables, &f.setup); err != nil {
			return errors.Join(applied, err)
		}
		if applied != nil {
			return errors.Join(a.auditFindings(findings), applied)
		}
	}
	if err := a.auditFindings(findings); err != nil {
		return err
	}
	if n := len(audit.Missing(findings)); n > 0 {
		how := "; --apply executes the statements"
		if f.apply {
			how = ", which has to be done by hand"
		}
		return fmt.Errorf("%s missing%s", count(n, "thing"), how)
	}
	return nil
}

// auditSQL prints the statements as a script.
func (a *app) auditSQL(findings []audit.Finding) error {
	for _, f := range audit.Missing(findings) {
		if f.SQL == "" {
			continue
		}
		text := "-- " + f.What + ": " + f.Detail + "\n" + strings.TrimSuffix(strings.TrimSuffix(f.SQL, "\n"), ";") + ";\n"
		if _, err := io.WriteString(a.out, text); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) auditFindings(findings []audit.Finding) error {
	p := a.printer("", "WHAT", "DETAIL", "WHAT MENDS IT")
	p.width = 0
	for _, f := range findings {
		state := "missing"
		switch {
		case f.OK:
			state = "ok"
		case f.Advice:
			state = "advice"
		}
		mend, _, more := strings.Cut(f.SQL, "\n")
		if more {
			mend += " … (--sql prints it all)"
		}
		if f.Then != "" {
			mend = strings.TrimPrefix(mend+"; then "+f.Then, "; then ")
		}
		p.add(item{[]byte(asJSON(f)), []string{state, f.What, f.Detail, mend}})
	}
	return p.finish()
}
