package pgstore_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/annals-db/annals/driver"
)

func TestVerifyFindsAlteredRowsByPosition(t *testing.T) {
	for name, c := range map[string]struct {
		sql  string
		want []driver.Position
	}{
		"a payload":      {`UPDATE annals.events SET data = '{"id":"other"}' WHERE position = 3`, []driver.Position{3}},
		"a type":         {`UPDATE annals.events SET type = 'Other' WHERE position = 4`, []driver.Position{4}},
		"a stream":       {`UPDATE annals.events SET stream = 'b-1' WHERE position = 5`, []driver.Position{5}},
		"a time":         {`UPDATE annals.events SET time = time + 1 WHERE position = 6`, []driver.Position{6}},
		"an occurred":    {`UPDATE annals.events SET occurred = 1 WHERE position = 6`, []driver.Position{6}},
		"metadata":       {`UPDATE annals.events SET metadata = '{"actor":"eve"}' WHERE position = 7`, []driver.Position{7}},
		"odd metadata":   {`UPDATE annals.events SET metadata = '[1]' WHERE position = 7`, []driver.Position{7}},
		"a condition":    {`UPDATE annals.events SET conditions = NULL WHERE position = 1`, []driver.Position{1}},
		"odd conditions": {`UPDATE annals.events SET conditions = '{"x":1}' WHERE position = 1`, []driver.Position{1}},
		"an ID":          {`UPDATE annals.events SET id = gen_random_uuid() WHERE position = 8`, []driver.Position{8}},
		"tags of a row":  {`UPDATE annals.events SET tags = '{k:w}' WHERE position = 9`, []driver.Position{9, 9, 9}},
		"the leaf":       {`UPDATE annals.events SET leaf = sha256('') WHERE position = 9`, []driver.Position{9}},
		"two payloads":   {`UPDATE annals.events SET data = '' WHERE position IN (2, 10)`, []driver.Position{2, 10}},
		"rows swapped":   {`UPDATE annals.events SET position = -position WHERE position IN (3, 4); UPDATE annals.events SET position = CASE position WHEN -3 THEN 4 ELSE 3 END WHERE position < 0`, []driver.Position{3, 4}},
		"rows gone":      {`DELETE FROM annals.events WHERE position BETWEEN 4 AND 6; DELETE FROM annals.tags WHERE position BETWEEN 4 AND 6`, []driver.Position{4}},
		"the first gone": {`DELETE FROM annals.events WHERE position = 1; DELETE FROM annals.tags WHERE position = 1`, []driver.Position{1}},
		"a tag gone":     {`DELETE FROM annals.tags WHERE position = 7`, []driver.Position{7}},
		"a tag too many": {`INSERT INTO annals.tags VALUES ('k:x', 7)`, []driver.Position{7}},
		"nothing":        {`SELECT 1`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			url := newURL(t)
			s := openStore(t, url, nil)
			for i := range 6 {
				mustAppend(t, s, driver.Batch{Events: []driver.Event{event("a-1", "A", "k:v"), event("a-2", "B", "k:v")},
					Conditions: []driver.Condition{driver.StreamAt("a-1", uint64(i))}})
			}
			runSQL(t, url, c.sql)
			var got []driver.Position
			for err := range s.Verify(newContext(t), nil) {
				var corrupt *driver.CorruptError
				if !errors.As(err, &corrupt) {
					t.Fatal(err)
				}
				got = append(got, corrupt.Position)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("Verify found faults at %v, want %v", got, c.want)
			}
			var err error
			for _, err = range s.Read(newContext(t), driver.Query{}, driver.ReadOptions{}) {
				if err != nil {
					break
				}
			}
			var corrupt *driver.CorruptError
			if inRows := len(c.want) > 0 && name != "a tag gone" && name != "a tag too many"; inRows != errors.As(err, &corrupt) {
				t.Errorf("Read ends with %v", err)
			} else if inRows && corrupt.Position != c.want[0] {
				t.Errorf("Read ends at position %d", corrupt.Position)
			}
		})
	}
}

func TestTreeHeadIsThatOfMemory(t *testing.T) {
	s := openStore(t, newURL(t), nil)
	for i := range 5 {
		mustAppend(t, s, driver.Batch{Events: []driver.Event{event("a-1", "A", "k:v"), event("", "B", "k:w")},
			Conditions: []driver.Condition{driver.StreamAt("a-1", uint64(i)), driver.NoneAfter(driver.Query{Items: []driver.Item{{Types: []string{"A\x00é\"<"}, Tags: []string{"k:\u2028"}}}}, 0)}})
	}
	sameLog(t, s, copyOf(t, s))
}
