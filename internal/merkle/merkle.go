// Package merkle computes the running hash of a log: the RFC 6962 tree head
// over the canonical hashes of its records, which is the same in every store.
package merkle
