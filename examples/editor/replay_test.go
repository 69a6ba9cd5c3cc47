package main

import (
	"errors"
	"testing"

	"github.com/annals-db/annals/codec"
	"github.com/annals-db/annals/collab"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
)

// replayStore reads a store beside the process that writes it, and returns the
// text after each event of a stream, from before the first.
func replayStore(t testing.TB, dir, stream string) []string {
	t.Helper()
	log, err := filestore.Open(dir, &filestore.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	versions := []string{""}
	var text []rune
	q := driver.Query{Items: []driver.Item{{Streams: []string{stream}}}}
	for r, err := range log.Read(t.Context(), q, driver.ReadOptions{}) {
		var e collab.TextEdited
		if err = errors.Join(err, codec.JSON.Unmarshal(r.Data, &e)); err != nil {
			t.Fatal(err)
		}
		var after []rune
		for _, op := range e.Change {
			after = append(append(after, []rune(op.Insert)...), text[:op.Keep]...)
			text = text[op.Keep+op.Delete:]
		}
		text = append(after, text...)
		versions = append(versions, string(text))
	}
	return versions
}
