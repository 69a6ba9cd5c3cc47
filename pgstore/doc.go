// Package pgstore keeps a log in PostgreSQL, version 15 or later: plain tables
// in a schema of their own, for any number of processes that read and write at
// once.
//
// Start with [Open]. [Store.In] appends within a transaction of the caller, so
// that events and other rows are committed together.
//
// # Order
//
// All appends that a process has waiting go to the server in one statement,
// which takes the log's advisory lock, judges each batch and inserts those that
// may be. The lock is held until the commit is durable and visible; so
// positions become visible in order, whoever commits how slowly, and of writers
// whose conditions exclude each other exactly one wins. Writers whose
// conditions do not overlap never abort each other.
//
// # Schema
//
// The tables are in schema/001.sql and the guide, docs/guide/postgresql-store.md.
// Opening a log makes or migrates its schema.
package pgstore
