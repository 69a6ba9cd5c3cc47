package history_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/memstore"
)

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
