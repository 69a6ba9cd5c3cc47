package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/move"
)

// copying is what the flags of copy say.
type copying struct {
	follow, newLog bool
	idle           time.Duration
}

func (a *app) copyCommand() *cobra.Command {
	var c copying
	cmd := &cobra.Command{
		Use:   "copy FROM TO",
		Short: "Copy the log from one store to another of any kind",
		Long: `Copy the log of the store FROM to the store TO, both URLs as --store takes them.
Positions, times, IDs, batches, conditions and the log's ID stay as they are, and so
do the checkpoints and folds kept beside the log. At the end both are compared by
head and running hash.

TO may hold a beginning of the log, such as an interrupted copy leaves: run the same
command again to go on. If it holds anything else nothing is copied, and the first
position where the two differ is named.

With --follow the copy goes on while the source is written, until it is interrupted
or nothing new has come for --until-idle. To switch without losing an event: follow
until it says that it is abreast, end the writers, interrupt the copy, which takes
what was written last and compares, and start the writers with the new URL.`,
		Example: `  annals copy file:inventory file:/new/inventory
  annals copy file:inventory mem: --follow --until-idle 10s`,
		Args: between(2, 2, "FROM and TO"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.copy(cmd.Context(), args[0], args[1], c) },
	}
	f := cmd.Flags()
	f.BoolVar(&c.follow, "follow", false, "go on with what is appended to FROM until interrupted")
	f.DurationVar(&c.idle, "until-idle", 0, "follow until nothing has been appended to FROM for so long, such as 10s")
	f.BoolVar(&c.newLog, "new-log", false, "let TO keep a log ID of its own: checkpoints of FROM will not hold there, and are not copied")
	return cmd
}

func (a *app) copy(ctx context.Context, from, to string, c copying) error {
	if from == to {
		return usagef("copy: %s is both FROM and TO", redact(from))
	}
	if c.idle < 0 {
		return usagef("--until-idle is negative")
	}
	source, err := a.openURL(ctx, from, opening{want: toRead})
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Info(ctx)
	if err != nil {
		return err
	}
	o := opening{want: toWrite, source: source}
	if !c.newLog {
		o.logID = info.LogID
	}
	begin := a.now()
	if err := a.copyFiles(ctx, source, to, c); err != nil {
		return err
	}
	target, err := a.openURL(ctx, to, o)
	if err != nil {
		return err
	}
	r, err := a.copyLog(ctx, source, target, c)
	if err := errors.Join(err, target.Close()); err != nil {
		if errors.Is(err, errInterrupted) {
			err = fmt.Errorf("%w at position %d; the same command goes on from there", err, r.Head)
		}
		return err
	}
	return a.copiedLog(to, r, a.now().Sub(begin))
}

// copyFiles copies the files of a file store to one that is to be made, which
// is several times faster than to append every record. What is left to copy
// and to compare is as for any other store.
func (a *app) copyFiles(ctx context.Context, source driver.Log, to string, c copying) error {
	from, ok := source.(*filestore.Store)
	if !ok || c.newLog {
		return nil
	}
	dir, err := directory(to, "copy")
	if err != nil {
		return nil // another kind of store
	}
	if entries, err := os.ReadDir(dir); len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil // opening it says what is wrong
	}
	bar := a.progress("copying", "bytes", -1)
	defer bar.finish()
	if _, err := from.Backup(ctx, dir, &filestore.BackupOptions{Progress: bar.set}); err != nil {
		return err
	}
	bar.finish()
	copied, err := filestore.Open(dir, &filestore.Options{ReadOnly: true, Logger: a.logger()})
	if err != nil {
		return err
	}
	defer copied.Close()
	bar = a.progress("reading what was copied", "events", -1)
	defer bar.finish()
	info, err := copied.Info(ctx)
	if err != nil {
		return err
	}
	for r, err := range copied.Read(ctx, driver.Query{}, driver.ReadOptions{}) { // each is checked
		if err != nil {
			return err
		}
		if r.Position%10_000 == 0 {
			bar.set(int64(r.Position), int64(info.Head))
		}
	}
	return nil
}

func (a *app) copyLog(ctx context.Context, source, target driver.Log, c copying) (move.Result, error) {
	bar := a.progress("copying", "events", -1)
	defer bar.finish()
	following := c.follow || c.idle > 0
	said := false
	o := &move.Options{Idle: c.idle, NewLog: c.newLog, Progress: func(done, total driver.Position) {
		bar.set(int64(done), int64(total))
		if following && done == total && !said {
			said = true
			a.note("abreast at position %d; following", done)
		}
	}}
	if c.follow {
		// A signal ends the following; then what is left is copied and compared.
		o.Follow = ctx.Done()
		ctx = context.WithoutCancel(ctx)
	}
	return move.Copy(ctx, source, target, o)
}

func (a *app) copiedLog(to string, r move.Result, took time.Duration) error {
	out := struct {
		To      string  `json:"to"`
		LogID   string  `json:"log_id"`
		Head    uint64  `json:"head"`
		Hash    string  `json:"hash"`
		Seconds float64 `json:"seconds"`
	}{redact(to), r.LogID.String(), uint64(r.Head), hex.EncodeToString(r.Hash[:]), float64(took.Milliseconds()) / 1000}
	text, err := json.Marshal(out)
	if err != nil {
		return err
	}
	return a.one(text, [][2]string{{"copied to", out.To}, {"log ID", out.LogID}, {"head", fmt.Sprint(out.Head)},
		{"running hash", out.Hash}, {"compared", "equal"}, {"took", took.Round(time.Millisecond).String()}})
}
