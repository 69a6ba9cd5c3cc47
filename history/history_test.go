package history_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/internal/fold"
	"github.com/annals-db/annals/internal/statediff"
	"github.com/annals-db/annals/memstore"
)

// Shelf is a state of numbers by name, a list, and a total.
type Shelf struct {
	annals.Entity
	Items map[string]*Slot `json:"items"`
	Last  []string         `json:"last"`
	Total int              `json:"total"`
}

type Slot struct {
	N int `json:"n"`
}

type (
	Put struct {
		Name string `json:"name"`
		N    int    `json:"n"`
	}
	Took  struct{ Name string }
	Noted struct{ Text string }
)

var shelves = annals.NewModel("shelf",
	annals.Init(func(s *Shelf) { s.Items, s.Last = map[string]*Slot{}, []string{} }),
	annals.On(func(s *Shelf, e Put) {
		if s.Items[e.Name] == nil {
			s.Items[e.Name] = &Slot{}
		}
		s.Items[e.Name].N += e.N
		s.Total += e.N
		s.Last = append(s.Last, e.Name)
		if len(s.Last) > 3 {
			s.Last = slices.Clone(s.Last[1:])
		}
	}),
	annals.On(func(s *Shelf, e Took) {
		if slot := s.Items[e.Name]; slot != nil {
			s.Total -= slot.N
			delete(s.Items, e.Name)
		}
	}),
)

// shelfJQ is the same fold in jq.
const shelfJQ = `
	(if $event.version == 1 then {items: {}, last: [], total: 0} else . end) |
	if $event.type == "Put" then
		.items[$event.data.name].n += $event.data.n | .total += $event.data.n | .last = (.last + [$event.data.name])[-3:]
	elif $event.type == "Took" then
		.total -= (.items[$event.data.Name].n // 0) | del(.items[$event.data.Name])
	else . end`

// fixture is a log with a random stream, and what is known of it without package history.
type fixture struct {
	log     driver.Log
	db      *annals.DB
	stream  string
	records []annals.Record // of the stream
	states  []any           // after each version, from 0, by the Go model, as JSON
}

func newFixture(t *testing.T, seed uint64, n int) *fixture {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 11))
	log := memstore.New(nil)
	t.Cleanup(func() { log.Close() })
	f := &fixture{log: log, db: annals.New(log, nil), stream: "shelf-a"}
	record := func(s *Shelf) error {
		name := string(rune('a' + rnd.IntN(5)))
		switch rnd.IntN(5) {
		case 0:
			return s.Record(Took{name})
		default:
			return s.Record(Put{name, rnd.IntN(9) - 4})
		}
	}
	for _, id := range []string{"a", "other"} {
		if _, err := shelves.Add(t.Context(), f.db, id, record); err != nil {
			t.Fatal(err)
		}
	}
	for i := 1; i < n; i++ {
		ctx := annals.WithActor(t.Context(), []string{"ann", "bob"}[rnd.IntN(2)])
		if _, err := shelves.Update(ctx, f.db, "a", record); err != nil {
			t.Fatal(err)
		}
		if rnd.IntN(2) == 0 {
			_, _ = shelves.Update(ctx, f.db, "other", record)
		}
	}
	f.read(t)
	return f
}

func (f *fixture) read(t *testing.T) {
	t.Helper()
	s := shelves.Start()
	f.records, f.states = nil, []any{asJSON(t, s)}
	for r, err := range f.log.Read(t.Context(), annals.Match(annals.QueryItem{Streams: []string{f.stream}}), annals.ReadOptions{}) {
		if err == nil {
			err = shelves.Apply(f.db, s, r)
		}
		if err != nil {
			t.Fatal(err)
		}
		f.records, f.states = append(f.records, r), append(f.states, asJSON(t, s))
	}
}

