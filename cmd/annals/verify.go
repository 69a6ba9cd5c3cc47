package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
)

func (a *app) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Check every byte of the store against its checksums and marks",
		Long: `Read everything the store holds and check it: checksums, order, versions, indexes,
the durable mark. Each fault is printed with its position. The exit code is 5 if
there are any, else 0 with the running hash, by which copies compare.`,
		Example: `  annals verify
  annals --store file:backup.db verify -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.verify(cmd) },
	}
}

// faultJSON is a fault as verify prints it.
type faultJSON struct {
	Fault    string `json:"fault"`
	Position uint64 `json:"position,omitempty"`
	Place    string `json:"place,omitempty"`
}

func (a *app) verify(cmd *cobra.Command) error {
	ctx := cmd.Context()
	log, err := a.open(toRead)
	if err != nil {
		return err
	}
	defer log.Close()
	v, ok := log.(driver.Verifier)
	if !ok {
		return fmt.Errorf("a store of this kind does not check itself")
	}
	bar := a.progress("verifying", "events", -1)
	defer bar.finish()
	begin := a.now()
	p := a.printer("POSITION", "PLACE", "FAULT")
	faults := 0
	var firstFault error
	for fault := range v.Verify(ctx, func(done, total driver.Position) { bar.set(int64(done), int64(total)) }) {
		if ctx.Err() != nil && errors.Is(fault, ctx.Err()) {
			return fault
		}
		if faults++; firstFault == nil {
			firstFault = fault
		}
		p.add(faultItem(fault))
	}
	bar.finish()
	if faults > 0 {
		if err := p.finish(); err != nil {
			return err
		}
		return fmt.Errorf("%w: %s, the first: %w", errFaults, count(faults, "fault"), firstFault)
	}
	return a.verified(cmd, log, begin)
}

func faultItem(fault error) item {
	f := faultJSON{Fault: fault.Error()}
	var c *driver.CorruptError
	if errors.As(fault, &c) {
		f = faultJSON{c.Reason, uint64(c.Position), c.Place}
	}
	text, _ := json.Marshal(f) // strings and a number cannot fail
	return item{text, []string{fmt.Sprint(f.Position), f.Place, f.Fault}}
}

// verified prints what was found to be good.
func (a *app) verified(cmd *cobra.Command, log driver.Log, begin time.Time) error {
	info, err := log.Info(cmd.Context())
	if err != nil {
		return err
	}
	hash := ""
	if h, ok := log.(driver.Hasher); ok {
		sum, err := h.TreeHead(cmd.Context(), info.Head)
		if err != nil {
			return err
		}
		hash = hex.EncodeToString(sum[:])
	}
	took := a.now().Sub(begin)
	text := fmt.Appendf(nil, `{"ok":true,"events":%d,"hash":%q,"log_id":%q,"seconds":%.3f}`, info.Head, hash, info.LogID, took.Seconds())
	return a.one(text, [][2]string{{"verified", "no faults"}, {"events", fmt.Sprint(info.Head)}, {"running hash", hash}, {"took", took.Round(time.Millisecond).String()}})
}
