// Package replica is a store on several machines: a NATS cluster with JetStream
// orders and replicates the log, and every node keeps a copy of its own to read from.
//
// Start with [Open], on each machine with the same cluster and a directory of its own:
//
//	log, err := replica.Open(ctx, "nats://a,nats://b,nats://c", "/var/lib/annals", nil)
//
// One node at a time sequences: it judges conditions, gives positions, versions
// and times, and publishes what it has decided in groups. The others hand
// appends to it and copy the groups, checking the tree head of each. When the
// sequencer goes, another takes over by itself. An append returns when a quorum
// of the servers has it on disk and the node it was made at can read it.
//
// # What holds
//
//  1. A message of the stream counts only if it was published to come right
//     behind the message before it, and says so. Nodes publish nothing behind
//     what they have not taken in. So every group was judged upon exactly the
//     log that lies before it, whichever node judged it, and whatever else
//     was on its way.
//  2. Which messages count, and what they make of the log, follows from the
//     stream alone. So all nodes have the same log, or a beginning of it.
//  3. A node's copy never has what the stream has not. So whatever node goes
//     for good, no other has to take anything back.
//  4. What a node takes in must continue its own log: position and tree head.
//     Where it does not, one of the two is wrong, and the node stops and says where.
//  5. An append is sent again only when its earlier attempts can take effect
//     no more, or will be judged before it. So it is appended once, and an
//     error means that it is not.
//  6. A refusal is given out only while the node that judged holds the lease,
//     so that it was judged by the newest state.
//
// Who may sequence is a lease in the cluster; none of 1 to 5 hangs on it or on
// clocks, only that two nodes do not take over from each other, and 6, which
// asks that clocks run equally fast within a third.
//
// The layout of the messages is drawn beside the code (message, claim, group,
// forward) and in docs/adr/0007-replica.md.
package replica
