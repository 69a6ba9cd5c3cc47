package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/fold"
	"github.com/google/uuid"
)

func (a *app) foldCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fold",
		Short: "Keep folds beside the data: set, get, ls, rm",
		Long: `Keep for a category the fold that says what the state of its streams is: a jq
program whose input is the state, at first {}, with the event as $event, and whose
one output is the next state. state, log, show, diff, blame, first, bisect and
what-if then use it for every stream of the category.

The program is an event in the stream fold-CATEGORY, so its history is kept:
annals log fold-item, annals fold get item --version 1.`,
		Example: `  annals fold set product sold.jq
  echo '.sold += $event.data.quantity' | annals fold set product
  annals fold ls
  annals fold rm product`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("fold what? set, get, ls or rm; see %s --help", cmd.CommandPath())
		},
	}
	var version uint64
	get := &cobra.Command{
		Use: "get CATEGORY", Short: "Print a category's fold",
		Args: between(1, 1, "one CATEGORY"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.foldGet(cmd.Context(), args[0], version) },
	}
	get.Flags().Uint64Var(&version, "version", 0, "as it was at this version of its stream")
	cmd.AddCommand(
		&cobra.Command{
			Use: "set CATEGORY [FILE]", Short: "Keep a program as a category's fold, from a file or standard input",
			Args: between(1, 2, "a CATEGORY and at most a FILE"),
			RunE: func(cmd *cobra.Command, args []string) error { return a.foldSet(cmd.Context(), args) },
		},
		get,
		&cobra.Command{
			Use: "ls", Short: "List the folds that are kept", Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return a.foldList(cmd.Context()) },
		},
		&cobra.Command{
			Use: "rm CATEGORY", Short: "Stop using a category's fold", Args: between(1, 1, "one CATEGORY"),
			RunE: func(cmd *cobra.Command, args []string) error { return a.foldRemove(cmd.Context(), args[0]) },
		},
	)
	return cmd
}

func (a *app) foldSet(ctx context.Context, args []string) error {
	var text []byte
	var err error
	if len(args) == 2 && args[1] != "-" {
		text, err = os.ReadFile(args[1])
	} else {
		text, err = io.ReadAll(io.LimitReader(a.in, 1<<20))
	}
	if err != nil {
		return usage(err)
	}
	program := strings.TrimSpace(string(text))
	switch {
	case args[0] == "" || strings.Contains(args[0], "-"):
		return usagef("%q is no category: it is what a stream's name has before its first dash", args[0])
	case args[0] == "merge":
		return usagef("merge is the name of the fold that needs no program")
	case program == "":
		return usagef("the program is empty; annals fold rm %s goes back to merging", args[0])
	}
	if _, err := fold.Compile(program, nil); err != nil {
		return usage(err)
	}
	log, err := a.open(toWrite)
	if err != nil {
		return err
	}
	defer log.Close()
	now, err := keptFold(ctx, log, args[0], 0)
	if err != nil {
		return err
	}
	if now.program == program {
		a.note("that is the fold of category %q already, since version %d of %s", args[0], now.version, foldStream(args[0]))
		return a.foldPrint(args[0], now)
	}
	data, err := json.Marshal(map[string]string{"program": program})
	if err != nil {
		return err
	}
	return a.foldAppend(ctx, log, args[0], "FoldSet", data, now)
}

func (a *app) foldAppend(ctx context.Context, log driver.Log, category, typ string, data []byte, now kept) error {
	e := driver.Event{ID: uuid.Must(uuid.NewV7()), Stream: foldStream(category), Type: typ, Data: data}
	r, err := log.Append(ctx, driver.Batch{Events: []driver.Event{e}, Conditions: []driver.Condition{driver.StreamAt(e.Stream, now.version)}})
	if err != nil {
		return err
	}
	set, err := keptFold(ctx, log, category, 0)
	if err != nil || len(r.Versions) == 0 {
		return err
	}
	return a.foldPrint(category, set)
}

func (a *app) foldPrint(category string, k kept) error {
	text, err := json.Marshal(struct {
		Category string `json:"category"`
		Version  uint64 `json:"version"`
		Program  string `json:"program,omitempty"`
	}{category, k.version, k.program})
	if err != nil {
		return err
	}
	return a.one(text, [][2]string{{"category", category}, {"version", fmt.Sprint(k.version)}, {"program", k.program}})
}

func (a *app) foldGet(ctx context.Context, category string, version uint64) error {
	log, err := a.open(toRead)
	if err != nil {
		return err
	}
	defer log.Close()
	k, err := keptFold(ctx, log, category, version)
	switch {
	case err != nil:
		return err
	case k.program == "" && version != 0:
		return fmt.Errorf("%w: no fold is kept for category %q at version %d", driver.ErrNotFound, category, version)
	case k.program == "":
		return fmt.Errorf("%w: no fold is kept for category %q", driver.ErrNotFound, category)
	}
	if a.format == formatTable {
		_, err = fmt.Fprintln(a.out, k.program)
		return err
	}
	return a.foldPrint(category, k)
}

func (a *app) foldList(ctx context.Context) error {
	log, err := a.open(toRead)
	if err != nil {
		return err
	}
	defer log.Close()
	found := map[string]kept{}
	q := driver.Query{Items: []driver.Item{{Category: "fold", Types: []string{"FoldSet", "FoldRemoved"}}}}
	for rec, err := range log.Read(ctx, q, driver.ReadOptions{}) {
		if err != nil {
			return err
		}
		category := strings.TrimPrefix(rec.Stream, "fold-")
		k := kept{version: rec.Version, record: rec}
		var data struct {
			Program string `json:"program"`
		}
		if rec.Type == "FoldSet" && json.Unmarshal(rec.Data, &data) == nil {
			k.program = data.Program
		}
		found[category] = k
	}
	p := a.printer("CATEGORY", "VERSION", "SINCE", "PROGRAM")
	for _, category := range slices.Sorted(maps.Keys(found)) {
		k := found[category]
		if k.program == "" {
			continue
		}
		since := k.record.Time.UTC().Format(time.RFC3339)
		text, err := json.Marshal(map[string]any{"category": category, "version": k.version, "since": since, "program": k.program})
		if err != nil {
			return err
		}
		p.add(item{json: text, cells: []string{category, fmt.Sprint(k.version), since, k.program}})
	}
	return p.finish()
}

func (a *app) foldRemove(ctx context.Context, category string) error {
	if log, err := a.open(toRead); err != nil { // so that a typo makes no store
		return err
	} else if err := log.Close(); err != nil {
		return err
	}
	log, err := a.open(toWrite)
	if err != nil {
		return err
	}
	defer log.Close()
	k, err := keptFold(ctx, log, category, 0)
	if err == nil && k.program == "" {
		err = fmt.Errorf("%w: no fold is kept for category %q", driver.ErrNotFound, category)
	}
	if err != nil {
		return err
	}
	return a.foldAppend(ctx, log, category, "FoldRemoved", []byte("{}"), k)
}
