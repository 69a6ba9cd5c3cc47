// Package codec turns events into bytes and back. JSON is the default; the
// packages below it add CBOR, compression and encryption. A [Pipeline] is a
// [Codec] followed by any number of [Layer]s; its name is what a record's
// Encoding says.
package codec

import "github.com/annals-db/annals/driver"

// Codec marshals Go values. It must be safe for concurrent use.
type Codec interface {
	// Name is the codec's part of a record's Encoding: "" for JSON, "cbor".
	Name() string
	// Marshal returns v, a pointer to an event or an event, as bytes that the
	// caller may keep. Equal values give equal bytes.
	Marshal(v any) ([]byte, error)
	// Unmarshal decodes data into the event v points to. It keeps no part of
	// data, which may be shared.
	Unmarshal(data []byte, v any) error
}

// Layer transforms encoded bytes: compression, encryption. It must be safe for
// concurrent use.
type Layer interface {
	// Name is the layer's part of a record's Encoding: "zstd", "aes-gcm".
	Name() string
	// Random reports whether equal input gives different output. Retries
	// compare content below the first such layer.
	Random() bool
	Wrap(data []byte, e Envelope) ([]byte, error)
	Unwrap(data []byte, e Envelope) ([]byte, error)
}

// Envelope is what an encrypting layer binds a payload to, so that bytes moved
// to another place do not decrypt.
type Envelope struct {
	Log    driver.ID
	Stream string
	Type   string
	ID     driver.ID
}
