package simfs

import "math/rand/v2"

// Mood says how much of what was not synced a power cut leaves of a file or directory.
type Mood uint8

// The moods.
const (
	Any      Mood = iota // one of the others, by the seed
	KeepNone             // exactly what was synced
	KeepAll              // everything
	Random               // any choice, sector by sector and entry by entry
)

// settled returns m, or the one that r draws if m is Any.
func (m Mood) settled(r *rand.Rand) Mood {
	if m != Any {
		return m
	}
	return [...]Mood{KeepNone, KeepAll, Random, Random}[r.IntN(4)]
}

// choose returns one of n states, of which 0 is the oldest.
func (m Mood) choose(n int, r *rand.Rand) int {
	switch {
	case n <= 1 || m == KeepNone:
		return 0
	case m == KeepAll:
		return n - 1
	}
	return r.IntN(n)
}
