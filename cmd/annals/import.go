package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/internal/jsonl"
	"github.com/annals-db/annals/internal/rows"
)

func (a *app) importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Load events from a file or a repository: csv, jsonl or git",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("import what? csv, jsonl or git; see %s --help", cmd.CommandPath())
		},
	}
	cmd.AddCommand(a.importCSVCommand(), a.importJSONLCommand(), a.importGitCommand())
	return cmd
}

// csvFlags are the flags of import csv.
type csvFlags struct {
	rows.Templates
	metadata     []string
	source       string
	separator    string
	rejects      string
	allowRejects bool
	batch        int
	dryRun       bool
}

func (a *app) importCSVCommand() *cobra.Command {
	var f csvFlags
	cmd := &cobra.Command{
		Use:   "csv FILE",
		Short: "Load the rows of a CSV file as events",
		Long: `Append an event for each row of a CSV file whose first line names the columns.
FILE may be compressed by gzip; - is standard input.

What of a row goes where is said by templates over its columns, {{.Column}}.
Without --data the event's data is an object of all columns as strings.

` + rows.Functions + `

--time sets the time of occurring and the log's own time, so that state --as-of
works on the history; it asks for rows in order of time and for a log that ends
before they begin. --occurred sets the time of occurring only. A time is as RFC 3339
writes it, 2006-01-02 15:04:05 and the like, or of the form --time-layout gives.

An event's ID is made from the name of the source and the number of the row (or
from --id). So the import can be interrupted and run again: what is there is not
added twice. Rows that cannot be taken go to the file --rejects with the reason,
the others are appended all the same, and the exit code is 1 unless --allow-rejects.`,
		Example: `  annals import csv online-retail.csv.gz --stream 'product-{{.StockCode}}' --type StockMoved \
    --time '{{.InvoiceDate}}' \
    --data '{"invoice":{{json .InvoiceNo}},"quantity":{{int .Quantity}},"price":{{number .UnitPrice}}}'
  annals import csv people.csv --stream 'person-{{.id}}' --type PersonImported --dry-run`,
		Args: between(1, 1, "one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.importCSV(cmd, &f, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.Stream, "stream", "", "template of the stream's name")
	flags.StringVar(&f.Type, "type", "", "template of the event's type")
	flags.StringVar(&f.Data, "data", "", "template of the data, which must give JSON (default all columns as strings)")
	flags.StringVar(&f.Time, "time", "", "template of the time, the log's and that of occurring")
	flags.StringVar(&f.Occurred, "occurred", "", "template of the time of occurring")
	flags.StringArrayVar(&f.Tags, "tag", nil, "template of a tag key:value, none where it is empty; again for more")
	flags.StringArrayVar(&f.metadata, "meta", nil, "metadata key=TEMPLATE; again for more")
	flags.StringVar(&f.ID, "id", "", "template of the ID: a UUID, or a text to make one from")
	flags.StringVar(&f.TimeLayout, "time-layout", "", "form of times, as Go writes it: 2/1/2006 15:04, or unix for seconds")
	flags.StringVar(&f.source, "source", "", "name that IDs are made from (default the file's name)")
	flags.StringVar(&f.separator, "separator", ",", "what separates fields; \\t for a tab")
	flags.StringVar(&f.rejects, "rejects", "", "file for bad rows (default the source's name with .rejects.csv, here)")
	flags.BoolVar(&f.allowRejects, "allow-rejects", false, "exit with 0 although there were bad rows")
	flags.IntVar(&f.batch, "batch", 1000, "most rows appended together")
	flags.BoolVar(&f.dryRun, "dry-run", false, "append nothing, only see whether rows and templates are good")
	return cmd
}

func (a *app) importCSV(cmd *cobra.Command, f *csvFlags, name string) error {
	comma, err := separator(f.separator)
	if err != nil {
		return err
	}
	meta, err := pairs(f.metadata)
	if err != nil {
		return err
	}
	f.Metadata, f.Zone = meta.Map(), a.zone
	in, bar, err := a.input(cmd.Context(), name)
	if err != nil {
		return err
	}
	defer in.Close()
	defer bar.finish()
	src, err := rows.Open(bar.bytesOf(in), comma)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	source := first(f.source, sourceName(name))
	// Templates that are wrong make no store: they are compiled before one is
	// opened, and again when its limits are known.
	if _, err := rows.Compile(f.Templates, source, src.Columns, defaultLimits); err != nil {
		return usage(err)
	}
	log, err := a.openImport(f.dryRun)
	if err != nil {
		return err
	}
	defer log.Close()
	info, err := log.Info(cmd.Context())
	if err != nil {
		return err
	}
	mapping, err := rows.Compile(f.Templates, source, src.Columns, info.Limits)
	if err != nil {
		return usage(err)
	}
	rejects := rejectFile{name: first(f.rejects, source+".rejects.csv")}
	begin := a.now()
	s, err := rows.Import(cmd.Context(), log, src, mapping, &rows.Options{Batch: f.batch, DryRun: f.dryRun, Bad: rejects.add})
	bar.finish()
	if closeErr := rejects.close(); err == nil {
		err = closeErr
	}
	sum := summary{s.Rows, s.Added, s.Known, s.Bad, uint64(s.First), uint64(s.Last), s.Disk, a.now().Sub(begin)}
	if rejects.count > 0 {
		a.note("%d of %d rows cannot be taken; they are in %s with the reasons", rejects.count, s.Rows, rejects.name)
	}
	if err != nil {
		return a.brokenOff(fmt.Sprintf("%s up to row %d", name, s.LastRow), sum, err)
	}
	if err := a.summary("rows", sum); err != nil {
		return err
	}
	if rejects.count > 0 && !f.allowRejects {
		return fmt.Errorf("%s rejected (--allow-rejects takes that for done)", count(rejects.count, "row"))
	}
	return nil
}

func separator(s string) (rune, error) {
	if s == `\t` {
		return '\t', nil
	}
	if r := []rune(s); len(r) == 1 && r[0] != '"' && r[0] != '\n' && r[0] != '\r' {
		return r[0], nil
	}
	return 0, usagef("--separator: %q is not one character", s)
}

// sourceName is a file's name without directory and compression.
func sourceName(name string) string {
	if name == "-" {
		return "stdin"
	}
	return strings.TrimSuffix(filepath.Base(name), ".gz")
}

// input opens a file to be read with progress by its bytes.
func (a *app) input(ctx context.Context, name string) (io.ReadCloser, *progress, error) {
	if name == "-" {
		return io.NopCloser(interruptible(ctx, a.in)), &progress{}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, usage(err)
	}
	st, err := f.Stat()
	if err == nil && st.IsDir() {
		err = usagef("%s is a directory", name)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, a.progress("importing", "bytes", st.Size()), nil
}

func (a *app) importJSONLCommand() *cobra.Command {
	var source string
	var batch int
	cmd := &cobra.Command{
		Use:   "jsonl FILE",
		Short: "Load records or events, one JSON object a line",
		Long: `Append the records that export has written, or events as append reads them, one a
line. FILE may be compressed by gzip; - is standard input.

An export of a whole log, loaded into a new store, gives the same log: positions,
times, IDs, batches, conditions and running hash. A line with a time asks for a
log that ends before it. A line without ID gets one made from the name of the
source and the number of the line, so that running it twice adds nothing.
Conditions are kept as long as every record gets the position it had, else left
out, and the number is shown.`,
		Example: `  annals export >all.jsonl
  annals --store file:copy.db import jsonl all.jsonl
  annals export --query category=item | annals --store file:items.db import jsonl -`,
		Args: between(1, 1, "one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.importJSONL(cmd, args[0], &jsonl.Options{Source: first(source, sourceName(args[0])), Batch: batch})
		},
	}
	cmd.Flags().StringVar(&source, "source", "", "name that IDs are made from (default the file's name)")
	cmd.Flags().IntVar(&batch, "batch", 1000, "most lines without a batch appended together")
	return cmd
}

func (a *app) importJSONL(cmd *cobra.Command, name string, o *jsonl.Options) error {
	in, bar, err := a.input(cmd.Context(), name)
	if err != nil {
		return err
	}
	defer in.Close()
	defer bar.finish()
	lines, err := uncompressed(bar.bytesOf(in))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	log, err := a.open(toWrite)
	if err != nil {
		return err
	}
	defer log.Close()
	begin := a.now()
	s, err := jsonl.Import(cmd.Context(), log, lines, o)
	bar.finish()
	sum := summary{s.Lines, s.Added, s.Known, 0, uint64(s.First), uint64(s.Last), s.Disk, a.now().Sub(begin)}
	if s.Dropped > 0 {
		were := "were"
		if s.Dropped == 1 {
			were = "was"
		}
		a.note("%s %s left out, because the events are not at the positions they had", count(s.Dropped, "condition"), were)
	}
	if err != nil {
		return a.brokenOff(fmt.Sprintf("%s up to line %d", name, s.LastLine), sum, err)
	}
	return a.summary("lines", sum)
}

// summary is what an import has done.
type summary struct {
	read, added, known, rejected int
	first, last                  uint64
	durability                   string
	took                         time.Duration
}

func (s *summary) rate() int {
	if s.took <= 0 {
		return 0
	}
	return int(float64(s.read) / s.took.Seconds())
}

func (a *app) summary(unit string, s summary) error {
	text := fmt.Appendf(nil, `{%q:%d,"added":%d,"known":%d,"rejected":%d,"first":%d,"last":%d,"durability":%q,"seconds":%.3f,"per_second":%d}`,
		unit, s.read, s.added, s.known, s.rejected, s.first, s.last, s.durability, s.took.Seconds(), s.rate())
	list := [][2]string{
		{unit, fmt.Sprint(s.read)}, {"added", fmt.Sprint(s.added)}, {"known before", fmt.Sprint(s.known)}, {"rejected", fmt.Sprint(s.rejected)},
		{"took", s.took.Round(time.Millisecond).String()}, {"rate", fmt.Sprintf("%d %s/s", s.rate(), unit)},
	}
	if s.added > 0 {
		list = append(list, [2]string{"positions", fmt.Sprintf("%d to %d", s.first, s.last)}, [2]string{"durability", s.durability})
	}
	return a.one(text, list)
}

// brokenOff says what an import that has not come to its end has done.
func (a *app) brokenOff(where string, s summary, err error) error {
	text := fmt.Sprintf("%s added, %d known before, %s; run again, it goes on from there", count(s.added, "event"), s.known, where)
	if errors.Is(err, errInterrupted) {
		return fmt.Errorf("%w: %s", err, text)
	}
	if s.added+s.known > 0 {
		a.note("%s", text)
	}
	return err
}
