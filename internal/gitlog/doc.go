// Package gitlog turns the history of a git repository into events: [Open] a
// [Repository] and [Import] it.
//
// Every path is a stream file-PATH and every branch a stream branch-NAME. A
// commit is one batch: an event Committed in the stream of its branch, and an
// event for every path it changed. A commit that several branches reach is in the
// stream of the one that HEAD is on, or of one of the others. The events of paths:
//
//	FileAdded, FileModified, FileTypeChanged  the blob and mode the path has now
//	FileModeChanged                           the mode alone
//	FileDeleted                               the path has nothing any more
//	FileRenamed, FileMovedAway                what the path came from; in the stream of
//	                                          the old path, where it went
//	FileCopied                                what the path is a copy of
//
// A merge changes the paths in which it differs from all of its parents, as git
// log -c says: those that somebody had to resolve. When all commits are there,
// each branch that has moved gets an event BranchMoved, from which the next
// import goes on.
//
// An event's actor is the author, its occurred time the author's, its reason
// the first line of the message. It is caused by its commit's event, and that by
// its first parent's; all events of a commit have its hash as correlation. IDs
// follow from the commit and the path, so what is there is not added twice.
//
// A path in the name of a stream is as git has it, but that a percent sign,
// control characters and bytes that are not UTF-8 are escaped as in a URL:
// %0A ([Escape], [Unescape]). A name too long for a stream ends in a hash.
package gitlog
