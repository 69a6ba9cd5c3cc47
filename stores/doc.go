// Package stores opens a store of any kind by its URL, so that which one a
// program works on is a matter of configuration:
//
//	log, err := stores.Open(ctx, os.Getenv("ANNALS_STORE"), nil)
//
//	mem:                             in memory
//	file:PATH                        a directory, package filestore
//	sqlite:PATH                      a SQLite file, package sqlitestore
//	postgres://USER@HOST/DATABASE    PostgreSQL, package pgstore; ?schema=NAME names the log
//	nats://HOST,HOST/NAME?dir=PATH   a node of a cluster, package replica; PATH is its own copy
//
// A program that imports it links every store. One that needs a single kind
// imports that store's package instead.
package stores
