package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/internal/fold"
	"github.com/annals-db/annals/internal/retail"
	"github.com/annals-db/annals/internal/rows"
	"github.com/annals-db/annals/internal/seek"
)

const (
	demoStream = "product-22197"
	demoFold   = ".sold += $event.data.quantity"
	demoRows   = 20_000
)

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo [DIRECTORY]",
		Short: "See the main job done on a made-up history",
		Long: `Make a store in DIRECTORY (annals-demo, here, if none is named), load a made-up shop's
history of 20,000 events into it, and show its state now and in the past, its
history, a decision made safely and a check of the whole. Run again, it adds nothing.
The directory is yours to explore and to remove.`,
		Example: `  annals demo
  annals demo /tmp/shop`,
		Args: between(0, 1, "at most a DIRECTORY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "annals-demo"
			if len(args) == 1 {
				dir = args[0]
			}
			return a.demo(cmd.Context(), dir)
		},
	}
}

func (a *app) demo(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	store := filepath.Join(dir, "shop.db")
	csv := filepath.Join(dir, "retail.csv")
	var text bytes.Buffer
	totals, err := retail.Write(&text, demoRows, 2026)
	if err != nil {
		return err
	}
	if err := os.WriteFile(csv, text.Bytes(), 0o600); err != nil {
		return err
	}
	log, err := filestore.Open(store, &filestore.Options{Logger: a.logger()})
	if err != nil {
		return err
	}
	d := demo{app: a, log: log, url: "file:" + store, csv: csv}
	err = d.show(ctx, &text, totals)
	return errors.Join(err, log.Close())
}

// demo is one showing, in steps.
type demo struct {
	app      *app
	log      *filestore.Store
	url, csv string
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.app.out, format+"\n", args...) }

func (d *demo) show(ctx context.Context, text *bytes.Buffer, want retail.Totals) error {
	if err := d.load(ctx, text); err != nil {
		return err
	}
	middle := retail.Middle.AddDate(0, 0, 1).Add(-1)
	past, err := seek.AsOf(ctx, d.log, middle)
	if err != nil {
		return err
	}
	d.say("\n2. State is what the events add up to, now or at any time. The fold: %s", demoFold)
	for _, s := range []struct {
		what  string
		query driver.Query
		upTo  driver.Position
		want  int
	}{
		{"popcorn holders sold, now", stream(demoStream), 0, want.Sold["22197"]},
		{"the same at the end of 2011-06-30", stream(demoStream), past, want.SoldMid["22197"]},
		{"everything sold, now", category("product"), 0, want.Sum},
		{"the same at the end of 2011-06-30", category("product"), past, want.SumMid},
	} {
		if err := d.state(ctx, s.what, s.query, s.upTo, s.want); err != nil {
			return err
		}
	}
	if err := d.history(ctx); err != nil {
		return err
	}
	if err := d.verify(ctx); err != nil {
		return err
	}
	d.say(`
Now try, with ANNALS_STORE=%s set:
  annals info
  annals read %s --limit 5 -o table
  annals state %s --fold '%s' --as-of 2011-03-31
  annals state --category product --each --fold '%s' -o table
  annals append %s StockMoved '{"quantity":12}' --expect-version 1    a conflict: it has moved on
  annals export --query category=product | head -3
  annals bench`, d.url, demoStream, demoStream, demoFold, demoFold, demoStream)
	return nil
}

func stream(name string) driver.Query {
	return driver.Query{Items: []driver.Item{{Streams: []string{name}}}}
}

func category(name string) driver.Query {
	return driver.Query{Items: []driver.Item{{Category: name}}}
}

// load imports the history.
func (d *demo) load(ctx context.Context, text *bytes.Buffer) error {
	src, err := rows.Open(text, 0)
	if err != nil {
		return err
	}
	m, err := rows.Compile(rows.Templates{
		Stream: "product-{{.StockCode}}", Type: "StockMoved", Time: "{{.InvoiceDate}}",
		Data: `{"quantity":{{int .Quantity}},"price":{{number .UnitPrice}},"invoice":{{json .InvoiceNo}},"country":{{json .Country}}}`,
	}, "retail.csv", src.Columns, driver.DefaultLimits)
	if err != nil {
		return err
	}
	begin := time.Now()
	s, err := rows.Import(ctx, d.log, src, m, nil)
	if err != nil {
		return err
	}
	d.say("1. A made-up shop's history, %d rows of %s, is in the store %s:", s.Rows, d.csv, d.url)
	d.say("   %d events added, %d known before, in %s; each was on disk before it counted", s.Added, s.Known, time.Since(begin).Round(time.Millisecond))
	return nil
}

// state folds and shows one state, which is known from how the history was made.
func (d *demo) state(ctx context.Context, what string, q driver.Query, upTo driver.Position, want int) error {
	f, err := fold.Compile(demoFold, nil)
	if err != nil {
		return err
	}
	state, n, err := f.Over(ctx, d.log.Read(ctx, q, driver.ReadOptions{UpTo: upTo}))
	if err != nil {
		return err
	}
	text, err := fold.Marshal(state)
	if err != nil {
		return err
	}
	d.say("   %-36s %s from %d events", what, text, n)
	if string(text) != fmt.Sprintf(`{"sold":%d}`, want) {
		return fmt.Errorf("that is wrong: the history was made with %d; please report this", want)
	}
	return nil
}

// history shows the last events of a stream and refuses a stale decision.
func (d *demo) history(ctx context.Context) error {
	d.say("\n3. The history stays: the last three events of %s", demoStream)
	var last driver.Record
	for rec, err := range d.log.Read(ctx, stream(demoStream), driver.ReadOptions{Backward: true, Limit: 3}) {
		if err != nil {
			return err
		}
		if last.Version < rec.Version {
			last = rec
		}
		d.say("   version %d  %s  %s %s", rec.Version, rec.Time.Format(time.RFC3339), rec.Type, rec.Data)
	}
	_, err := d.log.Append(ctx, driver.Batch{
		Events:     []driver.Event{{ID: uuid.New(), Stream: demoStream, Type: "StockMoved", Data: []byte(`{"quantity":1}`)}},
		Conditions: []driver.Condition{driver.StreamAt(demoStream, last.Version-1)},
	})
	var conflict *driver.ConflictError
	if !errors.As(err, &conflict) {
		return fmt.Errorf("a decision on stale state was not refused: %w", err)
	}
	d.say("\n4. A decision on stale state is refused, and nothing is written:\n   %v", conflict)
	return nil
}

// verify checks the whole store.
func (d *demo) verify(ctx context.Context) error {
	for fault := range d.log.Verify(ctx, nil) {
		return fault
	}
	info, err := d.log.Info(ctx)
	if err != nil {
		return err
	}
	sum, err := d.log.TreeHead(ctx, info.Head)
	if err != nil {
		return err
	}
	d.say("\n5. Every byte is checked: %d events, no faults, running hash %x", info.Head, sum)
	return nil
}
