package index

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
)

// dictBuilder makes the sections of one dictionary.
type dictBuilder struct {
	n      uint32   // records of the segment
	hashes []uint64 // of the keys
	starts []uint32 // where in ordinals those of each rank begin; one more at the end
	ords   []uint32 // by rank
	rank   []uint32 // of each key

	counts, buckets, remainders, samples, postings, long []byte
}

// build makes the sections for keys with these hashes. each calls its argument
// for every posting, ordinals rising.
func buildDict(n uint32, hashes []uint64, each func(yield func(key, ordinal uint32))) (*dictBuilder, error) {
	b := &dictBuilder{n: n, hashes: hashes}
	if len(hashes) == 0 {
		return b, nil
	}
	order := b.sort()
	b.buildFilter(order)
	b.rank = make([]uint32, len(hashes))
	for rank, key := range order {
		b.rank[key] = uint32(rank)
	}
	b.collect(each)
	return b, b.buildLists()
}

// bucketOf returns the bucket of a hash among keys buckets, and its remainder.
// It keeps the order of hashes.
func bucketOf(hash, keys uint64) (bucket, remainder uint64) {
	bucket, low := bits.Mul64(hash, keys)
	return bucket, low >> (64 - remainderBits)
}

// sort returns the keys in the order of their hashes, equal ones in their own.
func (b *dictBuilder) sort() []uint32 {
	keys := uint64(len(b.hashes))
	begins := make([]uint32, keys+1)
	for _, h := range b.hashes {
		bucket, _ := bucketOf(h, keys)
		begins[bucket+1]++
	}
	for i := range keys {
		begins[i+1] += begins[i]
	}
	order := make([]uint32, keys)
	ends := slices.Clone(begins)
	for key, h := range b.hashes {
		bucket, _ := bucketOf(h, keys)
		order[ends[bucket]] = uint32(key)
		ends[bucket]++
	}
	for i := range keys {
		if part := order[begins[i]:begins[i+1]]; len(part) > 1 {
			slices.SortStableFunc(part, func(x, y uint32) int { return cmp.Compare(b.hashes[x], b.hashes[y]) })
		}
	}
	return order
}

// buildFilter writes the keys' buckets, as many ones as keys and a zero for
// each, the count of keys before every group of buckets, and the remainders.
func (b *dictBuilder) buildFilter(order []uint32) {
	keys := uint64(len(order))
	var buckets, remainders bitWriter
	rank := uint64(0)
	for bucket := range keys {
		if bucket%bucketsPerGroup == 0 {
			b.counts = binary.LittleEndian.AppendUint32(b.counts, uint32(rank))
		}
		for ; rank < keys; rank++ {
			own, remainder := bucketOf(b.hashes[order[rank]], keys)
			if own != bucket {
				break
			}
			buckets.write(1, 1)
			remainders.write(remainder, remainderBits)
		}
		buckets.write(0, 1)
	}
	b.counts = binary.LittleEndian.AppendUint32(b.counts, uint32(keys))
	b.buckets, b.remainders = buckets.flush(), remainders.flush()
}

// collect gathers the ordinals of each key, by rank.
func (b *dictBuilder) collect(each func(yield func(key, ordinal uint32))) {
	b.starts = make([]uint32, len(b.hashes)+1)
	each(func(key, _ uint32) { b.starts[b.rank[key]+1]++ })
	for i := range b.hashes {
		b.starts[i+1] += b.starts[i]
	}
	b.ords = make([]uint32, b.starts[len(b.hashes)])
	ends := slices.Clone(b.starts)
	each(func(key, ordinal uint32) {
		rank := b.rank[key]
		b.ords[ends[rank]] = ordinal
		ends[rank]++
	})
}

// buildLists writes the postings: short lists one after the other, of long
// ones a pointer.
func (b *dictBuilder) buildLists() error {
	var w bitWriter
	for rank := range b.hashes {
		if rank%keysPerSample == 0 {
			if err := b.sample(w.len()); err != nil {
				return err
			}
		}
		list := b.ords[b.starts[rank]:b.starts[rank+1]]
		if len(list) == 0 {
			return errors.New("index: a name without a record")
		}
		w.gamma(uint64(len(list)))
		k := riceWidth(b.n, uint64(len(list)))
		if len(list) <= shortList {
			writeGaps(&w, list, 0, k)
			continue
		}
		w.write(uint64(len(b.long)), pointerBits)
		if err := b.longList(list, k); err != nil {
			return err
		}
	}
	b.postings = w.flush()
	return b.sample(uint64(len(b.postings)) * 8)
}

func (b *dictBuilder) sample(at uint64) error {
	if at > 1<<32-1 {
		return errors.New("index: the segment has too many postings")
	}
	b.samples = binary.LittleEndian.AppendUint32(b.samples, uint32(at))
	return nil
}

// writeGaps writes ordinals as gaps, the first from begin on.
func writeGaps(w *bitWriter, list []uint32, begin uint32, k uint) {
	for _, o := range list {
		w.rice(uint64(o-begin), k)
		begin = o + 1
	}
}

// longList writes a list of blocks: a skip table of each block's first ordinal
// and the bit where the rest of it begins, a last entry with the list's last
// ordinal and the number of bits, and the bits.
func (b *dictBuilder) longList(list []uint32, k uint) error {
	var w bitWriter
	skip := func(ordinal uint32) {
		b.long = binary.LittleEndian.AppendUint32(b.long, ordinal)
		b.long = binary.LittleEndian.AppendUint32(b.long, uint32(w.len()))
	}
	last := list[len(list)-1]
	for len(list) > 0 {
		block := list[:min(blockLen, len(list))]
		skip(block[0])
		writeGaps(&w, block[1:], block[0]+1, k)
		list = list[len(block):]
	}
	skip(last)
	if w.len() > 1<<32-1 {
		return errors.New("index: the segment has too many postings of one name")
	}
	b.long = append(b.long, w.flush()...)
	return nil
}
