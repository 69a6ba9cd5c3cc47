package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/internal/fold"
)

// pointFlags name a version of a stream.
type pointFlags struct {
	version, at uint64
	asOf        string
}

func (f *pointFlags) flags(cmd *cobra.Command, what string) {
	flags := cmd.Flags()
	flags.Uint64Var(&f.version, "version", 0, what+" at this version of the stream")
	flags.Uint64Var(&f.at, "at", 0, what+" when the log was at this position")
	flags.StringVar(&f.asOf, "as-of", "", what+" at TIME, see below")
}

// point returns the point that the flags name, without one the last version.
func (f *pointFlags) point(cmd *cobra.Command, a *app) (history.Point, error) {
	given := 0
	for _, name := range []string{"version", "at", "as-of"} {
		if cmd.Flags().Changed(name) {
			given++
		}
	}
	switch {
	case given > 1:
		return history.Point{}, usagef("use one of --version, --at and --as-of")
	case cmd.Flags().Changed("version"):
		return history.Version(f.version), nil
	case cmd.Flags().Changed("at"):
		if f.at == 0 {
			return history.Point{}, usagef("--at: positions begin at 1")
		}
		return history.Position(driver.Position(f.at)), nil
	case f.asOf != "":
		t, err := a.time("as-of", f.asOf)
		return history.Time(t), err
	}
	return history.Point{}, nil
}

// pointSyntax says how a point is typed, for help texts.
const pointSyntax = `A POINT is a version of the stream (3; 0 is before its first event), a position of
the log (@120), or a TIME.`

// parsePoint reads a point as people type it.
func (a *app) parsePoint(what, text string) (history.Point, error) {
	if v, err := strconv.ParseUint(text, 10, 64); err == nil {
		return history.Version(v), nil
	}
	if rest, ok := strings.CutPrefix(text, "@"); ok {
		if p, err := strconv.ParseUint(rest, 10, 64); err == nil && p > 0 {
			return history.Position(driver.Position(p)), nil
		}
		return history.Point{}, usagef("%s: %q is not a position; write @ and a number from 1", what, text)
	}
	t, err := a.time(what, text)
	return history.Time(t), err
}

// history opens the store for reading and returns the history of a stream,
// seen through the fold that the flags or the category say.
func (a *app) history(ctx context.Context, stream string, f *foldFlags) (*history.History, driver.Log, error) {
	if err := f.check(); err != nil {
		return nil, nil, err
	}
	if stream == "" {
		return nil, nil, usagef("STREAM is empty")
	}
	log, err := a.open(toRead)
	if err != nil {
		return nil, nil, err
	}
	through, err := f.of(ctx, log, stream)
	if err != nil {
		_ = log.Close()
		return nil, nil, err
	}
	return history.Of(log, stream, through), log, nil
}

// predicate reads a predicate as people type it.
func predicate(text string) (history.Predicate, error) {
	if strings.TrimSpace(text) == "" {
		return history.Predicate{}, usagef("the PREDICATE is empty")
	}
	if _, err := fold.Merge().Testing(text); err != nil {
		return history.Predicate{}, usage(err)
	}
	return history.Holds(text), nil
}
