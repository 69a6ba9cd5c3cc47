// Package zstd is a layer that compresses payloads with Zstandard. Start with
// [New] and put the layer first after the codec: encrypted bytes do not
// compress.
//
//	l, err := zstd.New(nil)
//	p := codec.Stack(codec.JSON, l)
//
// Payloads of a hundred bytes gain little by themselves; a dictionary made of
// sample events (zstd --train) makes them several times smaller. Keep every
// dictionary that was ever the current one: events written with it need it.
//
// # Format
//
//	+------+----------------------------------------------+
//	| 0x00 | the payload as it is, where that is no longer |
//	+------+----------------------------------------------+
//	| 0x01 | one Zstandard frame (RFC 8878)               |
//	+------+----------------------------------------------+
//
// Equal payloads give equal bytes, within one version of the library.
package zstd

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// ErrTooLarge is wrapped when a payload would be larger than the limit once
// decompressed.
var ErrTooLarge = errors.New("the decompressed payload is over the limit")

// Options set up a [Layer].
type Options struct {
	// Level is how hard to compress, from 1 (fastest) to 22, in the scale of
	// the zstd program. Defaults to 3.
	Level int
	// Dictionaries are in the format of zstd --train. The first is used to
	// compress, all to decompress. Defaults to none.
	Dictionaries [][]byte
	// MaxBytes is the largest payload that is decompressed. Defaults to 64 MiB.
	MaxBytes int
}

// Layer compresses. It is a codec.Layer.
type Layer struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
	max int
}

const (
	stored = 0
	frame  = 1
)

// New returns a layer as o says.
func New(o *Options) (*Layer, error) {
	if o == nil {
		o = &Options{}
	}
	level, max := o.Level, o.MaxBytes
	if level == 0 {
		level = 3
	}
	if max == 0 {
		max = 64 << 20
	}
	if level < 1 || level > 22 || max < 0 {
		return nil, fmt.Errorf("zstd: level %d or limit %d is out of range", level, max)
	}
	encOptions := []zstd.EOption{zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithWindowSize(1 << 20),
		zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true), zstd.WithZeroFrames(true)}
	decOptions := []zstd.DOption{zstd.WithDecoderMaxMemory(uint64(max)), zstd.WithDecoderConcurrency(0)}
	if len(o.Dictionaries) > 0 {
		encOptions = append(encOptions, zstd.WithEncoderDict(o.Dictionaries[0]))
		decOptions = append(decOptions, zstd.WithDecoderDicts(o.Dictionaries...))
	}
	enc, err := zstd.NewWriter(nil, encOptions...)
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	dec, err := zstd.NewReader(nil, decOptions...)
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return &Layer{enc, dec, max}, nil
}
