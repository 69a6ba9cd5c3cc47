package codec

import (
	"errors"
	"fmt"
	"strings"
)

// Pipeline is a codec followed by layers: encoding goes through the codec and
// the layers in order, decoding back. It is safe for concurrent use.
type Pipeline struct {
	codec  Codec
	layers []Layer
	name   string
	random int // index of the first random layer, len(layers) if there is none
}

// Stack returns the pipeline of c and layers, the first of which is the one
// nearest to the codec: Stack(JSON, zstd, aesgcm) compresses, then encrypts.
func Stack(c Codec, layers ...Layer) *Pipeline {
	p := &Pipeline{codec: c, layers: layers, random: len(layers)}
	for i, l := range layers {
		if l.Random() {
			p.random = i
			break
		}
	}
	p.name = encodingName(c, layers)
	return p
}

// encodingName is what a record's Encoding says: "" for JSON alone, else the
// parts joined by "+", where JSON is "json".
func encodingName(c Codec, layers []Layer) string {
	name := c.Name()
	if len(layers) == 0 {
		return name
	}
	if name == "" {
		name = "json"
	}
	parts := []string{name}
	for _, l := range layers {
		parts = append(parts, l.Name())
	}
	return strings.Join(parts, "+")
}

// Name is what the Encoding of a record made by p says: "" for plain JSON,
// else such as "json+zstd" or "cbor+zstd+aes-gcm".
func (p *Pipeline) Name() string { return p.name }

// Codec returns the codec at the bottom of p.
func (p *Pipeline) Codec() Codec { return p.codec }

// Random reports whether encoding the same event twice gives different bytes.
func (p *Pipeline) Random() bool { return p.random < len(p.layers) }

// Layered reports whether there is any layer, so that envelopes matter.
func (p *Pipeline) Layered() bool { return len(p.layers) > 0 }

// Encode returns v encoded for the place that e names.
func (p *Pipeline) Encode(v any, e Envelope) ([]byte, error) {
	data, err := p.codec.Marshal(v)
	if err != nil {
		return nil, err
	}
	for _, l := range p.layers {
		if data, err = l.Wrap(data, e); err != nil {
			return nil, fmt.Errorf("%s: %w", l.Name(), err)
		}
	}
	return data, nil
}

// Decode decodes data, found at the place that e names, into the event v
// points to. It keeps no part of data.
func (p *Pipeline) Decode(data []byte, e Envelope, v any) error {
	data, err := p.unwrap(data, e, 0)
	if err != nil {
		return err
	}
	return p.codec.Unmarshal(data, v)
}

// Plain returns what data was before the first random layer, so that two
// encodings of one event can be compared: equal events are equal there. The
// result may share data's memory.
func (p *Pipeline) Plain(data []byte, e Envelope) ([]byte, error) {
	return p.unwrap(data, e, p.random)
}

// Payload returns data with all layers taken off: what the codec wrote.
func (p *Pipeline) Payload(data []byte, e Envelope) ([]byte, error) {
	return p.unwrap(data, e, 0)
}

func (p *Pipeline) unwrap(data []byte, e Envelope, downTo int) ([]byte, error) {
	for i := len(p.layers) - 1; i >= downTo; i-- {
		var err error
		if data, err = p.layers[i].Unwrap(data, e); err != nil {
			return nil, fmt.Errorf("%s: %w", p.layers[i].Name(), err)
		}
	}
	return data, nil
}

// ErrUnknownEncoding is wrapped when no codec or layer has the name that a
// record's Encoding says.
var ErrUnknownEncoding = errors.New("unknown encoding")

// Parse returns the pipeline that encoding names, made of codecs and layers
// given. JSON need not be among the codecs.
func Parse(encoding string, codecs []Codec, layers []Layer) (*Pipeline, error) {
	if encoding == "" {
		return Stack(JSON), nil
	}
	name, rest, more := strings.Cut(encoding, "+")
	c, err := findCodec(name, more, codecs)
	if err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrUnknownEncoding, encoding, err)
	}
	var stack []Layer
	for more {
		name, rest, more = strings.Cut(rest, "+")
		l := findLayer(name, layers)
		if l == nil {
			return nil, fmt.Errorf("%w %q: no layer %q is set up", ErrUnknownEncoding, encoding, name)
		}
		stack = append(stack, l)
	}
	return Stack(c, stack...), nil
}

func findCodec(name string, layered bool, codecs []Codec) (Codec, error) {
	if name == "json" && layered {
		return JSON, nil
	}
	for _, c := range codecs {
		if name != "" && c.Name() == name {
			return c, nil
		}
	}
	return nil, fmt.Errorf("no codec %q is set up", name)
}

func findLayer(name string, layers []Layer) Layer {
	for _, l := range layers {
		if l.Name() == name {
			return l
		}
	}
	return nil
}
