package index

import "math/bits"

// The numbers of the hash, which the package documentation describes. The seed
// differs from file to file, so that names cannot be chosen to collide.
const (
	k1 = 0x9e3779b97f4a7c15
	k2 = 0xd6e8feb86659fd93
	k3 = 0xa0761d6478bd642f
)

func hash(seed uint64, s string) uint64 {
	h := seed ^ uint64(len(s))*k1
	for ; len(s) >= 8; s = s[8:] {
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		h = fold(h^w, k2)
	}
	if len(s) > 0 {
		w := uint64(0)
		for i := range len(s) {
			w |= uint64(s[i]) << (8 * i)
		}
		h = fold(h^w, k2)
	}
	return fold(h^k3, k1)
}

func fold(x, y uint64) uint64 {
	high, low := bits.Mul64(x, y)
	return high ^ low
}
