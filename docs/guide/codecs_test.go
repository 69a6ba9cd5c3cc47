package guide_test

import (
	"bytes"
	"context"
	"fmt"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/codec"
	"github.com/annals-db/annals/codec/aesgcm"
	"github.com/annals-db/annals/codec/cbor"
	"github.com/annals-db/annals/codec/zstd"
	"github.com/annals-db/annals/memstore"
)

// code: declare
type Reading struct{ Celsius float64 }

func (e Reading) Tags() []string { return []string{"sensor:7"} }

var _ = annals.Declare[Reading]("reading", annals.Encoded(codec.Stack(cbor.Codec)))

// end

func Example_codecs() {
	ctx := context.Background()
	secret := bytes.Repeat([]byte{7}, 32)
	// code: pipeline
	keys, err := aesgcm.NewKeyring(aesgcm.Key{ID: "2026-01", Secret: secret}) // 32 bytes
	if err != nil {
		fmt.Println(err)
		return
	}
	compress, err := zstd.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	db := annals.New(memstore.New(nil), &annals.Options{
		Codec: codec.Stack(codec.JSON, compress, aesgcm.New(keys)),
	})
	// end
	_, err = db.Update(ctx, func(tx *annals.Tx) error {
		if err := tx.Append(Reading{21.5}); err != nil {
			return err
		}
		a, err := Accounts.Create(tx, "ada")
		if err != nil {
			return err
		}
		return a.Deposit(100)
	})
	fmt.Println(err)
	// code: decode
	for r, err := range db.View(ctx).Read(annals.Query{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		events, err := db.Decode(r)
		fmt.Println(r.Type, r.Encoding, events, err)
	}
	// end
	// code: rotate
	err = keys.Rotate(aesgcm.Key{ID: "2026-02", Secret: bytes.Repeat([]byte{8}, 32)})
	// end
	fmt.Println(err)
	a, err := Accounts.Load(db.View(ctx), "ada")
	fmt.Println(a.Balance, err)
	// Output:
	// <nil>
	// reading cbor [{21.5}] <nil>
	// Deposited json+zstd+aes-gcm [{100}] <nil>
	// <nil>
	// 100 <nil>
}
