// Package simfs is a disk in memory that fails the way disks do, by seed. It
// stands under filestore in tests in the place of package vfs's OS.
//
// Start with [New], which makes an empty [Disk]; [Disk.Process] gives one
// process's view of it, which is a vfs.FS. Then do to it what happens to disks:
//
//   - [Disk.PowerCut] ends every process and leaves what a power cut may leave:
//     of each file any choice of the sectors (512 bytes) written since its last
//     Sync, each in any of the states it went through, torn at any byte, any of
//     the sizes the file had since; of each directory any choice of the entries
//     made, renamed and removed since its last SyncDir, in order or not.
//   - [Process.Kill] ends one process; what it wrote stays, as in the kernel's
//     page cache, synced or not.
//   - [Options].Fault decides by operation what fails: an error and nothing
//     done, an error and a part done, a sync that reports success and does
//     nothing. A Sync that fails leaves the unsynced sectors readable, marked
//     clean, and mostly not on the disk, so that the next Sync succeeds without
//     writing them, as Linux does.
//   - [Disk.SetSpace] fills it up, [Disk.Flip] flips bits at rest.
//
// One choice follows from the next by the seed alone: the same operations in
// the same order end in the same bytes. [Options].Gate puts the order in the
// hands of the test, since it can hold back every operation that changes
// something until its turn comes.
//
// What Sync makes durable is what was written before it was called, not what
// was written while it ran. Making a file durable does not make its name so.
package simfs
