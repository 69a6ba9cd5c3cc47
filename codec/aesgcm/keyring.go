package aesgcm

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
)

// Key is a secret and the name it goes by. The name is written with every
// payload, in the clear; a name must never be given to another secret.
type Key struct {
	ID     string // 1 to 255 bytes
	Secret []byte // 32 bytes
}

// Keyring holds keys, one of which is the current one. It is safe for
// concurrent use.
type Keyring struct {
	mu    sync.Mutex // serialises changes
	state atomic.Pointer[ring]
}

// ring is a keyring at one time; it is never changed.
type ring struct {
	current *key
	keys    map[string]*key
}

type key struct {
	id     string
	secret [32]byte
	aead   cipher.AEAD
}

// NewKeyring returns a keyring that encrypts with current and decrypts with
// any of the keys.
func NewKeyring(current Key, others ...Key) (*Keyring, error) {
	k := &Keyring{}
	k.state.Store(&ring{})
	if err := k.Rotate(current); err != nil {
		return nil, err
	}
	for _, o := range others {
		if err := k.Add(o); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// Rotate makes current the key to encrypt with from now on. The keys there
// are go on decrypting.
func (k *Keyring) Rotate(current Key) error { return k.put(current, true) }

// Add adds a key to decrypt with.
func (k *Keyring) Add(other Key) error { return k.put(other, false) }

func (k *Keyring) put(add Key, current bool) error {
	made, err := newKey(add)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	old := k.state.Load()
	if known, ok := old.keys[made.id]; ok {
		if known.secret != made.secret {
			return fmt.Errorf("key %q is in the keyring with another secret", made.id)
		}
		made = known
	}
	next := &ring{old.current, maps.Clone(old.keys)}
	if next.keys == nil {
		next.keys = map[string]*key{}
	}
	next.keys[made.id] = made
	if current {
		next.current = made
	}
	k.state.Store(next)
	return nil
}

func newKey(k Key) (*key, error) {
	if len(k.ID) == 0 || len(k.ID) > 255 {
		return nil, fmt.Errorf("key ID of %d bytes; it takes 1 to 255", len(k.ID))
	}
	if len(k.Secret) != 32 {
		return nil, fmt.Errorf("key %q has a secret of %d bytes; AES-256 takes 32", k.ID, len(k.Secret))
	}
	block, err := aes.NewCipher(k.Secret)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("key %q", k.ID), err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("key %q", k.ID), err)
	}
	return &key{k.ID, [32]byte(k.Secret), aead}, nil
}

func (k *Keyring) current() *key { return k.state.Load().current }

func (k *Keyring) find(id string) (*key, bool) {
	found, ok := k.state.Load().keys[id]
	return found, ok
}
