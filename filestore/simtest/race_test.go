//go:build race

package simtest

// slow says that the race detector is on, which makes everything several times slower.
const slow = true
