package codec_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/annals-db/annals/codec"
	"github.com/annals-db/annals/codec/aesgcm"
	"github.com/annals-db/annals/codec/cbor"
	"github.com/annals-db/annals/codec/zstd"
	"github.com/google/uuid"
)

type note struct {
	Title string
	Words []string
}

func layers(t *testing.T) (compress, encrypt codec.Layer) {
	t.Helper()
	z, err := zstd.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := aesgcm.NewKeyring(aesgcm.Key{ID: "k1", Secret: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	return z, aesgcm.New(keys)
}

func TestPipeline(t *testing.T) {
	compress, encrypt := layers(t)
	place := codec.Envelope{Log: uuid.New(), Stream: "note-1", Type: "note", ID: uuid.New()}
	v := note{"a title", strings.Fields(strings.Repeat("word ", 50))}
	for _, c := range []struct {
		name   string
		p      *codec.Pipeline
		random bool
	}{
		{"", codec.Stack(codec.JSON), false},
		{"cbor", codec.Stack(cbor.Codec), false},
		{"json+zstd", codec.Stack(codec.JSON, compress), false},
		{"json+aes-gcm", codec.Stack(codec.JSON, encrypt), true},
		{"cbor+zstd+aes-gcm", codec.Stack(cbor.Codec, compress, encrypt), true},
	} {
		t.Run("as "+c.name, func(t *testing.T) {
			if c.p.Name() != c.name || c.p.Random() != c.random {
				t.Errorf("name %q, random %v", c.p.Name(), c.p.Random())
			}
			one, err := c.p.Encode(v, place)
			if err != nil {
				t.Fatal(err)
			}
			two, _ := c.p.Encode(&v, place)
			if bytes.Equal(one, two) == c.random {
				t.Errorf("encoded twice: equal %v", !c.random)
			}
			plainOne, err1 := c.p.Plain(one, place)
			plainTwo, err2 := c.p.Plain(two, place)
			if err1 != nil || err2 != nil || !bytes.Equal(plainOne, plainTwo) {
				t.Errorf("below the first random layer: %q, %q, %v, %v", plainOne, plainTwo, err1, err2)
			}
			var back note
			if err := c.p.Decode(one, place, &back); err != nil || back.Title != v.Title || len(back.Words) != 50 {
				t.Errorf("%+v, %v", back, err)
			}
			found, err := codec.Parse(c.name, []codec.Codec{cbor.Codec}, []codec.Layer{encrypt, compress})
			if err != nil {
				t.Fatal(err)
			}
			payload, err := found.Payload(two, place)
			if want, _ := c.p.Codec().Marshal(v); err != nil || !bytes.Equal(payload, want) {
				t.Errorf("payload %q, %v", payload, err)
			}
			if c.random {
				elsewhere := place
				elsewhere.Stream = "note-2"
				if err := c.p.Decode(one, elsewhere, &back); !errors.Is(err, aesgcm.ErrNotAuthentic) {
					t.Errorf("decoded in another stream: %v", err)
				}
			}
		})
	}
}

func TestUnknownEncodings(t *testing.T) {
	for _, name := range []string{"json", "xml", "json+zstd", "+zstd", "cbor+", "cbor+zstd"} {
		if _, err := codec.Parse(name, []codec.Codec{cbor.Codec}, nil); !errors.Is(err, codec.ErrUnknownEncoding) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func BenchmarkPipeline(b *testing.B) {
	z, err := zstd.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	keys, err := aesgcm.NewKeyring(aesgcm.Key{ID: "k1", Secret: make([]byte, 32)})
	if err != nil {
		b.Fatal(err)
	}
	place := codec.Envelope{Log: uuid.New(), Stream: "note-1", Type: "note", ID: uuid.New()}
	for size, v := range map[string]note{"small": {"laptop-15-inch", []string{"sold", "web"}}, "1KB": {"a title", strings.Fields(strings.Repeat("several words ", 75))}} {
		for _, p := range []*codec.Pipeline{codec.Stack(codec.JSON), codec.Stack(cbor.Codec), codec.Stack(codec.JSON, z), codec.Stack(codec.JSON, aesgcm.New(keys)), codec.Stack(cbor.Codec, z, aesgcm.New(keys))} {
			data, err := p.Encode(v, place)
			if err != nil {
				b.Fatal(err)
			}
			name := size + "/" + p.Name()
			b.Run(name+"/encode", func(b *testing.B) {
				for b.Loop() {
					if _, err := p.Encode(&v, place); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(len(data)), "bytes")
			})
			b.Run(name+"/decode", func(b *testing.B) {
				for b.Loop() {
					var back note
					if err := p.Decode(data, place, &back); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
