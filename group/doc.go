// Package group lets several workers share a subscription: a consumer group.
//
// Start with [New] and [Group.Run]: every worker, in whatever process, runs the
// group of the same name, and each event that matches goes to one of them.
//
//	emails := group.New(db, "emails", annals.Match(annals.QueryItem{Types: []string{"OrderPlaced"}}), nil)
//	err := emails.Run(ctx, func(ctx context.Context, r annals.Record) error {
//		return send(ctx, r) // nil acknowledges; an error tries again, then parks
//	})
//
// # What is promised
//
// The events are divided into partitions by stream, or by a tag or a function
// ([Options]), and a partition belongs to one worker at a time: within it,
// events come in order, one after the other. A worker that is killed loses its
// partitions within [Options].Lease; one that joins is given its share.
//
// Each event is delivered at least once: it is acknowledged when the handler
// returns nil, and after a crash those since the last commit come again
// ([Options].CommitEvery). A handler that must not act twice looks at the
// event's ID; what only changes an Annals log is exactly once with package
// process.
//
// A handler that fails is tried again, with a pause that grows, and after
// [Options].Attempts failures the event is parked: the partition goes on. Later
// events of the same key wait behind it, parked as well, or go on
// ([Options].PassParked). [Inspect] lists what is parked with its error;
// [Replay] delivers it again, and what waits behind it after it; [Drop] forgets it.
//
// # Where it is kept
//
// Leases, positions and what is parked lie in the log's state
// ([driver.State]), under "group/NAME/…", as JSON; nothing is added to the log.
// [List] and [Inspect] read it and need no Go types. Each write is fenced by the
// partition's lease, so that a worker that was paused and comes back can
// neither move a position back nor park what another has dealt with.
//
// Workers in several processes need a store that several can open for writing:
// SQLite, PostgreSQL, a cluster or a server. On a file store and in memory the
// workers are goroutines of the one process that has it open.
package group
