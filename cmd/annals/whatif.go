package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/internal/when"
	"github.com/annals-db/annals/internal/wire"
)

// whatIfFlags say what is supposed to have been otherwise.
type whatIfFlags struct {
	without, instead, extra []string
	program, file           string
}

func (a *app) whatIfCommand() *cobra.Command {
	var f foldFlags
	var at pointFlags
	var w whatIfFlags
	cmd := &cobra.Command{
		Use:   "what-if STREAM",
		Short: "Print how the state would differ without, with or by other events",
		Long: `Fold a stream once as it is and once as supposed, and print the fields in which the
outcomes differ. Nothing is written.

An EVENT is a JSON object with "data" and "type", and "metadata", "tags" and
"occurred" if they matter. With --instead, what it leaves out is as it was.

` + when.Syntax,
		Example: `  annals what-if item-laptop --without 3 --without 5-7
  annals what-if item-laptop --instead '2={"data":{"quantity":4}}'
  annals what-if item-laptop --extra '7={"type":"QuantitySet","data":{"quantity":0}}'
  annals what-if product-22197 --fold-file sold.jq --other-fold-file net.jq`,
		Args: between(1, 1, "one STREAM"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.whatIf(cmd, args[0], &f, &at, &w) },
	}
	f.flags(cmd)
	at.flags(cmd, "the state")
	flags := cmd.Flags()
	flags.StringArrayVar(&w.without, "without", nil, "a VERSION or a range FIRST-LAST that did not happen; again for more")
	flags.StringArrayVar(&w.instead, "instead", nil, "VERSION=EVENT: another event in its place; again for more")
	flags.StringArrayVar(&w.extra, "extra", nil, "VERSION=EVENT: a further event behind it, 0 for the begin; again for more")
	flags.StringVar(&w.program, "other-fold", "", "another fold, a jq program")
	flags.StringVar(&w.file, "other-fold-file", "", "the file that holds it")
	return cmd
}

func (a *app) whatIf(cmd *cobra.Command, stream string, f *foldFlags, at *pointFlags, w *whatIfFlags) error {
	ctx := cmd.Context()
	point, err := at.point(cmd, a)
	if err != nil {
		return err
	}
	if len(w.without)+len(w.instead)+len(w.extra) == 0 && w.program == "" && w.file == "" {
		return usagef("what if what? Use --without, --instead, --extra or --other-fold")
	}
	h, log, err := a.history(ctx, stream, f)
	if err != nil {
		return err
	}
	defer log.Close()
	_, last, err := h.State(ctx, point)
	if err != nil {
		return err
	}
	if last == 0 {
		return noStream(stream, 0, at.at != 0 || at.asOf != "")
	}
	s, err := w.supposition(ctx, log, stream, last, f)
	if err != nil {
		return err
	}
	o, err := h.WhatIf(ctx, history.Version(last), s)
	if err != nil {
		return err
	}
	if a.format == formatTable {
		return a.changes(o.Changes)
	}
	b := fmt.Appendf(nil, `{"actual":%s,"supposed":%s,"changes":`, jsonOf(o.Actual), jsonOf(o.Supposed))
	return a.value(append(appendChanges(b, o.Changes), '}'))
}

func (w *whatIfFlags) supposition(ctx context.Context, log driver.Log, stream string, last uint64, f *foldFlags) (s history.Supposition, err error) {
	for _, text := range w.without {
		first, end, ranged := strings.Cut(text, "-")
		low, err := strconv.ParseUint(first, 10, 64)
		high := low
		if err == nil && ranged {
			high, err = strconv.ParseUint(end, 10, 64)
		}
		if err != nil || low == 0 || high < low {
			return s, usagef("--without: %q is neither a version from 1 nor a range of them", text)
		}
		if high > last {
			return s, fmt.Errorf("%w: version %d of stream %q; it is at version %d", driver.ErrNotFound, high, stream, last)
		}
		for v := low; v <= high; v++ {
			s.Without = append(s.Without, v)
		}
	}
	s.Instead, s.Extra = map[uint64]driver.Record{}, map[uint64][]driver.Record{}
	for _, text := range w.instead {
		v, rest, err := versionOf("instead", text, 1)
		if err != nil {
			return s, err
		}
		now, err := event(ctx, log, []string{stream, fmt.Sprint(v)})
		if err != nil {
			return s, err
		}
		if s.Instead[v], err = supposed("instead", rest, now); err != nil {
			return s, err
		}
	}
	for _, text := range w.extra {
		v, rest, err := versionOf("extra", text, 0)
		if err != nil {
			return s, err
		}
		r, err := supposed("extra", rest, driver.Record{Event: driver.Event{ID: uuid.Must(uuid.NewV7()), Stream: stream}, Version: v, Time: time.Now().UTC()})
		if err != nil {
			return s, err
		}
		s.Extra[v] = append(s.Extra[v], r)
	}
	program := w.program
	if w.file != "" {
		text, err := os.ReadFile(w.file)
		if err != nil {
			return s, usagef("--other-fold-file: %v", err)
		}
		program = string(text)
	}
	if program != "" {
		s.Fold, err = compileFold(program, f.limit)
	}
	return s, err
}

func versionOf(flag, text string, least uint64) (v uint64, rest string, err error) {
	number, rest, ok := strings.Cut(text, "=")
	v, err = strconv.ParseUint(number, 10, 64)
	if !ok || err != nil || v < least {
		return 0, "", usagef("--%s: %q is not of the form VERSION=EVENT", flag, text)
	}
	return v, rest, nil
}

// supposed returns r with what the text of an event says.
func supposed(flag, text string, r driver.Record) (driver.Record, error) {
	var in struct {
		Type     string            `json:"type"`
		Data     json.RawMessage   `json:"data"`
		Metadata map[string]string `json:"metadata"`
		Tags     []string          `json:"tags"`
		Occurred time.Time         `json:"occurred"`
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return r, usagef("--%s: the event: %v", flag, err)
	}
	if in.Type != "" {
		r.Type = in.Type
	}
	if in.Data != nil {
		data, err := wire.CheckData(in.Data)
		if err != nil {
			return r, usagef("--%s: the event: %v", flag, err)
		}
		r.Data, r.Encoding = data, ""
	}
	if in.Metadata != nil {
		r.Metadata = driver.NewMetadata(in.Metadata)
	}
	if in.Tags != nil {
		r.Tags = in.Tags
	}
	if !in.Occurred.IsZero() {
		r.Occurred = in.Occurred
	}
	if r.Type == "" || r.Data == nil {
		return r, usagef(`--%s: an event needs "type" and "data"`, flag)
	}
	return r, nil
}
