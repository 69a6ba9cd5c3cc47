package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/internal/load"
)

func (a *app) benchCommand() *cobra.Command {
	var o load.Options
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure how fast this machine appends and reads",
		Long: `Append events from a number of writers at once, each waiting until its append is
durable before the next, then read them back. Without --store a new store is made
in this directory and removed afterwards, so that the disk measured is this one;
with --store the events stay in that store, in streams bench-0, bench-1 and so on.`,
		Example: `  annals bench
  annals bench --writers 512 --duration 10s
  annals bench --writers 1 --batch 1000 -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.bench(cmd, o) },
	}
	flags := cmd.Flags()
	flags.IntVar(&o.Writers, "writers", 64, "how many append at once")
	flags.IntVar(&o.Batch, "batch", 1, "events in an append")
	flags.IntVar(&o.Bytes, "bytes", 200, "bytes of data in an event")
	flags.DurationVar(&o.Duration, "duration", 5*time.Second, "how long to append")
	return cmd
}

func (a *app) bench(cmd *cobra.Command, o load.Options) error {
	if o.Writers < 1 || o.Batch < 1 || o.Bytes < 1 || o.Duration <= 0 {
		return usagef("--writers, --batch, --bytes and --duration begin at 1")
	}
	url := a.storeFlag
	if url == "" {
		dir, err := os.MkdirTemp(".", "annals-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		url = "file:" + filepath.Join(dir, "store")
	}
	log, err := a.openURL(cmd.Context(), url, opening{want: toWrite})
	if err != nil {
		return err
	}
	defer log.Close()
	r, err := load.Run(cmd.Context(), log, o)
	if err != nil && r.Events == 0 {
		return err
	}
	if printErr := a.measured(&r); printErr != nil {
		return errors.Join(err, printErr)
	}
	return err
}

func (a *app) measured(r *load.Result) error {
	rate := func(n int, d time.Duration) int {
		if d <= 0 {
			return 0
		}
		return int(float64(n) / d.Seconds())
	}
	micro := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	appended, scanned := rate(r.Events, r.Elapsed), rate(r.Scanned, r.ScanElapsed)
	text := fmt.Appendf(nil, `{"writers":%d,"batch":%d,"bytes":%d,"events":%d,"seconds":%.3f,"appended_per_second":%d,`+
		`"p50_us":%.1f,"p99_us":%.1f,"max_us":%.1f,"durability":%q,"read_per_second":%d}`,
		r.Writers, r.Batch, r.Bytes, r.Events, r.Elapsed.Seconds(), appended, micro(r.P50), micro(r.P99), micro(r.Max), r.Durability, scanned)
	return a.one(text, [][2]string{
		{"writers", fmt.Sprintf("%d, %d events of %d bytes in an append, durability %s", r.Writers, r.Batch, r.Bytes, r.Durability)},
		{"appended", fmt.Sprintf("%d events in %s: %d events/s", r.Events, r.Elapsed.Round(time.Millisecond), appended)},
		{"one append", fmt.Sprintf("median %s, 99th percentile %s, longest %s", r.P50, r.P99, r.Max)},
		{"read back", fmt.Sprintf("%d events in %s: %d events/s", r.Scanned, r.ScanElapsed.Round(time.Millisecond), scanned)},
	})
}
