// Package process turns events into further events, exactly once: policies,
// process managers with durable timers, and systems of applications that follow
// each other's logs.
//
// Start with [New], which makes an application: a log, and what is done in it
// upon the events of the logs it follows. [On] declares a policy; [Manage]
// declares a step of a process manager, whose state is a model on a stream of
// its own. [NewSystem] joins applications by pipes, and [System.Run] runs them,
// all in one process or each in its own; [System.Settle] runs them in one
// goroutine, step by step, for tests.
//
//	payments := process.New("payments", paymentsDB,
//		process.On(func(r *process.Reaction, e OrderPlaced) error {
//			return r.Tx.Append(PaymentRequested{Order: e.Order, Amount: e.Total})
//		}),
//	)
//	system, err := process.NewSystem(nil, process.Pipe(orders, payments))
//	err = system.Run(ctx)
//
// # Exactly once
//
// A reaction runs in a transaction ([annals.DB.Update]) of its own log. What it
// appends carries the tag "process:APPLICATION/FOLLOWED", the position of its
// cause in the metadata "input", its cause's ID in "causation" and the larger
// doing in "correlation"; its IDs follow from the cause. So the log itself says
// how far the follower is: the last event with its tag names the last event
// that had an effect. The commit has the condition that this is still so, and
// two workers, or one that was paused and comes back, cannot both act: the
// second finds what the first has done. Nothing else needs to be kept, and a
// process that is killed anywhere goes on where it was. How far it has looked
// without effect is kept as a hint in the log's state, only to save reading.
//
// What a reaction does outside its transaction, such as sending a letter, is
// not covered. Use a consumer group (package group) for that.
//
// # Timers
//
// [Reaction.Schedule] makes an event happen later, unless [Reaction.Cancel]
// comes first. Timers are events in the application's log, so they are as
// durable as the reaction that set them, and fire once: when the log's clock
// ([annals.Options].Clock) has reached their time, however it jumps, and
// whichever worker is first.
package process
