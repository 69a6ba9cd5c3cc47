package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/internal/fold"
)

// foldFlags say how a state comes from events.
type foldFlags struct {
	text, file, name string
	limit            time.Duration
}

func (f *foldFlags) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.text, "fold", "", "the jq program (default: the fold kept for the category, else merge the data)")
	flags.StringVar(&f.file, "fold-file", "", "the file that holds it")
	flags.StringVar(&f.name, "fold-name", "", "the category whose fold to use; merge for none")
	flags.DurationVar(&f.limit, "fold-limit", 5*time.Second, "how long it may take on one event")
}

func (f *foldFlags) check() error {
	given := 0
	for _, s := range []string{f.text, f.file, f.name} {
		if s != "" {
			given++
		}
	}
	if given > 1 {
		return usagef("use one of --fold, --fold-file and --fold-name")
	}
	return nil
}

// program returns the jq program that the flags say, or that is kept for the
// category; "" for merging.
func (f *foldFlags) program(ctx context.Context, log driver.Log, category string) (string, error) {
	switch {
	case f.text != "":
		return f.text, nil
	case f.file != "":
		text, err := os.ReadFile(f.file)
		if err != nil {
			return "", usagef("--fold-file: %v", err)
		}
		return string(text), nil
	case f.name == "merge":
		return "", nil
	case f.name != "":
		kept, err := keptFold(ctx, log, f.name, 0)
		if err == nil && kept.program == "" {
			err = fmt.Errorf("%w: no fold is kept for category %q", driver.ErrNotFound, f.name)
		}
		return kept.program, err
	case category == "":
		return "", nil
	}
	kept, err := keptFold(ctx, log, category, 0)
	return kept.program, err
}

// of returns the fold for a stream.
func (f *foldFlags) of(ctx context.Context, log driver.Log, stream string) (history.Fold, error) {
	program, err := f.program(ctx, log, driver.Category(stream))
	if err != nil {
		return nil, err
	}
	return compileFold(program, f.limit)
}

func compileFold(program string, limit time.Duration) (history.Fold, error) {
	if strings.TrimSpace(program) == "" {
		return history.Merge(), nil
	}
	f, err := history.JQ(program, &history.JQOptions{Limit: limit})
	if err != nil {
		return nil, usage(err)
	}
	return f, nil
}

// compile returns the fold for a category as package fold has it.
func (f *foldFlags) compile(ctx context.Context, log driver.Log, category string) (*fold.Fold, error) {
	program, err := f.program(ctx, log, category)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(program) == "" {
		return fold.Merge(), nil
	}
	compiled, err := fold.Compile(program, &fold.Options{Limit: f.limit})
	if err != nil {
		return nil, usage(err)
	}
	return compiled, nil
}

// kept is a fold that is kept beside the data: the last FoldSet in the stream
// fold-CATEGORY, unless FoldRemoved came after it.
type kept struct {
	program string // "" if there is none
	version uint64 // of the stream
	record  driver.Record
}

func foldStream(category string) string { return "fold-" + category }

// keptFold returns the fold of a category, as of a version if it is not 0.
func keptFold(ctx context.Context, log driver.Log, category string, version uint64) (kept, error) {
	var k kept
	q := driver.Query{Items: []driver.Item{{Streams: []string{foldStream(category)}, Types: []string{"FoldSet", "FoldRemoved"}}}}
	for rec, err := range log.Read(ctx, q, driver.ReadOptions{Backward: true}) {
		if err != nil {
			return k, err
		}
		if version != 0 && rec.Version > version {
			continue
		}
		k.version, k.record = rec.Version, rec
		if version != 0 && rec.Version != version || rec.Type == "FoldRemoved" {
			return k, nil
		}
		var data struct {
			Program string `json:"program"`
		}
		if err := json.Unmarshal(rec.Data, &data); err != nil {
			return k, fmt.Errorf("the fold of category %q at position %d: %w", category, rec.Position, err)
		}
		k.program = data.Program
		return k, nil
	}
	return k, nil
}
