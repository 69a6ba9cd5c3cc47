// Package lease gives fenced leases in a log's state: at most one holder works
// under a key at a time, whatever is killed, paused or cut off when.
//
// Start with [New], which makes a [Keeper] for one holder. [Keeper.Acquire]
// takes a lease, [Lease.Renew] keeps it, [Lease.Save] keeps a value beside it in
// the same write, and [Lease.Release] gives it back.
//
// # What is promised
//
// A lease lies under one key of a [driver.State], and every change of it is a
// compare-and-swap of that key. So what a holder saves under a lease that
// another has taken meanwhile is refused ([ErrLost]) and changes nothing: the
// lease fences by itself what is kept beside it. For what is kept elsewhere
// there is the token, which rises with each taking.
//
// No two clocks are compared. Whoever wants a lease that is held watches the
// key, and takes it when it has not changed for the holder's time to live by the
// watcher's own monotonic clock. Clocks that differ, jump or are set back do
// no harm. The price: one who begins to watch must wait for a whole time to
// live, even where the holder has long been dead; except where the state is of
// one process alone ([driver.Exclusive]), since then a holder in another process
// is dead for certain.
//
// # What lies under the key
//
// One JSON object, an [Entry], readable without this package.
package lease