func asJSON(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	value, err := fold.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func jq(t testing.TB, program string) history.Fold {
	t.Helper()
	f, err := history.JQ(program, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// both calls f with the history by the model and by the jq program, and the predicate total > n of each.
func (f *fixture) both(t *testing.T, fn func(t *testing.T, h *history.History, over func(n int) history.Predicate)) {
	t.Run("model", func(t *testing.T) {
		fn(t, history.Of(f.log, f.stream, history.Model(f.db, shelves)),
			func(n int) history.Predicate { return history.When(func(s *Shelf) bool { return s.Total > n }) })
	})
	t.Run("jq", func(t *testing.T) {
		fn(t, history.Of(f.log, f.stream, jq(t, shelfJQ)),
			func(n int) history.Predicate { return history.Holds(fmt.Sprintf(".total > %d", n)) })
	})
}

func total(state any) int { return state.(map[string]any)["total"].(int) }

func same(a, b any) bool { return len(statediff.Diff(a, b)) == 0 }

func text(v any) string {
	b, err := fold.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func seeds(t *testing.T, n int, fn func(t *testing.T, seed uint64, f *fixture)) {
	for seed := range uint64(n) {
		f := newFixture(t, seed, 3+int(seed*7)%60)
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { fn(t, seed, f) })
	}
}

func TestState(t *testing.T) {
	seeds(t, 8, func(t *testing.T, seed uint64, f *fixture) {
		f.both(t, func(t *testing.T, h *history.History, _ func(int) history.Predicate) {
			for _, prepared := range []bool{false, true} {
				if prepared {
					if err := h.Prepare(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				for v := 1; v < len(f.states); v++ {
					rec := f.records[v-1]
					for _, p := range []history.Point{history.Version(uint64(v)), history.Position(rec.Position)} {
						got, version, err := h.State(t.Context(), p)
						if err != nil || version != uint64(v) || !same(got, f.states[v]) {
							t.Fatalf("version %d: got %d, %s, %v, want %s", v, version, text(got), err, text(f.states[v]))
						}
					}
					got, version, err := h.Until(history.Position(rec.Position)).State(t.Context(), history.Point{})
					if err != nil || version != uint64(v) || !same(got, f.states[v]) {
						t.Fatalf("until %d: got %d, %s, %v", rec.Position, version, text(got), err)
					}
				}
			}
			got, version, err := h.State(t.Context(), history.Time(f.records[0].Time.Add(-1)))
			if err != nil || version != 0 {
				t.Fatalf("before the first: got %d, %v, %v", version, got, err)
			}
			for _, p := range []history.Point{history.Version(uint64(len(f.states))), history.Position(100000)} {
				if _, _, err := h.State(t.Context(), p); !errors.Is(err, annals.ErrNotFound) {
					t.Errorf("beyond the end: got %v", err)
				}
			}
		})
	})
}

func TestLog(t *testing.T) {
	seeds(t, 6, func(t *testing.T, seed uint64, f *fixture) {
		f.both(t, func(t *testing.T, h *history.History, _ func(int) history.Predicate) {
			v := 0
			for e, err := range h.Log(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				v++
				before := f.states[v-1]
				if v == 1 {
					before, _, _ = h.State(t.Context(), history.Version(0))
				}
				want := statediff.Diff(before, f.states[v])
				if e.Record.ID != f.records[v-1].ID || changes(e.Changes) != changes(want) {
					t.Fatalf("version %d: got %s, want %s", v, changes(e.Changes), changes(want))
				}
			}
			if v != len(f.records) {
				t.Fatalf("%d entries of %d", v, len(f.records))
			}
		})
	})
}

func changes(cs []history.Change) string {
	var out []string
	for _, c := range cs {
		out = append(out, fmt.Sprintf("%s %s %s %s", c.Kind, c.Path, text(c.Old), text(c.New)))
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

func TestDiff(t *testing.T) {
	seeds(t, 4, func(t *testing.T, seed uint64, f *fixture) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		f.both(t, func(t *testing.T, h *history.History, _ func(int) history.Predicate) {
			for range 30 {
				a, b := 1+rnd.IntN(len(f.records)), 1+rnd.IntN(len(f.records))
				got, err := h.Diff(t.Context(), history.Version(uint64(a)), history.Version(uint64(b)))
				if want := statediff.Diff(f.states[a], f.states[b]); err != nil || changes(got) != changes(want) {
					t.Fatalf("%d to %d: got %s, %v, want %s", a, b, changes(got), err, changes(want))
				}
			}
			other := history.Of(f.log, "shelf-other", jq(t, shelfJQ))
			x, _, _ := h.State(t.Context(), history.Point{})
			y, _, _ := other.State(t.Context(), history.Point{})
			got, err := history.DiffOf(t.Context(), h, history.Point{}, other, history.Point{})
			if err != nil || changes(got) != changes(statediff.Diff(x, y)) {
				t.Fatalf("two entities: got %s, %v", changes(got), err)
			}
		})
	})
}

// at returns the value at path p, and whether there is one.
func at(state any, p history.Path) (any, bool) {
	for _, step := range p {
		switch s := state.(type) {
		case map[string]any:
			name, _ := step.(string)
			next, ok := s[name]
			if !ok {
				return nil, false
			}
			state = next
		case []any:
			i, ok := step.(int)
			if !ok || i >= len(s) {
				return nil, false
			}
			state = s[i]
		default:
			return nil, false
		}
	}
	return state, true
}

// naiveBlame returns the last version at which the value at p became another.
func naiveBlame(states []any, p history.Path) int {
	for v := len(states) - 1; v > 0; v-- {
		x, okX := at(states[v-1], p)
		y, okY := at(states[v], p)
		if okX != okY || !same(x, y) {
			return v
		}
	}
	return 0
}

func TestBlame(t *testing.T) {
	seeds(t, 12, func(t *testing.T, seed uint64, f *fixture) {
		f.both(t, func(t *testing.T, h *history.History, _ func(int) history.Predicate) {
			states := slices.Clone(f.states)
			states[0], _, _ = h.State(t.Context(), history.Version(0)) // the jq fold begins with {}
			for _, version := range []int{1, len(states) / 2, len(states) - 1} {
				if version == 0 {
					continue
				}
				origins, err := h.Blame(t.Context(), history.Version(uint64(version)), nil)
				if err != nil {
					t.Fatal(err)
				}
				found := 0
				statediff.Leaves(nil, states[version], func(p history.Path, v any) {
					o := origins[found]
					found++
					want := naiveBlame(states[:version+1], p)
					if o.Path.String() != p.String() || !same(o.Value, v) || int(o.Record.Version) != want {
						t.Fatalf("version %d: %s = %s by %d, want %s = %s by %d", version, o.Path, text(o.Value), o.Record.Version, p, text(v), want)
					}
				})
				if found != len(origins) {
					t.Fatalf("%d origins of %d fields", len(origins), found)
				}
			}
			path, _ := history.ParsePath(".total")
			one, err := h.Blame(t.Context(), history.Point{}, path)
			if err != nil || len(one) != 1 || one[0].Path.String() != ".total" {
				t.Fatalf("got %v, %v", one, err)
			}
			if _, err := h.Blame(t.Context(), history.Point{}, history.Path{"ghost"}); !errors.Is(err, annals.ErrNotFound) || !strings.Contains(err.Error(), ".ghost") {
				t.Fatalf("got %v", err)
			}
		})
	})
}

func TestBlameOfRandomPatches(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		log := memstore.New(nil)
		states := []any{map[string]any{}}
		for range 25 {
			patch := randomPatch(rnd, 3)
			appendTo(t, log, "doc-1", "Patched", text(patch), nil)
			state, _, err := fold.Merge().Over(t.Context(), log.Read(t.Context(), annals.Query{}, annals.ReadOptions{}))
			if err != nil {
				t.Fatal(err)
			}
			states = append(states, state)
		}
		origins, err := history.Of(log, "doc-1", history.Merge()).Blame(t.Context(), history.Point{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range origins {
			if want := naiveBlame(states, o.Path); int(o.Record.Version) != want {
				t.Fatalf("seed %d: %s by version %d, want %d", seed, o.Path, o.Record.Version, want)
			}
		}
	}
}

func randomPatch(rnd *rand.Rand, depth int) any {
	m := map[string]any{}
	for range 1 + rnd.IntN(2) {
		name := string(rune('a' + rnd.IntN(3)))
		switch rnd.IntN(6) {
		case 0:
			m[name] = nil
		case 1:
			m[name] = []any{rnd.IntN(2), map[string]any{"x": rnd.IntN(2)}}[:rnd.IntN(3)]
		case 2, 3:
			if depth > 0 {
				m[name] = randomPatch(rnd, depth-1)
			}
		default:
			m[name] = rnd.IntN(3)
		}
	}
	return m
}

func appendTo(t testing.TB, log driver.Log, stream, typ, data string, metadata map[string]string) annals.Record {
	t.Helper()
	e := driver.Event{ID: annals.NewID(), Stream: stream, Type: typ, Data: []byte(data), Metadata: driver.NewMetadata(metadata)}
	r, err := log.Append(context.Background(), driver.Batch{Events: []driver.Event{e}})
	if err != nil {
		t.Fatal(err)
	}
	return annals.Record{Event: e, Position: r.First}
}

// naiveFlips returns the versions at which total > n begins or ceases to hold.
func naiveFlips(states []any, n int) (versions []int) {
	held := false
	for v := 1; v < len(states); v++ {
		if holds := total(states[v]) > n; holds != held {
			held, versions = holds, append(versions, v)
		}
	}
	return versions
}

func TestFirstAndFlips(t *testing.T) {
	seeds(t, 12, func(t *testing.T, seed uint64, f *fixture) {
		f.both(t, func(t *testing.T, h *history.History, over func(int) history.Predicate) {
			for n := -12; n < 12; n += 3 {
				want := naiveFlips(f.states, n)
				var got []int
				for flip, err := range h.Flips(t.Context(), over(n)) {
					if err != nil {
						t.Fatal(err)
					}
					if flip.Holds != (len(got)%2 == 0) {
						t.Fatalf("flip %d holds %v", len(got), flip.Holds)
					}
					got = append(got, int(flip.Record.Version))
				}
				if !slices.Equal(got, want) {
					t.Fatalf("over %d: got %v, want %v", n, got, want)
				}
				first, err := h.First(t.Context(), over(n))
				if len(want) == 0 {
					if !errors.Is(err, annals.ErrNotFound) || !strings.Contains(err.Error(), "never holds") {
						t.Fatalf("got %v", err)
					}
				} else if err != nil || int(first.Record.Version) != want[0] {
					t.Fatalf("got %d, %v, want %d", first.Record.Version, err, want[0])
				}
			}
		})
	})
}

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

func TestShow(t *testing.T) {
	f := newFixture(t, 3, 20)
	f.both(t, func(t *testing.T, h *history.History, _ func(int) history.Predicate) {
		for v := 2; v < len(f.states); v++ {
			s, err := h.Show(t.Context(), uint64(v))
			if err != nil || s.Record.ID != f.records[v-1].ID || !same(s.Before, f.states[v-1]) || !same(s.After, f.states[v]) ||
				changes(s.Changes) != changes(statediff.Diff(f.states[v-1], f.states[v])) || len(s.Batch) != 1 {
				t.Fatalf("version %d: got %+v, %v", v, s, err)
			}
			if len(s.Conditions) != 1 || s.Conditions[0].Kind != driver.StreamAtKind || s.Conditions[0].Version != uint64(v-1) {
				t.Fatalf("version %d: conditions %v", v, s.Conditions)
			}
		}
		for _, v := range []uint64{0, 21} {
			if _, err := h.Show(t.Context(), v); !errors.Is(err, annals.ErrNotFound) {
				t.Fatalf("version %d: got %v", v, err)
			}
		}
	})
}

func TestWhatIf(t *testing.T) {
	seeds(t, 6, func(t *testing.T, seed uint64, f *fixture) {
		rnd := rand.New(rand.NewPCG(seed, 9))
		before, _ := f.log.Info(t.Context())
		f.both(t, func(t *testing.T, h *history.History, _ func(int) history.Predicate) {
			for range 10 {
				drop := uint64(2 + rnd.IntN(max(len(f.records)-2, 1)))
				last := uint64(len(f.records))
				if drop > last {
					continue
				}
				extra := annals.Record{Event: driver.Event{Type: "Put", Stream: f.stream, Data: []byte(`{"name":"z","n":100}`)}, Version: last + 1}
				got, err := h.WhatIf(t.Context(), history.Point{}, history.Supposition{
					Without: []uint64{drop}, Extra: map[uint64][]annals.Record{last: {extra}}})
				if err != nil {
					t.Fatal(err)
				}
				s := shelves.Start()
				for _, r := range append(slices.Clone(f.records), extra) {
					if r.Version == drop {
						continue
					}
					if err := shelves.Apply(f.db, s, r); err != nil {
						t.Fatal(err)
					}
				}
				if want := asJSON(t, s); !same(got.Supposed, want) || !same(got.Actual, f.states[last]) ||
					changes(got.Changes) != changes(statediff.Diff(f.states[last], want)) {
					t.Fatalf("without %d: got %s, want %s", drop, text(got.Supposed), text(want))
				}
			}
			instead := annals.Record{Event: driver.Event{Type: "Put", Stream: f.stream, Data: []byte(`{"name":"q","n":7}`)}, Version: 1}
			got, err := h.WhatIf(t.Context(), history.Version(1), history.Supposition{Instead: map[uint64]annals.Record{1: instead}})
			if err != nil || total(got.Supposed) != 7 {
				t.Fatalf("instead: got %+v, %v", got, err)
			}
			before := annals.Record{Event: driver.Event{Type: "Put", Stream: f.stream, Data: []byte(`{"name":"zero","n":50}`)}}
			got, err = h.WhatIf(t.Context(), history.Version(1), history.Supposition{Without: []uint64{1}, Extra: map[uint64][]annals.Record{0: {before, before}}})
			if slot, ok := at(got.Supposed, history.Path{"items", "zero", "n"}); err != nil || !ok || slot != 100 {
				t.Fatalf("before the first: got %+v, %v", got, err)
			}
			got, err = h.WhatIf(t.Context(), history.Point{}, history.Supposition{Fold: jq(t, ".n += 1")})
			if err != nil || text(got.Supposed) != fmt.Sprintf(`{"n":%d}`, len(f.records)) {
				t.Fatalf("another fold: got %s, %v", text(got.Supposed), err)
			}
			for _, s := range []history.Supposition{{Without: []uint64{999}}, {Without: []uint64{0}}, {Instead: map[uint64]annals.Record{999: {}}},
				{Extra: map[uint64][]annals.Record{999: nil}}} {
				if _, err := h.WhatIf(t.Context(), history.Point{}, s); !errors.Is(err, annals.ErrNotFound) {
					t.Fatalf("got %v", err)
				}
			}
		})
		if after, _ := f.log.Info(t.Context()); after.Head != before.Head {
			t.Fatal("something was written")
		}
	})
}

func TestFailures(t *testing.T) {
	log := memstore.New(nil)
	for i := range 5 {
		appendTo(t, log, "c-1", "Counted", fmt.Sprintf(`{"by":%d}`, i), nil)
	}
	h := history.Of(log, "c-1", jq(t, `if $event.version == 4 then error("boom") else .n += 1 end`))
	fails := func(err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "version 4 of c-1") || !strings.Contains(err.Error(), "boom") {
			t.Errorf("got %v", err)
		}
	}
	_, _, err := h.State(t.Context(), history.Point{})
	fails(err)
	_, err = h.Blame(t.Context(), history.Point{}, nil)
	fails(err)
	_, err = h.First(t.Context(), history.Holds(".n > 99"))
	fails(err)
	_, err = h.Bisect(t.Context(), history.Holds(".n > 99"), history.Version(0), history.Point{})
	fails(err)
	_, err = h.WhatIf(t.Context(), history.Point{}, history.Supposition{})
	fails(err)
	if got, _, err := h.State(t.Context(), history.Version(3)); err != nil || text(got) != `{"n":3}` {
		t.Errorf("before the failure: got %s, %v", text(got), err)
	}
	ghost := history.Of(log, "ghost", history.Merge())
	_, err = ghost.First(t.Context(), history.Holds("true"))
	if !errors.Is(err, annals.ErrNotFound) || !strings.Contains(err.Error(), "ghost") {
		t.Errorf("got %v", err)
	}
	for _, p := range []history.Predicate{history.Holds("("), history.Holds("now > 1"), history.When(func(*Shelf) bool { return true })} {
		if _, err := history.Of(log, "c-1", history.Merge()).First(t.Context(), p); err == nil {
			t.Errorf("predicate %s was taken", p)
		}
	}
	if _, err := history.Of(log, "c-1", history.Merge()).First(t.Context(), history.Holds("empty")); err == nil {
		t.Error("a predicate without output was taken")
	}
}

type upOld struct{ X int }
type upNew struct{ Y int }

var _ = annals.Upcast("history-test-up", func(o upOld) upNew {
	if o.X == 3 {
		panic("cannot go up")
	}
	return upNew{o.X}
})

func TestAnUpcasterThatFailsNamesTheEvent(t *testing.T) {
	type upState struct{ Sum int }
	m := annals.NewModel("up", annals.On(func(s *upState, e upNew) { s.Sum += e.Y }))
	log := memstore.New(nil)
	for i := range 5 {
		appendTo(t, log, "up-1", "history-test-up", fmt.Sprintf(`{"X":%d}`, i), nil)
	}
	h := history.Of(log, "up-1", history.Model(annals.New(log, nil), m))
	if got, _, err := h.State(t.Context(), history.Version(3)); err != nil || text(got) != `{"Sum":3}` {
		t.Errorf("got %s, %v", text(got), err)
	}
	_, _, err := h.State(t.Context(), history.Point{})
	if err == nil || !strings.Contains(err.Error(), "position 4") || !strings.Contains(err.Error(), "cannot go up") {
		t.Errorf("got %v", err)
	}
}

func TestQuery(t *testing.T) {
	log := memstore.New(nil)
	for i := range 100 {
		appendTo(t, log, fmt.Sprintf("s-%d", i%3), []string{"A", "B"}[i%2], fmt.Sprintf(`{"n":%d}`, i),
			map[string]string{"actor": []string{"ann", "bob"}[i/50], "k": fmt.Sprint(i % 5)})
	}
	find := func(w history.Where, o annals.ReadOptions) (found []int, err error) {
		for r, err := range history.Query(t.Context(), log, w, o) {
			if err != nil {
				return found, err
			}
			found = append(found, int(r.Position)-1)
		}
		return found, nil
	}
	got, err := find(history.Where{Query: annals.Match(annals.QueryItem{Types: []string{"A"}, Streams: []string{"s-1"}}),
		Metadata: map[string]string{"actor": "bob", "k": "2"}, Test: ".data.n > 60 and .metadata.k == \"2\" # ends\n"}, annals.ReadOptions{})
	var want []int
	for i := range 100 {
		if i%2 == 0 && i%3 == 1 && i >= 50 && i%5 == 2 && i > 60 {
			want = append(want, i)
		}
	}
	if err != nil || !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	got, err = find(history.Where{Test: ".data.n % 7 == 0"}, annals.ReadOptions{Limit: 3, Backward: true})
	if err != nil || !slices.Equal(got, []int{98, 91, 84}) {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = find(history.Where{Test: ".data.n | if . == 5 then error(\"five\") else true end"}, annals.ReadOptions{})
	if err == nil || !strings.Contains(err.Error(), "position 6") || !strings.Contains(err.Error(), "five") {
		t.Errorf("got %v", err)
	}
	for _, bad := range []string{"(", ") | (", "now", "$nothing"} {
		if err := (history.Where{Test: bad}).Check(); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// shape returns a trace in words: name(effects…).
func shape(n *history.Trace, names map[annals.Position]string) string {
	s := names[n.Record.Position]
	if n.Missing != "" {
		s = "missing"
	}
	if n.Cycle {
		s += "^"
	}
	if n.Asked {
		s += "*"
	}
	var inner []string
	for _, e := range n.Effects {
		inner = append(inner, shape(e, names))
	}
	if len(inner) > 0 {
		s += "(" + strings.Join(inner, " ") + ")"
	}
	return s
}

func TestTrace(t *testing.T) {
	log := memstore.New(nil)
	names, ids := map[annals.Position]string{}, map[string]annals.ID{}
	put := func(name, cause, correlation string) {
		id := annals.NameID(name)
		ids[name] = id
		md := map[string]string{}
		if cause != "" {
			md["causation"] = annals.NameID(cause).String()
		}
		if correlation != "" {
			md["correlation"] = correlation
		}
		r, err := log.Append(t.Context(), driver.Batch{Events: []driver.Event{{ID: id, Stream: "s-1", Type: "T", Data: []byte("{}"), Metadata: driver.NewMetadata(md)}}})
		if err != nil {
			t.Fatal(err)
		}
		names[r.First] = name
	}
	put("root", "", "k")
	put("a", "root", "k")
	put("b", "root", "k")
	put("a1", "a", "k")
	put("loose", "", "k")
	put("elsewhere", "", "other")
	put("guest", "elsewhere", "k") // its cause is of another correlation
	put("orphan", "ghost", "o")
	put("child", "orphan", "o")
	put("x", "y", "loop")
	put("y", "z", "loop")
	put("z", "x", "loop")
	put("self", "self", "")
	for _, c := range []struct{ ask, want, others string }{
		{"a1", "root(a(a1*) b)", "loose guest"},
		{"root", "root*(a(a1) b)", "loose guest"},
		{"loose", "loose*", "root(a(a1) b) guest"},
		{"guest", "elsewhere(guest*)", "root(a(a1) b) loose"},
		{"child", "missing(orphan(child*))", ""},
		{"self", "self*(self^*)", ""},
	} {
		var p annals.Position
		for at, n := range names {
			if n == c.ask {
				p = at
			}
		}
		root, others, err := history.TraceOf(t.Context(), log, p)
		if err != nil {
			t.Fatal(err)
		}
		var rest []string
		for _, o := range others {
			rest = append(rest, shape(o, names))
		}
		if got := shape(root, names); got != c.want || strings.Join(rest, " ") != c.others {
			t.Errorf("%s: got %s and %v, want %s and %s", c.ask, got, rest, c.want, c.others)
		}
	}
	for _, ask := range []annals.Position{10, 11, 12} { // a cycle: all three, and one again
		root, others, err := history.TraceOf(t.Context(), log, ask)
		got := shape(root, names)
		if err != nil || len(others) != 0 || strings.Count(got, "^") != 1 || strings.Count(got, "(") != 3 {
			t.Errorf("cycle: got %s, %v, %v", got, others, err)
		}
	}
	if _, _, err := history.TraceOf(t.Context(), log, 99); !errors.Is(err, annals.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	s, err := history.ShowAt(t.Context(), log, 2, history.Merge())
	if err != nil || s.Cause == nil || names[s.Cause.Position] != "root" || len(s.Effects) != 1 || names[s.Effects[0].Position] != "a1" {
		t.Errorf("show: got %+v, %v", s, err)
	}
}

func TestAModelThatCannotBeCopied(t *testing.T) {
	type odd struct {
		N int
		F func() `json:"-"`
	}
	m := annals.NewModel("odd", annals.On(func(s *odd, e Put) { s.N += e.N }))
	log := memstore.New(nil)
	for i := range 20 {
		appendTo(t, log, "odd-1", "Put", fmt.Sprintf(`{"name":"x","n":%d}`, i), nil)
	}
	h := history.Of(log, "odd-1", history.Model(annals.New(log, nil), m))
	b, err := h.Bisect(t.Context(), history.When(func(s *odd) bool { return s.N >= 100 }), history.Version(0), history.Point{})
	if err != nil || b.Record.Version != 15 {
		t.Errorf("got %+v, %v", b, err)
	}
	o, err := h.Blame(t.Context(), history.Point{}, nil)
	if err != nil || len(o) != 1 || o[0].Record.Version != 20 {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestManyAtOnce(t *testing.T) {
	f := newFixture(t, 5, 60)
	h := history.Of(f.log, f.stream, jq(t, shelfJQ))
	errs := make(chan error, 8)
	for g := range 8 {
		go func() {
			v := uint64(1 + g*7)
			_, err := h.Bisect(t.Context(), history.Holds(".total > 3"), history.Version(0), history.Point{})
			got, _, stateErr := h.State(t.Context(), history.Version(v))
			if stateErr == nil && !same(got, f.states[v]) {
				stateErr = fmt.Errorf("version %d: got %s", v, text(got))
			}
			if errors.Is(err, annals.ErrNotFound) {
				err = nil
			}
			errs <- errors.Join(err, stateErr)
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
