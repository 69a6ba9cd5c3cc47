package index

import (
	"encoding/binary"
	"math/bits"
)

// bitWriter appends bits to buf, as the package documentation describes them;
// flush ends the last byte with zeros.
type bitWriter struct {
	buf []byte
	acc uint64
	n   uint // bits in acc, fewer than 8 between calls
}

// len is the number of bits written.
func (w *bitWriter) len() uint64 { return uint64(len(w.buf))*8 + uint64(w.n) }

// write appends the low width bits of v, width being at most 56.
func (w *bitWriter) write(v uint64, width uint) {
	w.acc |= v & (1<<width - 1) << w.n
	for w.n += width; w.n >= 8; w.n -= 8 {
		w.buf = append(w.buf, byte(w.acc))
		w.acc >>= 8
	}
}

func (w *bitWriter) unary(q uint64) {
	for ; q >= 56; q -= 56 {
		w.write(0, 56)
	}
	w.write(1<<q, uint(q)+1)
}

func (w *bitWriter) gamma(v uint64) {
	width := uint(bits.Len64(v)) - 1
	w.unary(uint64(width))
	w.write(v, width)
}

func (w *bitWriter) rice(v uint64, k uint) {
	w.unary(v >> k)
	w.write(v, k)
}

func (w *bitWriter) flush() []byte {
	w.write(0, (8-w.n)%8)
	return w.buf
}

// bitReader reads bits. Past the end it reads zeros and sets short.
type bitReader struct {
	buf   []byte
	at    uint64 // the next bit
	short bool
}

// peek returns the next 57 bits or more, zeros past the end.
func (r *bitReader) peek() uint64 {
	i := r.at >> 3
	if i+8 <= uint64(len(r.buf)) {
		return binary.LittleEndian.Uint64(r.buf[i:]) >> (r.at & 7)
	}
	var b [8]byte
	if i < uint64(len(r.buf)) {
		copy(b[:], r.buf[i:])
	}
	return binary.LittleEndian.Uint64(b[:]) >> (r.at & 7)
}

func (r *bitReader) skip(n uint64) {
	r.at += n
	if r.at > uint64(len(r.buf))*8 {
		r.short = true
	}
}

// read returns a number of width bits, width being at most 56.
func (r *bitReader) read(width uint) uint64 {
	v := r.peek() & (1<<width - 1)
	r.skip(uint64(width))
	return v
}

func (r *bitReader) unary() uint64 {
	q := uint64(0)
	for {
		v := r.peek() & (1<<56 - 1)
		if v != 0 {
			z := uint64(bits.TrailingZeros64(v))
			r.skip(z + 1)
			return q + z
		}
		if r.skip(56); r.short {
			return q
		}
		q += 56
	}
}

func (r *bitReader) gamma() uint64 {
	width := r.unary()
	if width > 32 {
		r.short = true
		return 1
	}
	return 1<<width | r.read(uint(width))
}

func (r *bitReader) rice(k uint) uint64 {
	q := r.unary()
	return q<<k | r.read(k)
}

// riceWidth is the k with which the gaps of count ordinals below n are written.
func riceWidth(n uint32, count uint64) uint {
	return uint(max(bits.Len64(uint64(n)/max(count, 1)), 1) - 1)
}

// skipZeros passes over n zeros and the ones between them, and returns how many ones.
func (r *bitReader) skipZeros(n uint64) (ones uint64) {
	for n > 0 && !r.short {
		v := r.peek() & (1<<56 - 1)
		set := uint64(bits.OnesCount64(v))
		if 56-set < n {
			ones, n = ones+set, n-(56-set)
			r.skip(56)
			continue
		}
		for ; n > 0; n-- {
			run := uint64(bits.TrailingZeros64(^v))
			v >>= run + 1
			ones += run
			r.skip(run + 1)
		}
	}
	return ones
}

// ones passes over ones up to and with the next zero, and returns how many.
func (r *bitReader) ones() (n uint64) {
	for {
		run := min(uint64(bits.TrailingZeros64(^r.peek())), 56)
		n += run
		if run < 56 {
			r.skip(run + 1)
			return n
		}
		if r.skip(56); r.short {
			return n
		}
	}
}
