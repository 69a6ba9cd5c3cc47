package history_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/memstore"
)

func TestBisect(t *testing.T) {
	seeds(t, 12, func(t *testing.T, seed uint64, f *fixture) {
		f.both(t, func(t *testing.T, h *history.History, over func(int) history.Predicate) {
			for n := -12; n < 12; n += 2 {
				want := naiveFlips(f.states, n)
				b, err := h.Bisect(t.Context(), over(n), history.Version(0), history.Point{})
				if len(want)%2 == 0 {
					if !errors.Is(err, annals.ErrNotFound) || !strings.Contains(err.Error(), "no flip") {
						t.Fatalf("over %d: got %v", n, err)
					}
					continue
				}
				if err != nil || !slices.Contains(want, int(b.Record.Version)) || !b.Holds {
					t.Fatalf("over %d: got %d (%v), %v, want one of %v", n, b.Record.Version, b.Holds, err, want)
				}
			}
		})
	})
}

func TestBisectTestsFewVersionsAndFoldsLittleAgain(t *testing.T) {
	log := memstore.New(nil)
	const n = 5000
	var batch driver.Batch
	for range n {
		batch.Events = append(batch.Events, driver.Event{ID: annals.NewID(), Stream: "c-1", Type: "Counted", Data: []byte(`{"by":1}`)})
	}
	if _, err := log.Append(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	h := history.Of(log, "c-1", jq(t, ".n += $event.data.by"))
	p := history.Holds(".n >= 3210")
	for round := range 3 {
		if round == 2 { // by another history, from beside the log
			h = history.Of(log, "c-1", jq(t, ".n += $event.data.by"))
		}
		b, err := h.Bisect(t.Context(), p, history.Version(0), history.Point{})
		if err != nil || b.Record.Version != 3210 || !b.Holds {
			t.Fatalf("got %+v, %v", b, err)
		}
		if b.Tested > 15 { // log2(5000) is 12.3, and the far end
			t.Errorf("%d versions were tested", b.Tested)
		}
		if round > 0 && b.Folded > n/10 {
			t.Errorf("round %d: %d of %d events were folded", round, b.Folded, n)
		}
	}
	for range 50 {
		batch.Events = batch.Events[:1]
		batch.Events[0].ID = annals.NewID()
		if _, err := log.Append(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	b, err := h.Bisect(t.Context(), history.Holds(".n >= 5040"), history.Version(0), history.Point{})
	if err != nil || b.Record.Version != 5040 || b.Folded > n/10 {
		t.Errorf("after it has grown: got %d by folding %d, %v", b.Record.Version, b.Folded, err)
	}
}

func TestStationsNeverChangeAnAnswer(t *testing.T) {
	const program = `.n += $event.data.by | .third = .n / 3 | .text = "<\(.n)>" | .half = .n * 0.5`
	fill := func(factor int) *memstore.Store {
		log := memstore.New(nil)
		for i := range 600 {
			appendTo(t, log, "c-1", "Counted", fmt.Sprintf(`{"by":%d}`, i*factor), nil)
		}
		return log
	}
	find := func(log driver.Log) history.Bisection {
		b, err := history.Of(log, "c-1", jq(t, program)).Bisect(t.Context(), history.Holds(".n > 100000"), history.Version(0), history.Point{})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key := func(log driver.Log) string {
		for k, err := range log.(driver.Stater).State().Keys(t.Context(), "history/") {
			if err == nil {
				return k
			}
		}
		t.Fatal("no stations are beside the log")
		return ""
	}
	log := fill(1)
	want := find(log).Record.Version
	value, _, err := log.State().Load(t.Context(), key(log))
	if err != nil {
		t.Fatal(err)
	}
	again := find(log)
	if again.Record.Version != want || again.Folded > 200 {
		t.Fatalf("kept: got %d by folding %d", again.Record.Version, again.Folded)
	}
	save := func(log driver.Log, value []byte) {
		if _, err := log.(driver.Stater).State().Save(t.Context(), key(log), value, driver.AnyRevision); err != nil {
			t.Fatal(err)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20 { // damaged
		bad := slices.Clone(value)
		bad[rnd.IntN(len(bad))] ^= 1 << rnd.IntN(8)
		save(log, bad)
		if b := find(log); b.Record.Version != want || b.Folded < 600 {
			t.Fatalf("damaged: got %d by folding %d", b.Record.Version, b.Folded)
		}
	}
	save(log, value[:20])
	if b := find(log); b.Record.Version != want {
		t.Fatalf("cut: got %d", b.Record.Version)
	}
	other := fill(3) // of another log
	wantOther := find(other).Record.Version
	save(other, value)
	if b := find(other); b.Record.Version != wantOther {
		t.Fatalf("of another log: got %d, want %d", b.Record.Version, wantOther)
	}
	forged := func(old, by string) []byte { // with a checksum that holds
		text := bytes.ReplaceAll(value[sha256.Size:], []byte(old), []byte(by))
		sum := sha256.Sum256(text)
		return append(sum[:], text...)
	}
	info, _ := log.Info(t.Context())
	otherInfo, _ := other.Info(t.Context())
	save(log, forged(info.LogID.String(), annals.NewID().String()))
	if b := find(log); b.Record.Version != want || b.Folded < 600 {
		t.Fatalf("of another log with the same events: got %d by folding %d", b.Record.Version, b.Folded)
	}
	save(other, forged(info.LogID.String(), otherInfo.LogID.String())) // a log that went another way since
	if b := find(other); b.Record.Version != wantOther || b.Folded < 600 {
		t.Fatalf("of other events: got %d by folding %d", b.Record.Version, b.Folded)
	}
	for v := uint64(1); v <= 600; v += 37 { // what comes back from beside the log is as it went there
		plain, _, err := history.Of(serial{log}, "c-1", jq(t, program)).State(t.Context(), history.Version(v))
		if err != nil {
			t.Fatal(err)
		}
		h := history.Of(log, "c-1", jq(t, program))
		find(log)
		if err := h.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, _, err := h.State(t.Context(), history.Version(v)); err != nil || text(got) != text(plain) {
			t.Fatalf("version %d: got %s, %v, want %s", v, text(got), err, text(plain))
		}
	}
}

// TestStatesThatJSONDoesNotGiveBack: 1.5e16 + 1 is 1.5e16 in floating point, and
// another number where it has become an integer on the way.
func TestStatesThatJSONDoesNotGiveBack(t *testing.T) {
	log := memstore.New(nil)
	for range 600 {
		appendTo(t, log, "c-1", "Counted", `{}`, nil)
	}
	const program = `.n += 1 | .big = if .n < 500 then 0 elif .n == 500 then 1.5e16 else .big + 1 end`
	const version = 599 // behind a station
	plain, _, err := history.Of(serial{log}, "c-1", jq(t, program)).State(t.Context(), history.Version(version))
	if err != nil {
		t.Fatal(err)
	}
	if err := history.Of(log, "c-1", jq(t, program)).Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := history.Of(log, "c-1", jq(t, program))
	if err := again.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, _, err := again.State(t.Context(), history.Version(version)); err != nil || text(got) != text(plain) {
		t.Errorf("got %s, %v, want %s", text(got), err, text(plain))
	}
}

// serial is a log without state.
type serial struct{ driver.Log }
