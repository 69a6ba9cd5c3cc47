// Package annals keeps every change to an application's state as an event, for
// ever and in order, and gives any past state back.
//
// Start with [NewModel], which says what events do to a state, and [New],
// which makes a handle to a log that a store has opened. [DB.Update] runs a
// function with a [Tx]: everything the function reads becomes a condition,
// everything it records becomes one atomic append, and if others changed
// meanwhile what it read, it runs again. [DB.View] reads the present or, by
// [View.At], [View.AsOf] and [View.AsOccurred], the past. [DB.Subscribe]
// follows the log.
//
//	type Item struct {
//		annals.Entity
//		Name     string
//		Quantity int
//	}
//
//	type ItemCreated struct{ Name string; Quantity int }
//	type QuantityDecreased struct{ Amount int }
//
//	var Items = annals.NewModel("item",
//		annals.On(func(i *Item, e ItemCreated) { i.Name, i.Quantity = e.Name, e.Quantity }),
//		annals.On(func(i *Item, e QuantityDecreased) { i.Quantity -= e.Amount }),
//	)
//
//	func (i *Item) Decrease(n int) error {
//		if n > i.Quantity {
//			return fmt.Errorf("only %d of %s left", i.Quantity, i.Name)
//		}
//		return i.Record(QuantityDecreased{Amount: n})
//	}
//
//	_, err = Items.Update(ctx, db, "laptop", func(i *Item) error { return i.Decrease(3) })
//	past, err := Items.Load(db.View(ctx).AsOf(lastTuesday), "laptop")
//
// # Rules
//
// A transaction loads one ID once and always gives the same object. Folds
// include what the transaction itself has recorded; conditions count only
// others' events. A failed [Entity.Record] dooms the transaction. An entity
// from a view, or from a transaction that has ended, refuses to record. A
// command that fails leaves nothing behind.
//
// Events are decoded again before they are applied, so that recording and
// replaying give the same state. Handlers see the event and, with
// [OnEnvelope], what was fixed before the commit; none sees the log's position
// or time.
//
// An error says what was being done to what, once. [ErrNotFound], [ErrExists]
// and [ErrOutcomeUnknown] are for errors.Is, [*ConflictError] is for errors.As.
package annals
