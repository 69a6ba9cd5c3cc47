package sqlitestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/sqlitestore"
)

// sample makes a file with a log of 400 records and returns them; nothing is
// left in the -wal file.
func sample(t *testing.T, path string) []driver.Record {
	t.Helper()
	s := open(t, path, nil)
	for i := range 200 {
		appendTo(t, s, event(fmt.Sprintf("item-%d", i%7), fmt.Sprintf("color:%d", i%3)), event("shared", "size:1"))
	}
	all := records(t, s, driver.Query{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

func flip(t *testing.T, path string, offset int, bit int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[offset] ^= 1 << bit
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAFlippedBitInARecordIsNamedAndNeverServed(t *testing.T) {
	path := newFile(t)
	all := sample(t, path)
	const p = 123
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Index(file, all[p-1].Data)
	id := bytes.LastIndex(file[:max(data, 0)], all[p-1].ID[:])
	if data < 0 || id < 0 {
		t.Fatal("the record is not found in the file")
	}
	for what, offset := range map[string]int{"data": data, "id": id} {
		t.Run(what, func(t *testing.T) {
			damaged := newFile(t)
			if err := os.WriteFile(damaged, file, 0o600); err != nil {
				t.Fatal(err)
			}
			flip(t, damaged, offset+3, 2)
			s := open(t, damaged, nil)
			got, err := collect(testContext(t), s, driver.Query{}, driver.ReadOptions{})
			equal(t, "position", failsAs[*driver.CorruptError](t, err).Position, driver.Position(p))
			equal(t, "records before it", got, all[:p-1])
			_, err = collect(testContext(t), s, ofStream(all[p-1].Stream), driver.ReadOptions{})
			equal(t, "position by stream", failsAs[*driver.CorruptError](t, err).Position, driver.Position(p))
			after, err := collect(testContext(t), s, driver.Query{}, driver.ReadOptions{After: p})
			equal(t, "records after it", after, all[p:])
			equal(t, "error", err, error(nil))
			if _, err := s.Append(testContext(t), batch(event("item-1"))); !errors.Is(err, driver.ErrReadOnly) {
				t.Errorf("Append to a damaged log returned %v", err)
			}
			named := false
			for _, err := range faults(t, s) {
				var c *driver.CorruptError
				named = named || errors.As(err, &c) && c.Position == p
			}
			if !named {
				t.Error("Verify does not name the position")
			}
		})
	}
}

func TestRowsThatAreMissingOrChangedAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		statements []string
		position   driver.Position // that the first fault names, 0 for any
		reads      bool            // whether a read of everything fails
	}{
		"a record":         {[]string{`DROP TRIGGER annals_no_delete`, `DELETE FROM annals_records WHERE position = 77`}, 77, true},
		"the last records": {[]string{`DROP TRIGGER annals_no_delete`, `DELETE FROM annals_records WHERE position > 390`}, 391, true},
		"two records that changed places": {[]string{`DROP TRIGGER annals_no_update`,
			`UPDATE annals_records SET position = -1 WHERE position = 9`, `UPDATE annals_records SET position = 9 WHERE position = 11`, `UPDATE annals_records SET position = 11 WHERE position = -1`}, 9, true},
		"a time":                      {[]string{`DROP TRIGGER annals_no_update`, `UPDATE annals_records SET time = time + 1 WHERE position = 50`}, 50, true},
		"a name":                      {[]string{`UPDATE annals_keys SET name = 'item-X' WHERE name = 'item-3'`}, 7, true},
		"a leaf":                      {[]string{`DROP TRIGGER annals_no_update`, `UPDATE annals_records SET leaf = zeroblob(32) WHERE position = 50`}, 50, true},
		"the payload of the last one": {[]string{`DROP TRIGGER annals_no_update`, `UPDATE annals_records SET data = x'22' WHERE position = 400`}, 400, true},
		"an entry of a stream":        {[]string{`DELETE FROM annals_postings WHERE position = 101`}, 101, false},
		"an entry too many":           {[]string{`INSERT INTO annals_postings SELECT key, 3, 1000 FROM annals_keys WHERE name = 'item-6'`}, 0, false},
		"the first entry of a name":   {[]string{`DELETE FROM annals_postings WHERE position = 1`}, 1, false},
		"the last entry of a name":    {[]string{`DELETE FROM annals_postings WHERE position = 400`}, 400, false},
		"a count":                     {[]string{`UPDATE annals_keys SET count = count + 1 WHERE name = 'shared'`}, 0, false},
		"a count of types":            {[]string{`UPDATE annals_keys SET count = count + 1 WHERE kind = 3`}, 401, true},
		"a name that is not used":     {[]string{`INSERT INTO annals_keys (kind, name, count, last) VALUES (1, 'ghost', 3, 5)`}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			path := newFile(t)
			all := sample(t, path)
			run(t, plainSQL(t, path), c.statements...)
			s := open(t, path, nil)
			got, err := collect(testContext(t), s, driver.Query{}, driver.ReadOptions{})
			if (err != nil) != c.reads {
				t.Errorf("a read of everything ended with %v", err)
			}
			if len(got) > len(all) || !reflect.DeepEqual(got, all[:len(got)]) {
				t.Error("a read of everything yielded what was not appended")
			}
			found := faults(t, s)
			if len(found) == 0 {
				t.Fatal("Verify finds nothing")
			}
			if at := failsAs[*driver.CorruptError](t, found[0]).Position; c.position != 0 && at != c.position {
				t.Errorf("the first fault is %v, want one at position %d", found[0], c.position)
			}
			if strings.Contains(name, "entry of") {
				_, err := collect(testContext(t), s, ofStream(all[c.position-1].Stream), driver.ReadOptions{})
				failsAs[*driver.CorruptError](t, err)
				_, err = collect(testContext(t), s, tagged(all[c.position-1].Tags...), driver.ReadOptions{Backward: true})
				failsAs[*driver.CorruptError](t, err)
			}
			if name == "the last entry of a name" {
				_, err := s.StreamVersion(testContext(t), all[c.position-1].Stream)
				failsAs[*driver.CorruptError](t, err)
			}
		})
	}
}

// TestNoFlippedBitIsServed flips a bit anywhere in the file. Whatever that
// does, no record is served that was not appended as it is; a read of
// everything is complete or fails; and what a lookup by name or ID
// does not find any more, Verify knows.
func TestNoFlippedBitIsServed(t *testing.T) {
	path := newFile(t)
	all := sample(t, path)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seed, rounds := rand.Uint64()>>16, 20
	if v, err := strconv.ParseUint(os.Getenv("ANNALS_SEED"), 10, 64); err == nil {
		seed = v
	}
	if v, err := strconv.Atoi(os.Getenv("ANNALS_FLIPS")); err == nil {
		rounds = v
	}
	t.Logf("repeat with ANNALS_SEED=%d, more with ANNALS_FLIPS", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	outcomes := map[string]int{}
	for round := range rounds {
		offset, bit := r.IntN(len(file)), r.IntN(8)
		damaged := newFile(t)
		b := bytes.Clone(file)
		b[offset] ^= 1 << bit
		if err := os.WriteFile(damaged, b, 0o600); err != nil {
			t.Fatal(err)
		}
		outcome, err := tryDamaged(testContext(t), damaged, all)
		if err != nil {
			t.Errorf("round %d, bit %d of byte %d: %v", round, bit, offset, err)
		}
		outcomes[outcome]++
	}
	t.Logf("%v", outcomes)
}

// tryDamaged reads a damaged file in every way, and returns what that came to,
// and an error where it must not come to that.
func tryDamaged(ctx context.Context, path string, all []driver.Record) (string, error) {
	s, err := sqlitestore.Open(path, &sqlitestore.Options{MustExist: true})
	if err != nil {
		return "not opened", nil
	}
	defer s.Close() //nolint:errcheck // the file is damaged
	var verified []string
	for err := range s.Verify(ctx, nil) {
		verified = append(verified, err.Error())
	}
	outcome := "without effect"
	if len(verified) > 0 {
		outcome = "found by Verify"
	}
	queries := []driver.Query{{}, {Items: []driver.Item{{Types: []string{"Happened"}}}}, {Items: []driver.Item{{Category: "item"}}}, ofStream("shared"), tagged("size:1")}
	for i := range 7 {
		queries = append(queries, ofStream(fmt.Sprintf("item-%d", i)), tagged(fmt.Sprintf("color:%d", i%3)))
	}
	for n, q := range queries {
		for _, backward := range []bool{false, true} {
			got, err := collect(ctx, s, q, driver.ReadOptions{Backward: backward})
			if wrong := misserved(got, all, q, backward); wrong != "" {
				return outcome, errors.New(wrong)
			}
			if err != nil {
				outcome = "found by a read"
				continue
			}
			if want := matching(all, q); len(got) != len(want) {
				if n == 0 || len(verified) == 0 {
					return outcome, fmt.Errorf("a read of %s yielded %d of %d records and no error; Verify says %s", q, len(got), len(want), strings.Join(verified, "; "))
				}
				outcome = "hidden from a lookup, found by Verify"
			}
		}
	}
	return outcome, nil
}

// misserved says which record of got is not as it was appended, or out of place.
func misserved(got, all []driver.Record, q driver.Query, backward bool) string {
	last := driver.Position(0)
	if backward {
		last = driver.Position(len(all)) + 1
	}
	for _, r := range got {
		if r.Position == 0 || int(r.Position) > len(all) || !reflect.DeepEqual(r, all[r.Position-1]) {
			return fmt.Sprintf("position %d is served and is not what was appended", r.Position)
		}
		if !q.Matches(&r.Event) || !backward && r.Position <= last || backward && r.Position >= last {
			return fmt.Sprintf("position %d does not belong behind %d in a read of %s", r.Position, last, q)
		}
		last = r.Position
	}
	return ""
}

func matching(all []driver.Record, q driver.Query) (out []driver.Record) {
	for _, r := range all {
		if q.Matches(&r.Event) {
			out = append(out, r)
		}
	}
	return out
}
