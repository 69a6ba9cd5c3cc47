package zstd

import (
	"errors"
	"fmt"

	"github.com/annals-db/annals/codec"
	"github.com/klauspost/compress/zstd"
)

// Name is "zstd".
func (l *Layer) Name() string { return "zstd" }

// Random is false: equal payloads give equal bytes.
func (l *Layer) Random() bool { return false }

// Wrap returns data compressed, or as it is behind a byte that says so.
func (l *Layer) Wrap(data []byte, _ codec.Envelope) ([]byte, error) {
	if len(data) > l.max {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(data), l.max)
	}
	out := make([]byte, 1, len(data)+64)
	out[0] = frame
	if out = l.enc.EncodeAll(data, out); len(out) < len(data)+1 {
		return out, nil
	}
	out = append(out[:0], stored)
	return append(out, data...), nil
}

// Unwrap returns what Wrap was given. The result may share data's memory.
func (l *Layer) Unwrap(data []byte, _ codec.Envelope) ([]byte, error) {
	if len(data) == 0 {
		return nil, errors.New("the payload is empty")
	}
	kind, data := data[0], data[1:]
	switch kind {
	case stored:
		if len(data) > l.max {
			return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(data), l.max)
		}
		return data, nil
	case frame:
		return l.decompress(data)
	}
	return nil, fmt.Errorf("the payload begins with %#02x, which is neither 0 nor 1", kind)
}

func (l *Layer) decompress(data []byte) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(data); err != nil { // nothing at all would pass for an empty payload
		return nil, fmt.Errorf("no frame: %w", err)
	}
	out, err := l.dec.DecodeAll(data, nil)
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return nil, fmt.Errorf("%w of %d bytes: %w", ErrTooLarge, l.max, err)
	case errors.Is(err, zstd.ErrUnknownDictionary):
		return nil, fmt.Errorf("dictionary %d is not set up: %w", h.DictionaryID, err)
	case err != nil:
		return nil, err
	case len(out) > l.max:
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(out), l.max)
	}
	return out, nil
}
