package aesgcm

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/annals-db/annals/codec"
	"github.com/google/uuid"
)

func secret(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func newRing(t testing.TB, current Key, others ...Key) *Keyring {
	t.Helper()
	k, err := NewKeyring(current, others...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var place = codec.Envelope{
	Log:    uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057"),
	Stream: "item-laptop",
	Type:   "ItemCreated",
	ID:     uuid.MustParse("01890a5d-ac96-7b7c-8f89-37c3d0a66cae"),
}

func TestPayloadsComeBackAsTheyWere(t *testing.T) {
	l := New(newRing(t, Key{"k1", secret(1)}))
	for _, data := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("abc"), 10_000)} {
		one, err := l.Wrap(data, place)
		if err != nil {
			t.Fatal(err)
		}
		two, _ := l.Wrap(data, place)
		if bytes.Equal(one, two) {
			t.Error("two encryptions of one payload are equal")
		}
		if len(data) > 1 && bytes.Contains(one, data) {
			t.Error("the payload is in the clear")
		}
		back, err := l.Unwrap(one, place)
		if err != nil || !bytes.Equal(back, data) {
			t.Errorf("%q came back as %q, %v", data, back, err)
		}
	}
}

func TestASwappedRowDoesNotDecrypt(t *testing.T) {
	l := New(newRing(t, Key{"k1", secret(1)}))
	data, _ := l.Wrap([]byte("secret"), place)
	for name, move := range map[string]func(*codec.Envelope){
		"another log":    func(e *codec.Envelope) { e.Log[0]++ },
		"another stream": func(e *codec.Envelope) { e.Stream = "item-mouse" },
		"another type":   func(e *codec.Envelope) { e.Type = "ItemDeleted" },
		"another event":  func(e *codec.Envelope) { e.ID[15]++ },
		"a byte moved from the stream's name to the type's": func(e *codec.Envelope) {
			e.Stream, e.Type = e.Stream[:len(e.Stream)-1], e.Stream[len(e.Stream)-1:]+e.Type
		},
	} {
		e := place
		move(&e)
		if _, err := l.Unwrap(data, e); !errors.Is(err, ErrNotAuthentic) || !strings.Contains(err.Error(), e.ID.String()) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryChangedByteIsFound(t *testing.T) {
	l := New(newRing(t, Key{"k1", secret(1)}, Key{"k0", secret(1)}))
	data, _ := l.Wrap([]byte("secret"), place)
	for i := range data {
		for bit := range 8 {
			bad := bytes.Clone(data)
			bad[i] ^= 1 << bit
			if out, err := l.Unwrap(bad, place); err == nil {
				t.Fatalf("bit %d of byte %d changed, and decrypted as %q", bit, i, out)
			}
		}
		if _, err := l.Unwrap(data[:i], place); err == nil {
			t.Fatalf("cut at %d, and decrypted", i)
		}
	}
}

func TestRotation(t *testing.T) {
	keys := newRing(t, Key{"2026-06", secret(1)})
	l := New(keys)
	old, _ := l.Wrap([]byte("old"), place)
	if err := keys.Rotate(Key{"2026-07", secret(2)}); err != nil {
		t.Fatal(err)
	}
	young, _ := l.Wrap([]byte("young"), place)
	for want, data := range map[string][]byte{"old": old, "young": young} {
		if got, err := l.Unwrap(data, place); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", want, got, err)
		}
	}
	for want, data := range map[string][]byte{"2026-06": old, "2026-07": young} {
		if id, err := KeyID(data); err != nil || id != want {
			t.Errorf("key %q, %v; want %q", id, err, want)
		}
	}
	retired := New(newRing(t, Key{"2026-07", secret(2)}))
	if _, err := retired.Unwrap(old, place); !errors.Is(err, ErrUnknownKey) || !strings.Contains(err.Error(), "2026-06") {
		t.Errorf("a key that is gone: %v", err)
	}
	wrong := New(newRing(t, Key{"2026-07", secret(3)}))
	if _, err := wrong.Unwrap(young, place); !errors.Is(err, ErrNotAuthentic) || !strings.Contains(err.Error(), "2026-07") {
		t.Errorf("another secret under the same name: %v", err)
	}
}

func TestKeysAreChecked(t *testing.T) {
	for name, k := range map[string]Key{"no ID": {"", secret(1)}, "a long ID": {strings.Repeat("x", 256), secret(1)}, "a short secret": {"k", secret(1)[:16]}, "a long secret": {"k", make([]byte, 33)}} {
		if _, err := NewKeyring(k); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	keys := newRing(t, Key{"k", secret(1)})
	if err := keys.Add(Key{"k", secret(2)}); err == nil {
		t.Error("one ID was given to two secrets")
	}
	if err := keys.Rotate(Key{"k", secret(1)}); err != nil {
		t.Errorf("the same key again: %v", err)
	}
}

func TestRotationWhileInUse(t *testing.T) {
	keys := newRing(t, Key{"k0", secret(0)})
	l := New(keys)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				data, err := l.Wrap([]byte("x"), place)
				if err != nil {
					t.Error(err)
				}
				if _, err := l.Unwrap(data, place); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 100 {
		if err := keys.Rotate(Key{string(rune('a' + i)), secret(byte(i))}); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

// Written by this layer once, and to be decrypted for ever.
func TestGolden(t *testing.T) {
	data, _ := hex.DecodeString(golden)
	got, err := New(newRing(t, Key{"2026-07", secret(7)})).Unwrap(data, place)
	if err != nil || string(got) != `{"Name":"laptop"}` {
		t.Errorf("%q, %v", got, err)
	}
}

const golden = "0107323032362d30371ede5d2b8441334c3c29ef5e9e49f44e1b1771c92a3ff21180ab541b6d0bf73557c92969c1b53221cf5857b903"

func FuzzUnwrap(f *testing.F) {
	l := New(newRing(f, Key{"k1", secret(1)}))
	data, _ := l.Wrap([]byte("secret"), place)
	f.Add(data)
	f.Add([]byte{version, 255})
	f.Add([]byte{version, 2, 'k', '1'})
	f.Fuzz(func(t *testing.T, data []byte) {
		if out, err := l.Unwrap(data, place); err == nil && string(out) != "secret" {
			t.Fatalf("%x was decrypted as %q", data, out)
		}
	})
}
