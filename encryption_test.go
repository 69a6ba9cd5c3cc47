package annals_test

import (
	"bytes"
	"context"
	"iter"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/codec"
	"github.com/annals-db/annals/codec/aesgcm"
	"github.com/annals-db/annals/codec/zstd"
	"github.com/annals-db/annals/driver"
)

// secret returns a pipeline that encrypts with the key of the given ID.
func secret(t *testing.T, current string) *codec.Pipeline {
	t.Helper()
	keys := map[string]aesgcm.Key{"k1": {ID: "k1", Secret: bytes.Repeat([]byte{1}, 32)}, "k2": {ID: "k2", Secret: bytes.Repeat([]byte{2}, 32)}}
	ring, err := aesgcm.NewKeyring(keys[current], keys["k1"], keys["k2"])
	must(t, err)
	small, err := zstd.New(nil)
	must(t, err)
	return codec.Stack(codec.JSON, small, aesgcm.New(ring))
}

// swapping gives the payloads of the first two records in each other's place.
type swapping struct {
	driver.Log
	a, b []byte
}

func (l *swapping) Read(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
	return func(yield func(driver.Record, error) bool) {
		for r, err := range l.Log.Read(ctx, q, o) {
			switch r.Position {
			case 1:
				r.Data = l.b
			case 2:
				r.Data = l.a
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func TestEncryption(t *testing.T) {
	db, log := open(t, &annals.Options{Codec: secret(t, "k1")})
	create(t, db, "a", "Alice's laptop", 10)
	create(t, db, "b", "Bob's laptop", 99)
	records := all(t, db, annals.Query{})

	t.Run("the log holds no plain text, and the record says how it is encoded", func(t *testing.T) {
		if bytes.Contains(records[0].Data, []byte("laptop")) {
			t.Fatal("plain text in the log")
		}
		equal(t, "encoding", records[0].Encoding, "json+zstd+aes-gcm")
		equal(t, "quantity", quantity(t, db.View(t.Context()), "a"), 10)
	})
	t.Run("a reader without the codec is told so", func(t *testing.T) {
		_, err := Items.Load(annals.New(log, nil).View(t.Context()), "a")
		fails(t, err, `"item-a"`, "position 1", "json+zstd+aes-gcm")
	})
	t.Run("after the key was rotated old events still decrypt", func(t *testing.T) {
		rotated := annals.New(log, &annals.Options{Codec: secret(t, "k2")})
		change(t, rotated, "a", 5)
		equal(t, "quantity", quantity(t, rotated.View(t.Context()), "a"), 15)
	})
	t.Run("appending the same named event again is known as the same, whatever the key and nonce", func(t *testing.T) {
		id := annals.NameID("delivery", "1")
		for i, key := range []string{"k1", "k1", "k2"} {
			db := annals.New(log, &annals.Options{Codec: secret(t, key)})
			r, err := Items.Update(t.Context(), db, "b", func(i *Item) error { return i.Record(QuantityIncreased{1}, annals.WithID(id)) })
			must(t, err)
			equal(t, "repeated", r.Repeated, i > 0)
		}
		_, err := Items.Update(t.Context(), db, "b", func(i *Item) error { return i.Record(QuantityIncreased{2}, annals.WithID(id)) })
		fails(t, err, id.String())
		equal(t, "quantity", quantity(t, db.View(t.Context()), "b"), 100)
	})
	t.Run("rows that were swapped do not decrypt", func(t *testing.T) {
		other := annals.New(&swapping{log, records[0].Data, records[1].Data}, &annals.Options{Codec: secret(t, "k1")})
		_, err := Items.Load(other.View(t.Context()), "a")
		fails(t, err, `"item-a"`, "position 1", "aes-gcm")
	})
	t.Run("nor does a row that was moved to another log", func(t *testing.T) {
		other, moved := open(t, &annals.Options{Codec: secret(t, "k1")})
		_, err := moved.Append(t.Context(), driver.Batch{Events: []driver.Event{records[0].Event}})
		must(t, err)
		_, err = Items.Load(other.View(t.Context()), "a")
		fails(t, err, "position 1", "aes-gcm")
	})
}
