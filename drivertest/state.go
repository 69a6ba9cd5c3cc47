package drivertest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/annals-db/annals/driver"
)

var stateTests = []test{
	{"what is saved is loaded with its revision", func(e *env) {
		s := e.state()
		for _, v := range []string{"", "a", "\x00\xff", strings.Repeat("x", 1<<20)} {
			rev, err := s.Save(e.ctx, "key", []byte(v), driver.AnyRevision)
			if err != nil || rev == 0 || rev == driver.AnyRevision {
				e.Fatalf("Save returned revision %d and %v", rev, err)
			}
			got, at, err := s.Load(e.ctx, "key")
			if err != nil || string(got) != v || at != rev {
				e.Errorf("Load returned %.20q at revision %d and %v, want %.20q at %d", got, at, err, v, rev)
			}
		}
	}},
	{"a key that is not there is not found", func(e *env) {
		s := e.state()
		if _, _, err := s.Load(e.ctx, "key"); !errors.Is(err, driver.ErrNotFound) {
			e.Errorf("Load returned %v", err)
		}
		e.save(s, "key", "a", 0)
		for _, k := range []string{"ke", "key ", "Key", "key/"} {
			if _, _, err := s.Load(e.ctx, k); !errors.Is(err, driver.ErrNotFound) {
				e.Errorf("Load of %q returned %v", k, err)
			}
		}
	}},
	{"a save at another revision is refused and changes nothing", func(e *env) {
		s := e.state()
		e.refusesSave(s, "key", 1)
		first := e.save(s, "key", "a", 0)
		e.refusesSave(s, "key", 0)
		e.refusesSave(s, "key", first+1)
		second := e.save(s, "key", "b", first)
		if second == first {
			e.Errorf("two saves have the revision %d", first)
		}
		e.refusesSave(s, "key", first)
		if got, rev, err := s.Load(e.ctx, "key"); string(got) != "b" || rev != second || err != nil {
			e.Errorf("Load returned %q at %d and %v", got, rev, err)
		}
	}},
	{"a delete at another revision is refused", func(e *env) {
		s := e.state()
		first := e.save(s, "key", "a", 0)
		for _, rev := range []uint64{0, first + 1} {
			if err := s.Delete(e.ctx, "key", rev); !errors.Is(err, driver.ErrRevision) {
				e.Errorf("Delete at revision %d returned %v", rev, err)
			}
		}
		if err := s.Delete(e.ctx, "key", first); err != nil {
			e.Errorf("Delete: %v", err)
		}
		if _, _, err := s.Load(e.ctx, "key"); !errors.Is(err, driver.ErrNotFound) {
			e.Errorf("Load after Delete returned %v", err)
		}
		e.save(s, "key", "b", driver.AnyRevision)
		if err := s.Delete(e.ctx, "key", driver.AnyRevision); err != nil {
			e.Errorf("Delete at any revision: %v", err)
		}
	}},
	{"a key that is made again never has an old revision", func(e *env) {
		s := e.state()
		seen := map[uint64]bool{}
		for range 5 {
			rev := e.save(s, "key", "a", 0)
			if seen[rev] {
				e.Errorf("revision %d comes again", rev)
			}
			seen[rev] = true
			if err := s.Delete(e.ctx, "key", rev); err != nil {
				e.Fatalf("Delete: %v", err)
			}
		}
	}},
	{"of racing savers exactly one wins each revision", func(e *env) {
		s := e.state()
		var won atomic.Int32
		rev := e.save(s, "key", "0", 0)
		for round := range 10 {
			won.Store(0)
			race(e, 8, func(w int) error {
				_, err := s.Save(e.ctx, "key", fmt.Appendf(nil, "%d %d", round, w), rev)
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, driver.ErrRevision) {
					return err
				}
				return nil
			})
			equal(e.T, "winners", won.Load(), 1)
			_, rev, _ = s.Load(e.ctx, "key")
		}
	}},
	{"keys come in order by prefix", func(e *env) {
		s := e.state()
		for _, k := range []string{"b/2", "a", "b/1", "b", "c", "b/10", "ü/1"} {
			e.save(s, k, k, 0)
		}
		for prefix, want := range map[string][]string{
			"":   {"a", "b", "b/1", "b/10", "b/2", "c", "ü/1"},
			"b":  {"b", "b/1", "b/10", "b/2"},
			"b/": {"b/1", "b/10", "b/2"},
			"ü":  {"ü/1"},
			"x":  nil,
		} {
			var got []string
			for k, err := range s.Keys(e.ctx, prefix) {
				if err != nil {
					e.Fatalf("Keys: %v", err)
				}
				got = append(got, k)
			}
			if !slices.Equal(got, want) {
				e.Errorf("Keys(%q) yields %q, want %q", prefix, got, want)
			}
		}
	}},
	{"keys up to 1,024 bytes of any text", func(e *env) {
		s := e.state()
		for _, k := range []string{"..", "/", "a/../b", "CON", " ", "a\nb", "%2f", strings.Repeat("k", 1024), strings.Repeat("k", 1023) + "l", "K", "k"} {
			e.save(s, k, "v "+k, 0)
		}
		for _, k := range []string{"..", "/", "a/../b", "CON", " ", "a\nb", "%2f", strings.Repeat("k", 1024), "K", "k"} {
			if got, _, err := s.Load(e.ctx, k); string(got) != "v "+k || err != nil {
				e.Errorf("Load of %.20q returned %.20q and %v", k, got, err)
			}
		}
		for _, k := range []string{"", "\xff", "a\x00b", strings.Repeat("k", 1025)} {
			if rev, err := s.Save(e.ctx, k, nil, 0); err == nil {
				e.Errorf("Save under %.20q is taken, revision %d", k, rev)
			}
		}
	}},
	{"the caller owns the value's memory again", func(e *env) {
		s := e.state()
		v := []byte("value")
		if _, err := s.Save(e.ctx, "key", v, 0); err != nil {
			e.Fatal(err)
		}
		copy(v, "XXXXX")
		got, _, _ := s.Load(e.ctx, "key")
		equal(e.T, "value", string(got), "value")
		copy(got, "XXXXX")
		got, _, _ = s.Load(e.ctx, "key")
		if !bytes.Equal(got, []byte("value")) {
			e.Errorf("the value loaded is %q", got)
		}
	}},
	{"is never part of the log", func(e *env) {
		s := e.state()
		e.append(e.events("item-1", 2)...)
		e.save(s, "key", "a", 0)
		equal(e.T, "head", e.head(), 2)
		equal(e.T, "next position", e.append(e.events("item-1", 1)...).First, 3)
	}},
}

// state returns the log's state, or skips the test where it has none.
func (e *env) state() driver.State {
	e.Helper()
	s := capability[driver.Stater](e).State()
	if s == nil {
		e.Fatal("State is nil though the log is open for writing")
	}
	return s
}

func (e *env) save(s driver.State, key, value string, expect uint64) uint64 {
	e.Helper()
	rev, err := s.Save(e.ctx, key, []byte(value), expect)
	if err != nil {
		e.Fatalf("Save %.20q: %v", key, err)
	}
	return rev
}

func (e *env) refusesSave(s driver.State, key string, expect uint64) {
	e.Helper()
	if rev, err := s.Save(e.ctx, key, []byte("loser"), expect); !errors.Is(err, driver.ErrRevision) {
		e.Errorf("Save of %q at revision %d returned %d and %v", key, expect, rev, err)
	}
}
