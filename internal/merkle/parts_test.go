package merkle

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"github.com/annals-db/annals/driver"
)

func TestPartsMakeTheLeaf(t *testing.T) {
	p, f := plain(), full()
	for _, r := range []*driver.Record{&p, &f} {
		parts := PartsOf(&r.Event, r.Conditions)
		number := func(b []byte, n int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(n)) }
		b := number([]byte{0, 1}, int64(r.Position))
		b = number(append(b, parts.Stream...), int64(r.Version))
		b = number(append(b, parts.Name...), r.Time.UnixNano())
		b = number(b, r.Occurred.UnixNano())
		b = number(append(b, parts.About...), int64(r.Batch))
		b = append(b, parts.Rest...)
		var h Hasher
		if got := sha256.Sum256(b); got != h.Leaf(r) {
			t.Errorf("the parts of %+v do not make its leaf", r)
		}
	}
}
