package filestore_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/internal/quorum"
)

// varied fills s with batches of one to five events, some under conditions.
func varied(t *testing.T, s *filestore.Store, from, to int) {
	t.Helper()
	for n := from; n < to; {
		b := driver.Batch{Events: []driver.Event{event(n)}}
		for n++; n < to && n%5 != 0; n++ {
			b.Events = append(b.Events, event(n))
		}
		if n%3 == 0 {
			b.Conditions = []driver.Condition{driver.StreamAbsent(fmt.Sprint("none-", n)), driver.NoneAfter(driver.Query{Items: []driver.Item{{Types: []string{"None"}}}}, 0)}
		}
		if _, err := s.Append(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
}

func records(t *testing.T, s *filestore.Store, o driver.ReadOptions) (all []driver.Record) {
	t.Helper()
	for r, err := range s.Read(ctx, driver.Query{}, o) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func treeHead(t *testing.T, s *filestore.Store, p driver.Position) [32]byte {
	t.Helper()
	h, err := s.TreeHead(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestAnImportedLogIsEqualToItsSource(t *testing.T) {
	for _, segment := range []int64{0, 4 << 10} {
		from := open(t, t.TempDir(), &filestore.Options{SegmentBytes: segment})
		varied(t, from, 0, 997)
		all := records(t, from, driver.ReadOptions{})
		dir := t.TempDir()
		to := open(t, dir, &filestore.Options{SegmentBytes: segment})
		for start := 0; start < len(all); {
			end := min(start+100, len(all))
			for end < len(all) && all[end].Batch == all[end-1].Batch {
				end++
			}
			if err := to.Import(ctx, all[start:end]); err != nil {
				t.Fatal(err)
			}
			start = end
		}
		if treeHead(t, to, 997) != treeHead(t, from, 997) {
			t.Error("the tree heads differ")
		}
		mustVerify(t, to)
		to.Close()
		to = open(t, dir, &filestore.Options{SegmentBytes: segment})
		if treeHead(t, to, 997) != treeHead(t, from, 997) {
			t.Error("the tree heads differ after reopening")
		}
		// Both go on alike, as does what they know of IDs and versions.
		for _, s := range []*filestore.Store{from, to} {
			if r, err := s.Append(ctx, driver.Batch{Events: []driver.Event{event(996)}}); !r.Repeated && err == nil {
				t.Errorf("a known event was appended again at %d", r.First)
			}
			if r, err := s.Append(ctx, driver.Batch{Events: []driver.Event{event(1000)}}); err != nil || r.First != 998 || r.Versions[0] != 143 {
				t.Errorf("Append returned %+v and %v", r, err)
			}
		}
	}
}

func TestAnImportThatDoesNotContinueTheLogIsRefused(t *testing.T) {
	from := open(t, t.TempDir(), nil)
	varied(t, from, 0, 50)
	all := records(t, from, driver.ReadOptions{})
	change := func(i int, f func(r *driver.Record)) []driver.Record {
		next := slices.Clone(all[20:40])
		f(&next[i])
		return next
	}
	for _, c := range []struct {
		name, field string
		index       int
		records     []driver.Record
	}{
		{"what it has", "position", 0, all[15:20]},
		{"a gap", "position", 0, all[25:30]},
		{"a gap between batches", "position", 5, slices.Concat(all[20:25], all[30:35])},
		{"a part of a batch", "batch", 0, all[21:25]},
		{"a position twice", "position", 3, change(3, func(r *driver.Record) { r.Position-- })},
		{"a wrong version", "version", 2, change(2, func(r *driver.Record) { r.Version++ })},
		{"time running backwards", "time", 0, func() []driver.Record {
			next := slices.Clone(all[20:25])
			for i := range next {
				next[i].Time = all[0].Time.Add(-1)
			}
			return next
		}()},
		{"two times in a batch", "time", 1, change(1, func(r *driver.Record) { r.Time = r.Time.Add(1) })},
		{"conditions within a batch", "conditions", 1, change(1, func(r *driver.Record) { r.Conditions = []driver.Condition{driver.StreamAbsent("x-1")} })},
		{"an event that is not valid", "type", 4, change(4, func(r *driver.Record) { r.Type = "" })},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := open(t, t.TempDir(), nil)
			if err := to.Import(ctx, all[:20]); err != nil {
				t.Fatal(err)
			}
			err := to.Import(ctx, c.records)
			var invalid *driver.InvalidError
			if !errors.As(err, &invalid) || invalid.Field != c.field || invalid.Index != c.index {
				t.Errorf("Import returned %v (%+v), want field %s of record %d", err, invalid, c.field, c.index)
			}
			head := driver.Position(len(records(t, to, driver.ReadOptions{})))
			if err := to.Import(ctx, all[head:]); err != nil || treeHead(t, to, 50) != treeHead(t, from, 50) {
				t.Errorf("importing the rest behind %d returned %v; equal tree heads are wanted", head, err)
			}
		})
	}
}

func TestWhatAClusterDoesNotOrderIsNotTaken(t *testing.T) {
	var published [][]driver.Record
	var refuse error
	order := &quorum.Order{Publish: func(records []driver.Record) func() error {
		published = append(published, slices.Clone(records))
		return func() error { return refuse }
	}}
	dir := t.TempDir()
	s := open(t, dir, &filestore.Options{Order: order})
	if _, err := s.Append(ctx, driver.Batch{Events: []driver.Event{event(1)}}); !errors.Is(err, quorum.ErrNotLeading) || len(published) != 0 {
		t.Fatalf("Append where the node does not lead returned %v", err)
	}
	order.Leading.Store(true)
	varied(t, s, 0, 20)
	same := slices.EqualFunc(slices.Concat(published...), records(t, s, driver.ReadOptions{}), func(a, b driver.Record) bool {
		return a.ID == b.ID && a.Position == b.Position && a.Version == b.Version && a.Time.Equal(b.Time) && a.Batch == b.Batch && len(a.Conditions) == len(b.Conditions)
	})
	if !same {
		t.Errorf("published %+v", published)
	}
	refuse = errors.New("no quorum")
	if _, err := s.Append(ctx, driver.Batch{Events: []driver.Event{event(30)}}); !errors.Is(err, quorum.ErrNotLeading) || !errors.Is(err, refuse) {
		t.Errorf("Append returned %v", err)
	}
	if order.Leading.Load() {
		t.Error("it still leads")
	}
	if err := s.Import(ctx, nil); err != nil {
		t.Errorf("waiting returned %v", err)
	}
	if got := len(records(t, s, driver.ReadOptions{})); got != 20 {
		t.Errorf("it holds %d records, want 20", got)
	}
	s.Close()
	s = open(t, dir, nil)
	if got := len(records(t, s, driver.ReadOptions{})); got != 20 {
		t.Errorf("reopened it holds %d records, want 20", got)
	}
	mustVerify(t, s)
}
