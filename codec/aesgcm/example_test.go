package aesgcm_test

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/annals-db/annals/codec"
	"github.com/annals-db/annals/codec/aesgcm"
)

func Example() {
	secret := bytes.Repeat([]byte{7}, 32) // from wherever secrets are kept
	keys, err := aesgcm.NewKeyring(aesgcm.Key{ID: "2026-01", Secret: secret})
	if err != nil {
		fmt.Println(err)
		return
	}
	p := codec.Stack(codec.JSON, aesgcm.New(keys))

	place := codec.Envelope{Stream: "person-1", Type: "Named"}
	data, err := p.Encode(struct{ Name string }{"Ada"}, place)
	fmt.Println(p.Name(), err)

	var back struct{ Name string }
	fmt.Println(p.Decode(data, place, &back), back.Name)

	elsewhere := codec.Envelope{Stream: "person-2", Type: "Named"}
	fmt.Println(errors.Is(p.Decode(data, elsewhere, &back), aesgcm.ErrNotAuthentic))
	// Output:
	// json+aes-gcm <nil>
	// <nil> Ada
	// true
}
