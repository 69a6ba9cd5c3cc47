package main

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/jsonl"
	"github.com/annals-db/annals/internal/when"
	"github.com/annals-db/annals/internal/wire"
)

func (a *app) exportCommand() *cobra.Command {
	var s selection
	var to string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write records as JSON lines that import jsonl reads back",
		Long: `Write the records of the log, or of a query, one JSON object a line, losing nothing:
import jsonl makes the same log of them again.

` + wire.QuerySyntax + "\n\n" + when.Syntax,
		Example: `  annals export >all.jsonl
  annals export --to all.jsonl.gz
  annals export --query category=item --as-of 2026-01-31`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.export(cmd, &s, to) },
	}
	s.queryFlags(cmd)
	s.boundFlags(cmd)
	cmd.Flags().Uint64Var(&s.after, "after", 0, "only behind this position")
	cmd.Flags().StringVar(&to, "to", "", "file to write, compressed if it ends in .gz (default standard output)")
	return cmd
}

func (a *app) export(cmd *cobra.Command, s *selection, to string) error {
	ctx := cmd.Context()
	q, err := s.query(nil)
	if err != nil {
		return err
	}
	log, err := a.open(toRead)
	if err != nil {
		return err
	}
	defer log.Close()
	upTo, nothing, err := s.upTo(ctx, cmd, a, log)
	if err != nil {
		return err
	}
	info, err := log.Info(ctx)
	if err != nil {
		return err
	}
	out, done, err := a.exportTo(to)
	if err != nil {
		return err
	}
	n := 0
	if !nothing {
		bar := a.progress("exporting", "events", int64(info.Head))
		o := driver.ReadOptions{After: driver.Position(s.after), UpTo: upTo}
		n, err = jsonl.Export(ctx, log, q, o, out, func(p driver.Position) { bar.set(int64(p), 0) })
		bar.finish()
	}
	if err := done(err); err != nil {
		if errors.Is(err, errInterrupted) {
			err = fmt.Errorf("%w after %s", err, count(n, "record"))
		}
		return err
	}
	if to != "" {
		a.note("%s in %s", count(n, "record"), to)
	}
	return nil
}

// exportTo returns where to write, and what ends it: a file gets its name only
// when it is whole.
func (a *app) exportTo(name string) (io.Writer, func(error) error, error) {
	if name == "" {
		return a.out, func(err error) error { return err }, nil
	}
	part := name + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, nil, usage(err)
	}
	var out io.Writer = f
	var z *gzip.Writer
	if strings.HasSuffix(name, ".gz") {
		z = gzip.NewWriter(f)
		out = z
	}
	return out, func(err error) error {
		if z != nil {
			err = errors.Join(err, z.Close())
		}
		err = errors.Join(err, f.Sync(), f.Close())
		if err != nil {
			return errors.Join(err, os.Remove(part))
		}
		return os.Rename(part, name)
	}, nil
}
