package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/internal/when"
)

func (a *app) bisectCommand() *cobra.Command {
	var f foldFlags
	var from, to string
	cmd := &cobra.Command{
		Use:   "bisect STREAM PREDICATE",
		Short: "Find an event at which something flips, by halving",
		Long: `Print an event of a stream at which a predicate begins to hold or ceases to, found
by testing about log2(n) of its n versions. If it flips more than once it is one
of the flips, no matter which; first finds the first, first --all finds all. The
predicate must differ between the two ends.

States on the way are kept beside the log if no other process has it open for
writing; so the next bisect of the stream by the same fold is fast.

` + predicateSyntax + "\n\n" + pointSyntax + "\n" + when.Syntax,
		Example: `  annals bisect item-laptop '.quantity < 3'
  annals bisect item-laptop '.name == "Phone"' --from 2026-01-01 --to 812`,
		Args: between(2, 2, "a STREAM and a PREDICATE"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.bisect(cmd, args, &f, from, to) },
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&from, "from", "0", "the POINT to begin at")
	cmd.Flags().StringVar(&to, "to", "", "the POINT to end at (default now)")
	return cmd
}

func (a *app) bisect(cmd *cobra.Command, args []string, f *foldFlags, from, to string) error {
	ctx := cmd.Context()
	p, err := predicate(args[1])
	if err != nil {
		return err
	}
	begin, err := a.parsePoint("from", from)
	if err != nil {
		return err
	}
	var end history.Point
	if to != "" {
		if end, err = a.parsePoint("to", to); err != nil {
			return err
		}
	}
	h, log, err := a.history(ctx, args[0], f)
	if err != nil {
		return err
	}
	if h, log, err = a.remembering(ctx, h, log, f); err != nil {
		return err
	}
	defer log.Close()
	b, err := h.Bisect(ctx, p, begin, end)
	if err != nil {
		return err
	}
	out := a.printer(flipHeaders...)
	out.addFlip(&b.Flip, fmt.Sprintf(`,"found":"one flip, not surely the first","tested":%d,"folded":%d`, b.Tested, b.Folded))
	if err := out.finish(); err != nil {
		return err
	}
	a.note("this is one flip, not surely the first or the only one (first --all lists them); %d versions tested, %d events folded", b.Tested, b.Folded)
	return nil
}

// remembering opens the store again for writing if that can be, so that states
// can be kept beside the log; if not, it gives back what it was given.
func (a *app) remembering(ctx context.Context, h *history.History, log driver.Log, f *foldFlags) (*history.History, driver.Log, error) {
	if err := log.Close(); err != nil {
		return nil, nil, err
	}
	log, err := a.open(toWrite)
	if err != nil {
		return a.history(ctx, h.Stream(), f)
	}
	through, err := f.of(ctx, log, h.Stream())
	if err != nil {
		_ = log.Close()
		return nil, nil, err
	}
	return history.Of(log, h.Stream(), through), log, nil
}
