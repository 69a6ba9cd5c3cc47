package zstd

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/annals-db/annals/codec"
	"github.com/klauspost/compress/dict"
	"github.com/klauspost/compress/zstd"
)

func newLayer(t testing.TB, o *Options) *Layer {
	t.Helper()
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestPayloadsComeBackAsTheyWere(t *testing.T) {
	l := newLayer(t, nil)
	random := make([]byte, 5000)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	for _, data := range [][]byte{nil, {}, []byte("x"), []byte(`{"SKU":"laptop-15","Quantity":3}`), []byte(strings.Repeat("abc ", 10_000)), random} {
		wrapped, err := l.Wrap(data, codec.Envelope{})
		if err != nil {
			t.Fatal(err)
		}
		if len(wrapped) > len(data)+1 {
			t.Errorf("%d bytes grew to %d", len(data), len(wrapped))
		}
		again, _ := l.Wrap(data, codec.Envelope{})
		if !bytes.Equal(wrapped, again) {
			t.Error("one payload was compressed in two ways")
		}
		back, err := l.Unwrap(wrapped, codec.Envelope{})
		if err != nil || !bytes.Equal(back, data) {
			t.Errorf("%d bytes came back as %d, %v", len(data), len(back), err)
		}
	}
}

func TestGolden(t *testing.T) {
	l := newLayer(t, nil)
	for in, want := range map[string]string{
		`{"a":1}`:              "00" + hex.EncodeToString([]byte(`{"a":1}`)),
		strings.Repeat("a", 9): "00" + strings.Repeat("61", 9),
	} {
		got, err := l.Wrap([]byte(in), codec.Envelope{})
		if err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s became %x, %v; want %s", in, got, err, want)
		}
	}
	// One frame, written by this layer, that must be readable for ever: 100 times "a".
	frame, _ := hex.DecodeString(goldenFrame)
	if got, err := l.Unwrap(frame, codec.Envelope{}); err != nil || string(got) != strings.Repeat("a", 100) {
		t.Errorf("%q, %v", got, err)
	}
}

const goldenFrame = "0128b52ffd206423030061"

func TestABombIsRefused(t *testing.T) {
	big := newLayer(t, &Options{MaxBytes: 1 << 24})
	small := newLayer(t, &Options{MaxBytes: 1 << 16})
	bomb, err := big.Wrap(make([]byte, 1<<23), codec.Envelope{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := small.Unwrap(bomb, codec.Envelope{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a frame that says its size: %v", err)
	}
	// One that does not say its size: a stream.
	var b bytes.Buffer
	b.WriteByte(frame)
	w, _ := zstd.NewWriter(&b)
	for range 100 {
		w.Write(make([]byte, 1<<16))
	}
	w.Close()
	if _, err := small.Unwrap(b.Bytes(), codec.Envelope{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a frame that does not say its size: %v", err)
	}
	if _, err := small.Wrap(make([]byte, 1<<17), codec.Envelope{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a payload that could not be read back: %v", err)
	}
}

func TestABombTakesNoMemory(t *testing.T) {
	small := newLayer(t, &Options{MaxBytes: 1 << 16})
	whole, err := newLayer(t, &Options{MaxBytes: 1 << 26}).Wrap(make([]byte, 1<<26), codec.Envelope{})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	b.WriteByte(frame)
	w, _ := zstd.NewWriter(&b)
	for range 1 << 10 {
		w.Write(make([]byte, 1<<16))
	}
	w.Close()
	for name, bomb := range map[string][]byte{"says its size": whole, "does not say its size": b.Bytes()} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := small.Unwrap(bomb, codec.Envelope{})
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, ErrTooLarge) || took > 16<<20 {
			t.Errorf("a frame that %s: %v, after %d bytes of memory", name, err, took)
		}
	}
}

func TestDamagedPayloadsAreErrors(t *testing.T) {
	l := newLayer(t, nil)
	whole, _ := l.Wrap([]byte(strings.Repeat("abc ", 100)), codec.Envelope{})
	for name, data := range map[string][]byte{"nothing": {}, "an unknown first byte": {7, 1}, "no frame": {frame, 1, 2, 3}, "an empty frame": {frame}, "cut short": whole[:len(whole)-3]} {
		if _, err := l.Unwrap(data, codec.Envelope{}); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestDictionaries(t *testing.T) {
	event := func(i int) []byte {
		return fmt.Appendf(nil, `{"sku":"product-%05d","quantity":%d,"warehouse":"north","reason":"sold","currency":"EUR"}`, i*7919%10000, i%17)
	}
	var samples [][]byte
	for i := range 2000 {
		samples = append(samples, event(i))
	}
	train := func(id uint32) []byte {
		d, err := dict.BuildZstdDict(samples, dict.Options{MaxDictSize: 4096, HashBytes: 6, ZstdDictID: id, ZstdLevel: zstd.SpeedDefault})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	first, second := train(1001), train(1002)
	plain, old, both := newLayer(t, nil), newLayer(t, &Options{Dictionaries: [][]byte{first}}), newLayer(t, &Options{Dictionaries: [][]byte{second, first}})
	data := event(4242)
	without, _ := plain.Wrap(data, codec.Envelope{})
	wrapped, err := old.Wrap(data, codec.Envelope{})
	if err != nil {
		t.Fatal(err)
	}
	if len(wrapped)*2 > len(without) {
		t.Errorf("with a dictionary %d bytes became %d, without %d", len(data), len(wrapped), len(without))
	}
	if back, err := both.Unwrap(wrapped, codec.Envelope{}); err != nil || !bytes.Equal(back, data) {
		t.Errorf("after the dictionary changed: %q, %v", back, err)
	}
	if _, err := plain.Unwrap(wrapped, codec.Envelope{}); err == nil || !strings.Contains(err.Error(), "1001") {
		t.Errorf("without the dictionary: %v, which should name it", err)
	}
}

func FuzzUnwrap(f *testing.F) {
	l := newLayer(f, &Options{MaxBytes: 1 << 20})
	whole, _ := l.Wrap([]byte(strings.Repeat("abc ", 100)), codec.Envelope{})
	f.Add(whole)
	f.Add([]byte{stored, 'x'})
	f.Fuzz(func(t *testing.T, data []byte) {
		out, err := l.Unwrap(data, codec.Envelope{})
		if err != nil {
			return
		}
		if len(out) > 1<<20 {
			t.Fatalf("%d bytes, over the limit", len(out))
		}
		again, err := l.Wrap(out, codec.Envelope{})
		if err != nil {
			t.Fatal(err)
		}
		if back, err := l.Unwrap(again, codec.Envelope{}); err != nil || !bytes.Equal(back, out) {
			t.Fatalf("%q came back as %q, %v", out, back, err)
		}
	})
}
