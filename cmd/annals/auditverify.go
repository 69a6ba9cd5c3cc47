package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/audit"
	"github.com/annals-db/annals/stores"
)

// errMismatch is returned by audit verify when it has printed what differs.
var errMismatch = errors.New("the trail and the live tables differ")

// auditVerifyFlags are the flags of audit verify.
type auditVerifyFlags struct {
	postgres postgresFlag
	tables   []string
	against  string
	wait     time.Duration
}

func (a *app) auditVerifyCommand() *cobra.Command {
	var f auditVerifyFlags
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Compare the trail with the live tables, or with seals",
		Long: `Compare the tables as rebuilt from the trail with the live ones, row by row, as they
are at one moment; writers are not held up. Capture has to be running, or to have
taken everything. Each value that differs is printed.

--against compares the store itself with the running hashes that audit run
--seal-to and audit seal wrote: every event is read again, and any change to one since then
is found, even by someone who rewrote the whole store.

The exit code is 5 if anything differs.`,
		Example: `  annals audit verify --postgres postgres://audit@localhost/shop
  annals audit verify --against /mnt/worm/seals.jsonl`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.against != "" {
				return a.auditAgainst(cmd, f.against)
			}
			return a.auditVerify(cmd, &f)
		},
	}
	f.postgres.flags(cmd)
	cmd.Flags().StringArrayVar(&f.tables, "tables", nil, "only these `tables`, by comma (default all of the trail)")
	cmd.Flags().StringVar(&f.against, "against", "", "file or store URL with seals, - for standard input")
	cmd.Flags().DurationVar(&f.wait, "wait", 30*time.Second, "how long capture may take to get there")
	return cmd
}

func (a *app) auditVerify(cmd *cobra.Command, f *auditVerifyFlags) error {
	url, err := f.postgres.get()
	if err != nil {
		return err
	}
	tables, err := tableNames(f.tables)
	if err != nil {
		return err
	}
	trail, log, err := a.trail(cmd, &auditFlags{}, nil)
	if err != nil {
		return err
	}
	defer log.Close()
	p := a.printer("TABLE", "KEY", "COLUMN", "TRAIL", "LIVE", "REASON")
	var checked []string
	rows, differ := 0, 0
	o := &audit.VerifyOptions{Wait: f.wait, Checked: func(t audit.Name, n int) {
		checked = append(checked, fmt.Sprintf("%s (%s)", t, count(n, "row")))
		rows += n
	}}
	for m, err := range trail.Verify(cmd.Context(), url, tables, o) {
		if err != nil {
			return errors.Join(p.flush(), err)
		}
		differ++
		text := asJSON(struct {
			Table string `json:"table"`
			audit.Mismatch
		}{m.Table.String(), m})
		p.add(item{[]byte(text), []string{m.Table.String(), strings.Join(m.Key, ","), m.Column, shown(m.Trail), shown(m.Live), m.Reason}})
	}
	out, err := trail.LeftOut(cmd.Context())
	if err != nil {
		return err
	}
	for _, name := range out {
		a.note("note: table %s is left out of the trail, and was not compared", name)
	}
	if differ > 0 {
		return errors.Join(p.finish(), fmt.Errorf("%w: %s", errMismatch, count(differ, "difference")))
	}
	return a.one([]byte(asJSON(map[string]any{"ok": true, "tables": len(checked), "rows": rows})),
		[][2]string{{"verified", "the trail and the live tables are equal"}, {"tables", strings.Join(checked, ", ")}})
}

// shown prints a value of a table.
func shown(v *string) string {
	if v == nil {
		return "NULL"
	}
	return *v
}

func (a *app) auditAgainst(cmd *cobra.Command, against string) error {
	seals, err := a.seals(cmd, against)
	if err != nil {
		return err
	}
	if len(seals) == 0 {
		return fmt.Errorf("%s has no seals", against)
	}
	log, err := a.open(toRead)
	if err != nil {
		return err
	}
	defer log.Close()
	held, err := audit.CheckSeals(cmd.Context(), log, seals)
	if err != nil {
		return err
	}
	last := seals[len(seals)-1]
	return a.one([]byte(asJSON(map[string]any{"ok": true, "seals": held, "position": last.Position, "hash": last.Hash})),
		[][2]string{{"verified", "the store is as it was sealed"}, {"seals", fmt.Sprint(held)}, {"up to position", fmt.Sprint(last.Position)}, {"running hash", last.Hash}})
}

// seals reads seals from a file, a store or standard input.
func (a *app) seals(cmd *cobra.Command, from string) ([]audit.Seal, error) {
	if stores.IsURL(from) {
		log, err := a.openURL(cmd.Context(), from, opening{want: toRead})
		if err != nil {
			return nil, err
		}
		defer log.Close()
		return audit.KeptSeals(cmd.Context(), log)
	}
	var in io.Reader = a.in
	if from != "-" {
		f, err := os.Open(from)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return audit.ReadSeals(in)
}
