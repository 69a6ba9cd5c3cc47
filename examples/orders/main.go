// Command orders is a shop of three applications, each with a log of its own:
// orders, payments and shipping, and a process manager between them. A customer
// places an order and pays it; if the money does not come in time the order is
// cancelled; paid orders are shipped, exactly once, whatever is killed when.
//
//	$ orders run &                              # everything, in one process
//	$ orders place 1 teapot 25
//	$ orders place 2 kettle 40
//	$ orders pay 1
//	$ orders list
//	1  teapot  25  shipped    parcel P-1
//	2  kettle  40  placed
//	$ orders show 1                             # what came of it, over all logs
//	orders      OrderPlaced             {"Order":"1","Item":"teapot","Total":25}
//	fulfilment  FulfilmentBegun         {"Order":"1","Item":"teapot"}
//	fulfilment  PaymentRequested        {"Order":"1","Amount":25}
//	…
//	$ sleep 900; orders list                    # the deadline of a payment is 15 minutes
//	1  teapot  25  shipped    parcel P-1
//	2  kettle  40  cancelled  not paid in time
//
// Kill it (-9) where you like and run it again. The logs are SQLite files in
// the directory given by -dir, so every command may run beside the others, and
// so may several of "orders run", each for all applications or, with -only, for
// some. With -store, or the variable ORDERS_STORE, they are elsewhere, each
// under the name of its application:
//
//	$ orders -store 'postgres://user@host/shop?schema={app}' run
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/annals-db/annals"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "orders:", err)
		os.Exit(1)
	}
}

const usage = `orders [-dir DIR] [-store URL] COMMAND
  place ORDER ITEM TOTAL   place an order
  pay ORDER                pay it
  list                     all orders, from the read model
  show ORDER               what came of an order, over all logs
  watch [-n COUNT]         what happens in all logs, as it happens
  run [-deadline D] [-packing D] [-only APPS] [-settle]
                           run the applications; -settle does what is to be done now and ends`

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("orders", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprintln(flags.Output(), usage) }
	dir := flags.String("dir", "shop", "where the read model is, and the logs unless -store says where")
	url := flags.String("store", os.Getenv("ORDERS_STORE"), "the `URL` of the logs, with {app} for the application")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("what to do?\n" + usage)
	}
	s, err := openShop(ctx, *dir, *url)
	if err != nil {
		return err
	}
	defer s.close()
	return s.do(ctx, flags.Arg(0), flags.Args()[1:], out)
}

func (s *shop) do(ctx context.Context, command string, args []string, out io.Writer) error {
	switch {
	case command == "place" && len(args) == 3:
		total, err := strconv.Atoi(args[2])
		if err != nil {
			return fmt.Errorf("total %q is no number", args[2])
		}
		_, err = Orders.Add(ctx, s.dbs["orders"], args[0], func(o *Order) error { return o.Place(args[1], total) })
		return err
	case command == "pay" && len(args) == 1:
		return s.pay(ctx, args[0])
	case command == "list" && len(args) == 0:
		return s.list(ctx, out)
	case command == "show" && len(args) == 1:
		return s.show(ctx, args[0], out)
	case command == "watch":
		return s.watch(ctx, args, out)
	case command == "run":
		return s.runCommand(ctx, args)
	}
	return errors.New("that is no command:\n" + usage)
}

// pay records that the customer has paid, as part of what came of the order.
func (s *shop) pay(ctx context.Context, order string) error {
	if _, err := Orders.Load(s.dbs["orders"].View(ctx), order); err != nil {
		return noOrder(order, err)
	}
	db := s.dbs["payments"]
	for step, err := range Payments.History(db.View(ctx), order) {
		if errors.Is(err, annals.ErrNotFound) {
			return fmt.Errorf("the payment of order %s is not open yet; what opens it is: orders run", order)
		}
		if err != nil {
			return err
		}
		ctx = annals.WithCorrelation(ctx, step.Record.Metadata.Value("correlation"))
		break
	}
	_, err := Payments.Update(ctx, db, order, (*Payment).Receive)
	return err
}

// noOrder returns err, which says no more than that something was not found
// where there is no such order, in the words of who has asked for it.
func noOrder(order string, err error) error {
	if errors.Is(err, annals.ErrNotFound) {
		return fmt.Errorf("there is no order %s", order)
	}
	return err
}

func (s *shop) runCommand(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	deadline := flags.Duration("deadline", 15*time.Minute, "how long a customer has to pay")
	packing := flags.Duration("packing", 0, "how long a parcel takes to pack")
	only := flags.String("only", "", "run only these applications: "+strings.Join(apps, ","))
	settle := flags.Bool("settle", false, "do what is to be done now, and end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	set := settings{*deadline, *packing}
	if *settle {
		return s.settle(ctx, set)
	}
	var names []string
	if *only != "" {
		names = strings.Split(*only, ",")
	}
	if err := s.run(ctx, set, names); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func (s *shop) list(ctx context.Context, out io.Writer) error {
	if _, err := s.overview(ctx); err != nil { // makes the table where there is none
		return err
	}
	rows, err := s.readModel.QueryContext(ctx, `SELECT id, item, total, status, note FROM orders ORDER BY id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	w := newTable(out)
	for rows.Next() {
		var id, item, status, note string
		var total int
		if err := rows.Scan(&id, &item, &total, &status, &note); err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", id, item, total, status, note)
	}
	return errors.Join(rows.Err(), w.Flush())
}

// show prints every event that has come of an order: its correlation is the
// event that placed the order.
func (s *shop) show(ctx context.Context, order string, out io.Writer) error {
	placed := annals.ID{}
	for step, err := range Orders.History(s.dbs["orders"].View(ctx), order) {
		if err != nil {
			return noOrder(order, err)
		}
		placed = step.Record.ID
		break
	}
	all := []told{}
	for _, name := range apps {
		for r, err := range s.dbs[name].View(ctx).Read(annals.Query{}) {
			if err != nil {
				return err
			}
			if r.ID == placed || r.Metadata.Value("correlation") == placed.String() {
				all = append(all, told{name, r})
			}
		}
	}
	w := newTable(out)
	for _, t := range inOrder(all) {
		data := string(t.record.Data)
		if strings.HasPrefix(t.record.Type, "process.") {
			data = "" // a timer's own events
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", t.app, t.record.Type, data)
	}
	return w.Flush()
}
