// Package aesgcm is a layer that encrypts payloads with AES-256-GCM. Start
// with [NewKeyring] and [New]; put the layer last.
//
//	keys, err := aesgcm.NewKeyring(aesgcm.Key{ID: "2026-07", Secret: secret})
//	p := codec.Stack(codec.JSON, aesgcm.New(keys))
//
// The log's ID, the stream, the type and the event's ID are authenticated with
// each payload: bytes that are moved to another row, stream or log do not
// decrypt there. What is beside the payload (names, tags, metadata) is not
// secret.
//
// To rotate, make a new key the current one ([Keyring.Rotate]) and keep the
// old: events name the key they need. Nonces are random, 96 bits, so that one
// key is good for 2^32 events (NIST SP 800-38D); rotate before.
//
// # Format
//
//	+---------+--------+--------+----------+------------+---------+
//	| version | key ID | key ID | nonce    | ciphertext | tag     |
//	| 1       | length |        |          |            |         |
//	| 1 byte  | 1 byte |        | 12 bytes |            | 16 bytes|
//	+---------+--------+--------+----------+------------+---------+
//
// The additional data is
//
//	"annals aes-gcm 1" ‖ log ID (16) ‖ event ID (16) ‖ len stream (4) ‖ stream ‖ len type (4) ‖ type ‖ key ID
//
// with lengths big-endian.
package aesgcm

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/annals-db/annals/codec"
)

var (
	// ErrUnknownKey is wrapped when a payload names a key that the keyring
	// does not hold; the error names it.
	ErrUnknownKey = errors.New("unknown key")
	// ErrNotAuthentic is wrapped when a payload does not decrypt: its bytes
	// were changed, it was moved here from another event, stream or log, or
	// the key of its name is another one.
	ErrNotAuthentic = errors.New("the payload is not the one that was encrypted here")
)

// Layer encrypts with a keyring. It is a codec.Layer.
type Layer struct{ keys *Keyring }

// New returns the layer that encrypts with keys' current key, and decrypts
// with any of them.
func New(keys *Keyring) *Layer { return &Layer{keys} }

// Name is "aes-gcm".
func (l *Layer) Name() string { return "aes-gcm" }

// Random is true: equal payloads give different bytes.
func (l *Layer) Random() bool { return true }

const version = 1

// Wrap returns data encrypted with the current key, for the place e names.
func (l *Layer) Wrap(data []byte, e codec.Envelope) ([]byte, error) {
	k := l.keys.current()
	out := make([]byte, 0, 2+len(k.id)+len(data)+k.aead.Overhead())
	out = append(out, version, byte(len(k.id)))
	out = append(out, k.id...)
	return k.aead.Seal(out, nil, data, additional(e, k.id)), nil
}

// Unwrap returns what Wrap was given for the place e names.
func (l *Layer) Unwrap(data []byte, e codec.Envelope) ([]byte, error) {
	id, sealed, err := split(data)
	if err != nil {
		return nil, err
	}
	k, ok := l.keys.find(id)
	if !ok {
		return nil, fmt.Errorf("%w %q, which event %s is encrypted with", ErrUnknownKey, id, e.ID)
	}
	out, err := k.aead.Open(nil, nil, sealed, additional(e, id))
	if err != nil {
		return nil, fmt.Errorf("%w: event %s (%s) of stream %q with key %q", ErrNotAuthentic, e.ID, e.Type, e.Stream, id)
	}
	return out, nil
}

// KeyID returns the ID of the key that data, a payload of this layer, is
// encrypted with.
func KeyID(data []byte) (string, error) {
	id, _, err := split(data)
	return id, err
}

func split(data []byte) (id string, sealed []byte, err error) {
	if len(data) < 2 || len(data) < 2+int(data[1]) {
		return "", nil, fmt.Errorf("%d bytes are too short for an encrypted payload", len(data))
	}
	if data[0] != version {
		return "", nil, fmt.Errorf("encrypted payload of version %d; this program knows version %d", data[0], version)
	}
	n := 2 + int(data[1])
	return string(data[2:n]), data[n:], nil
}

func additional(e codec.Envelope, keyID string) []byte {
	const prefix = "annals aes-gcm 1"
	b := make([]byte, 0, len(prefix)+40+len(e.Stream)+len(e.Type)+len(keyID))
	b = append(b, prefix...)
	b = append(b, e.Log[:]...)
	b = append(b, e.ID[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.Stream)))
	b = append(b, e.Stream...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.Type)))
	b = append(b, e.Type...)
	return append(b, keyID...)
}
