// Package simtest runs a store under simulated disasters and checks it against
// a history of what it said. Start with [Run], which plays one seed:
//
//	several writers append (streams, several streams, tags, conditions,
//	repeated and clashing IDs), readers, subscribers and a second process read,
//	on a disk of package simfs; at a random operation the power fails, or the
//	process is killed, or the store is closed; syncs fail or lie, the disk
//	fills up, bits flip, the clock jumps; the store is opened again; and so on.
//
// What is checked is in [history]: what was acknowledged is there in full, what
// was refused is not, what anybody ever read is still so, every condition held
// where its batch was put, nothing is half there and nothing invented.
//
// A run is deterministic: it takes place in a bubble of testing/synctest, in
// which one goroutine at a time gets its turn, and every change of the disk
// waits for its own. So the seed that found a fault finds it again, except
// where the store itself leaves something to chance (the order of a map, a
// select). Any number of runs may go on at once, each in a bubble of its own.
package simtest
