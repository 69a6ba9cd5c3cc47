// Package merkle computes the running hash of a log: the RFC 6962 tree head
// over the leaves of its records, which is the same in every store.
//
// A [Hasher] makes the leaf of a record, a [Range] takes leaves one by one and
// gives the tree head ([Range.Root]). Ranges of adjacent parts of a log, say of
// its segments, are made apart, kept in a few hundred bytes each, and merged.
//
// # Leaf
//
// The leaf of a record is the SHA-256 of these bytes. Integers are big-endian;
// a text is its length in bytes (4) and its UTF-8; a list is its length (4) and
// its elements.
//
//	bytes  what
//	    1  0x00, as RFC 6962 begins a leaf
//	    1  0x01, the version of this table
//	    8  position
//	 text  stream, empty if none
//	    8  version within the stream, 0 without a stream
//	 text  type
//	 text  encoding, empty for JSON
//	   16  ID
//	    8  time, nanoseconds since 1970 UTC, two's complement
//	    8  occurred, likewise; the time again if the producer gave none
//	 list  tags: text
//	 list  metadata, sorted by key: text key, text value
//	    8  batch: the position of the batch's first record
//	 list  conditions:
//	           1  kind
//	        text  stream
//	           8  version
//	           8  after
//	        list  items of the query:
//	              list  types: text
//	              list  tags: text
//	              list  streams: text
//	              text  category
//	              list  IDs: 16
//	   32  SHA-256 of the payload
//
// Every part has a fixed length or says its own, so no two records that
// differ give the same bytes.
//
// # Tree
//
// The record at position p is leaf number p-1. A node above two others is
// SHA-256(0x01 ‖ left ‖ right); the head of the empty tree is the SHA-256 of no
// bytes (RFC 6962, section 2.1).
package merkle

import "crypto/sha256"

// Hash is a leaf, a node or a tree head.
type Hash = [sha256.Size]byte

// EmptyRoot is the head of the tree without leaves.
var EmptyRoot = sha256.Sum256(nil)

// node returns the hash of the node above left and right.
func node(left, right *Hash) Hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = 0x01
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}
