package index

import (
	"encoding/binary"
	"slices"

	"github.com/annals-db/annals/driver"
)

// An ID of UUID version 7 begins with its time. Where such IDs come in about
// the order of the records, as they do unless somebody makes them up, nothing
// is sorted: each block of records keeps the range of their times, and each
// record a byte of its ID's hash. All other IDs are strays, in a dictionary.

// idTime returns the time of an ID in Unix milliseconds, ok false if it has none.
func idTime(id *driver.ID) (ms uint64, ok bool) {
	return binary.BigEndian.Uint64(id[:]) >> 16, id[6]>>4 == 7
}

// idPrint is the fingerprint of an ID by its hash.
func idPrint(hash uint64) byte { return byte(hash >> 56) }

// idOrder tells ordered IDs from strays: an ID is ordered if its time lies
// between the medians of the blocks beside its own, so that a time far from
// its neighbours' widens no block's range. Where that line is drawn decides
// about size and speed only.
type idOrder struct {
	lows, highs []uint64 // of the times of a block's ordered IDs
}

// idSlack is how far beyond the medians beside it an ordered ID may lie, in milliseconds.
const idSlack = 2000

func newIDOrder(n uint32, id func(ordinal uint32) *driver.ID) *idOrder {
	var medians []uint64 // of the blocks that have times
	var blocks []int     // which those are
	times := make([]uint64, 0, idBlockLen)
	for begin := uint32(0); begin < n; begin += idBlockLen {
		times = times[:0]
		for i := begin; i < min(begin+idBlockLen, n); i++ {
			if ms, ok := idTime(id(i)); ok {
				times = append(times, ms)
			}
		}
		if len(times) > 0 {
			slices.Sort(times)
			medians = append(medians, times[len(times)/2])
			blocks = append(blocks, int(begin/idBlockLen))
		}
	}
	o := &idOrder{make([]uint64, ceil(uint64(n), idBlockLen)), make([]uint64, ceil(uint64(n), idBlockLen))}
	for i, block := range blocks {
		o.lows[block], o.highs[block] = idBounds(medians, i)
	}
	return o
}

// idBounds returns the bounds beside median i; at either end they are as far
// away as the next median inwards, twice.
func idBounds(medians []uint64, i int) (low, high uint64) {
	last := len(medians) - 1
	if last == 0 {
		return 0, 1<<48 - 1
	}
	if i > 0 {
		low = medians[i-1]
	} else {
		low = medians[0] - min(medians[0], 2*distance(medians[0], medians[1]))
	}
	if i < last {
		high = medians[i+1]
	} else {
		high = medians[last] + 2*distance(medians[last], medians[last-1])
	}
	return low - min(low, idSlack), high + idSlack
}

func distance(a, b uint64) uint64 { return max(a, b) - min(a, b) }

// ordered reports whether the ID of the record with that ordinal is ordered.
func (o *idOrder) ordered(ordinal uint32, id *driver.ID) bool {
	ms, ok := idTime(id)
	block := ordinal / idBlockLen
	return ok && ms >= o.lows[block] && ms <= o.highs[block]
}

// buildIDs makes the ranges and fingerprints and returns the ordinals of the strays.
func buildIDs(h *header, id func(ordinal uint32) *driver.ID) (ranges, prints []byte, strays []uint32) {
	n := uint32(h.n)
	order := newIDOrder(n, id)
	prints = make([]byte, n)
	h.idMin = ^uint64(0)
	for begin := uint32(0); begin < n; begin += idBlockLen {
		low, high := uint64(1<<48-1), uint64(0)
		for i := begin; i < min(begin+idBlockLen, n); i++ {
			prints[i] = idPrint(hash(h.seed, string(id(i)[:])))
			if !order.ordered(i, id(i)) {
				strays = append(strays, i)
				continue
			}
			ms, _ := idTime(id(i))
			low, high = min(low, ms), max(high, ms)
			h.orderedIDs++
		}
		h.idMin, h.idMax = min(h.idMin, low), max(h.idMax, high)
		ranges = appendIDRange(ranges, low, high)
	}
	if h.orderedIDs == 0 {
		h.idMin, h.idMax = 0, 0
		return nil, nil, strays
	}
	return ranges, prints, strays
}

func appendIDRange(b []byte, low, high uint64) []byte {
	for _, ms := range [...]uint64{low, high} {
		b = binary.LittleEndian.AppendUint32(b, uint32(ms))
		b = binary.LittleEndian.AppendUint16(b, uint16(ms>>32))
	}
	return b
}

// idRange returns the range at the beginning of b.
func idRange(b []byte) (low, high uint64) {
	return binary.LittleEndian.Uint64(b) & (1<<48 - 1), binary.LittleEndian.Uint64(b[4:]) >> 16
}
