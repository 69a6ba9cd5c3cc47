package merkle

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

// treeHash is MTH of RFC 6962, section 2.1, as it is written there, over the
// hashes of the leaves.
func treeHash(d []Hash) Hash {
	switch len(d) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return d[0]
	}
	k := 1
	for k*2 < len(d) {
		k *= 2
	}
	left, right := treeHash(d[:k]), treeHash(d[k:])
	return sha256.Sum256(append(append([]byte{0x01}, left[:]...), right[:]...))
}

func leaves(n int) []Hash {
	out := make([]Hash, n)
	for i := range out {
		out[i] = sha256.Sum256(binary.BigEndian.AppendUint64([]byte{0}, uint64(i)))
	}
	return out
}

func rangeOf(begin int, leaves []Hash) *Range {
	r := NewRange(uint64(begin))
	for _, l := range leaves {
		r.Append(l)
	}
	return r
}

func root(t *testing.T, r *Range) Hash {
	t.Helper()
	h, err := r.Root()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// The inputs and heads are those of the Certificate Transparency reference tests.
func TestRootIsTheHeadOfRFC6962(t *testing.T) {
	inputs := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	heads := []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	r := NewRange(0)
	for i, head := range heads {
		if i > 0 {
			in, _ := hex.DecodeString(inputs[i-1])
			r.Append(sha256.Sum256(append([]byte{0x00}, in...)))
		}
		if got := root(t, r); hex.EncodeToString(got[:]) != head {
			t.Errorf("head of %d leaves is %x, not %s", i, got, head)
		}
	}
}

func TestRootEqualsTheDefinitionAtEverySize(t *testing.T) {
	all := leaves(300)
	r := NewRange(0)
	for n := 0; ; n++ {
		if root(t, r) != treeHash(all[:n]) {
			t.Fatalf("the head of %d leaves differs", n)
		}
		if n == len(all) {
			return
		}
		r.Append(all[n])
	}
}

func TestMergedRangesGiveTheSameRootWhereverTheyAreCut(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	all := leaves(1000)
	for range 300 {
		n := rng.IntN(len(all) + 1)
		a, b := rng.IntN(n+1), rng.IntN(n+1)
		a, b = min(a, b), max(a, b)
		left, middle, right := rangeOf(0, all[:a]), rangeOf(a, all[a:b]), rangeOf(b, all[b:n])
		// (left + middle) + right, and left + (middle + right).
		one := left.Clone()
		for _, next := range []*Range{middle, right} {
			if err := one.Merge(next); err != nil {
				t.Fatal(err)
			}
		}
		if err := middle.Merge(right); err != nil {
			t.Fatal(err)
		}
		if err := left.Merge(middle); err != nil {
			t.Fatal(err)
		}
		if want := treeHash(all[:n]); root(t, one) != want || root(t, left) != want {
			t.Fatalf("cut at %d and %d, the head of %d leaves differs", a, b, n)
		}
	}
}

func TestMergeRefusesRangesThatAreNotAdjacent(t *testing.T) {
	all := leaves(10)
	r := rangeOf(0, all[:4])
	if r.Merge(rangeOf(5, all[5:])) == nil {
		t.Error("a gap was merged over")
	}
	if r.End() != 4 || root(t, r) != treeHash(all[:4]) {
		t.Error("the refused merge changed the range")
	}
}

func TestRootIsRefusedWhereTheBeginningIsMissing(t *testing.T) {
	if _, err := NewRange(1).Root(); err == nil {
		t.Error("a range from leaf 1 has a root")
	}
}

func TestStoredRangesComeBackAndGoOn(t *testing.T) {
	all := leaves(200)
	for begin := 0; begin < 40; begin++ {
		for end := begin; end < 80; end++ {
			b, _ := rangeOf(begin, all[begin:end]).MarshalBinary()
			var r Range
			if err := r.UnmarshalBinary(b); err != nil {
				t.Fatal(err)
			}
			whole := rangeOf(0, all[:begin])
			if err := whole.Merge(&r); err != nil {
				t.Fatal(err)
			}
			whole.Append(all[end])
			if root(t, whole) != treeHash(all[:end+1]) {
				t.Fatalf("[%d, %d) came back other than it was stored", begin, end)
			}
		}
	}
}

func FuzzUnmarshalRange(f *testing.F) {
	for _, cut := range [][2]int{{0, 0}, {0, 7}, {3, 9}, {8, 16}} {
		b, _ := rangeOf(cut[0], leaves(20)[cut[0]:cut[1]]).MarshalBinary()
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Range
		if r.UnmarshalBinary(b) != nil {
			return
		}
		if again, _ := r.MarshalBinary(); string(again) != string(b) {
			t.Fatal("a range that was accepted is stored otherwise")
		}
		if r.End() < 1<<62 {
			r.Append(Hash{})
		}
		_, _ = r.Root()
	})
}

func BenchmarkAppend(b *testing.B) {
	r := NewRange(0)
	for b.Loop() {
		r.Append(Hash{})
	}
}
