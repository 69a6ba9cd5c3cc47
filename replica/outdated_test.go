package replica_test

import (
	"testing"
	"time"

	"github.com/annals-db/annals/replica"
)

// A node that does not know that the lease it held is another's by now must not
// claim: the sequencer, which trusts its own, would not look whether the stream
// has gone on, and refuse by a state that is no longer the newest.
func TestAnOutdatedLeaseIsNoRightToClaim(t *testing.T) {
	opts := replica.Options{Name: newName(t), Node: "first", System: shared.System, Takeover: time.Second}
	first := openNode(t, shared.URL, t.TempDir(), opts)
	opts.Node = "second"
	second := openNode(t, shared.URL, t.TempDir(), opts)
	eventually(t, func() string {
		if !status(t, first).Leading {
			return "the first node does not lead"
		}
		return ""
	})
	appendOne(t, first, "item-1")
	before := status(t, first)
	second.Outdate()
	for range 10 { // it looks every twelfth of Takeover
		time.Sleep(opts.Takeover / 10)
		if st := status(t, first); st.Behind > 0 || !st.Leading || st.Epoch != before.Epoch {
			t.Fatalf("another node has claimed: %+v", st)
		}
	}
	appendOne(t, first, "item-1")
	mustBeAlike(t, first, second)
}
