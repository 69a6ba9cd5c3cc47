// Package move brings a log from one store to another, whatever the two are:
// from a directory to PostgreSQL, from there to a cluster, and back.
//
// [Copy] is all there is. The copy has the same positions, versions, times,
// IDs, batches and conditions, and so the same running hash, by which Copy
// checks at the end that both are one log. With the log ID of the source,
// which the store copied to is given where it is made (Options.LogID of each),
// checkpoints made on the one hold on the other.
//
//	from, err := filestore.Open("inventory", &filestore.Options{ReadOnly: true})
//	info, err := from.Info(ctx)
//	to, err := filestore.Open("/new/inventory", &filestore.Options{LogID: info.LogID})
//	result, err := move.Copy(ctx, from, to, nil)
//
// # Going on where it stopped
//
// The store copied to may hold a beginning of the source: what an interrupted
// Copy left, or an older copy. Copy adds what is missing. If it holds anything
// else, Copy changes nothing and returns a [*DifferError] that names the first
// position where the two differ.
//
// # While the source is written
//
// With [Options.Follow] Copy goes on with what is appended to the source.
// To switch: follow until the copy is abreast, end the writers of the source,
// end the following, and open the copy. Copy then has taken what was written
// last and has compared the two. What is written to the source after that is
// in no copy; the next Copy says so, since the two have then parted.
package move
