// Package driver is the contract that every Annals store fulfils. Users of
// Annals need it only to write a store; they open one of the stores and hand
// it to annals.New.
//
// Start with [Log], five methods. What a store may offer besides is in the
// optional capabilities [Submitter], [Locator], [Versioner], [Hasher], [Stater],
// [StateReader], [Inliner], [Exclusive] and [Verifier]. What all stores promise
// is tested by package drivertest, which runs against every one of them.
//
// The vocabulary is that of the design: an [Event] is a fact to be appended, a
// [Record] is an event as the log holds it, a [Query] selects records, a
// [Condition] says what an append requires, a [Batch] is appended whole or not
// at all.
package driver
