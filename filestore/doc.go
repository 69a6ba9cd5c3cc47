// Package filestore is the embedded default store: a log engine of its own in
// one directory, with one process that appends and any number that read.
//
// Start with [Open]. It makes the store where there is none:
//
//	log, err := filestore.Open("inventory", nil)
//
// An append returns when its records are synced to the disk; appends of many
// goroutines are synced together. [Options].ReadOnly opens the store without
// its lock, beside a writer in another process, and follows it. [Store.Backup]
// copies a store in use, [Restore] makes one of a backup, [Store.Verify] checks
// every byte, [RebuildIndexes] makes all index files again from the segments.
//
// # Layout
//
//	ANNALS                 what makes the directory a store; never changed
//	lock, pid              who has it open for appending
//	mark                   up to where the log is known to be durable
//	log/0000000001.seg     records, in order; sealed when full, never changed then
//	log/0000000001.idx     finds records in a sealed segment; made from it alone
//	state/                 the small state beside the log, a file for each key
//	aside/                 what torn appends left
//
// The bytes are drawn beside the code that reads them (segmentHeader,
// groupHeader, frame, appendBody, mark, stateEntry) and in docs/format.md.
//
// # Durability
//
// The writer assembles a group of batches, writes it in one piece behind the
// last, syncs the file and then notes in the mark how far the log is durable.
// Only then are the batches acknowledged and shown to readers, and only then is
// the next group written. So after a crash at most the last group can be torn.
//
// Opening reads the active segment again. Damage that lies at or before the
// mark, or before a later group, is corruption: the store opens read-only, up
// to the damage, and says where it is. Damage behind all that is a torn append
// that was never acknowledged; it is set aside in a file, reported, and zeroed
// in the segment. What is found whole behind the mark is written and synced
// once more before anyone is shown it. After a failed sync nothing is known
// about what was written, so the store refuses appends until it is reopened.
package filestore
