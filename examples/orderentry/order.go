package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/undo"
)

// Order is a table that several people fill in. Its lines keep their numbers.
type Order struct {
	annals.Entity
	Lines map[int]Line
	Last  int // the highest number given out
}

// Line is a line of an order. Prices are cents.
type Line struct {
	Product  string
	Quantity int
	Price    int64
}

// Total is what the line costs, in cents.
func (l Line) Total() int64 { return int64(l.Quantity) * l.Price }

type (
	LineAdded struct {
		Line     int
		Product  string
		Quantity int
		Price    int64
	}
	ProductSet struct {
		Line    int
		Product string
	}
	QuantitySet struct{ Line, Quantity int }
	PriceSet    struct {
		Line  int
		Price int64
	}
	LineRemoved struct{ Line int }
)

func set(o *Order, line int, change func(l *Line)) {
	l := o.Lines[line]
	change(&l)
	o.Lines[line] = l
}

var orders = annals.NewModel("order",
	annals.Init(func(o *Order) { o.Lines = map[int]Line{} }),
	annals.On(func(o *Order, e LineAdded) {
		o.Lines[e.Line] = Line{e.Product, e.Quantity, e.Price}
		o.Last = max(o.Last, e.Line)
	}),
	annals.On(func(o *Order, e ProductSet) { set(o, e.Line, func(l *Line) { l.Product = e.Product }) }),
	annals.On(func(o *Order, e QuantitySet) { set(o, e.Line, func(l *Line) { l.Quantity = e.Quantity }) }),
	annals.On(func(o *Order, e PriceSet) { set(o, e.Line, func(l *Line) { l.Price = e.Price }) }),
	annals.On(func(o *Order, e LineRemoved) { delete(o.Lines, e.Line) }),
	undo.Handler[Order](),
)

// orderUndo takes changes back field by field, what is added by removing it.
// Whoever set a field since stands in the way, and whoever worked on a line that
// shall go; adding lines does not stand in the way of one another.
var orderUndo = undo.New(orders,
	undo.Inverse(func(_ *Order, e LineAdded) []any { return []any{LineRemoved{e.Line}} }),
	undo.Conflict[Order](func(later ProductSet, earlier LineAdded) bool { return later.Line == earlier.Line }),
	undo.Conflict[Order](func(later QuantitySet, earlier LineAdded) bool { return later.Line == earlier.Line }),
	undo.Conflict[Order](func(later PriceSet, earlier LineAdded) bool { return later.Line == earlier.Line }),
	undo.Conflict[Order](func(later LineRemoved, earlier LineAdded) bool { return later.Line == earlier.Line }),
)

// row is a line with its number.
type row struct {
	Number int
	Line
}

func (o *Order) rows() (rows []row, total int64) {
	for _, n := range slices.Sorted(maps.Keys(o.Lines)) {
		rows = append(rows, row{n, o.Lines[n]})
		total += o.Lines[n].Total()
	}
	return rows, total
}

// edit records what differs between what the user saw of a line and what the
// user made of it; what others have done to the other fields stays.
func (o *Order) edit(number int, seen, made Line) error {
	if _, there := o.Lines[number]; !there {
		return userError(fmt.Sprintf("Line %d is gone.", number))
	}
	if made.Product != seen.Product {
		if err := o.Record(ProductSet{number, made.Product}); err != nil {
			return err
		}
	}
	if made.Quantity != seen.Quantity {
		if err := o.Record(QuantitySet{number, made.Quantity}); err != nil {
			return err
		}
	}
	if made.Price != seen.Price {
		return o.Record(PriceSet{number, made.Price})
	}
	return nil
}
