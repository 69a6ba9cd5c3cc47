package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "annals-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	log, err := filestore.Open(filepath.Join(dir, "inventory"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer log.Close()
	receipt, err := log.Append(ctx, driver.Batch{Events: []driver.Event{
		{ID: uuid.New(), Stream: "item-laptop", Type: "ItemCreated", Data: []byte(`{"quantity":10}`)},
	}})
	fmt.Println(receipt.First, receipt.Versions, receipt.Durability, err)

	_, err = filestore.Open(filepath.Join(dir, "inventory"), nil)
	var locked *driver.LockedError
	fmt.Println(errors.As(err, &locked) && locked.PID == os.Getpid())

	reader, err := filestore.Open(filepath.Join(dir, "inventory"), &filestore.Options{ReadOnly: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer reader.Close()
	for r, err := range reader.Read(ctx, driver.Query{}, driver.ReadOptions{}) {
		fmt.Println(r.Position, r.Stream, string(r.Data), err)
	}

	backup, err := log.Backup(ctx, filepath.Join(dir, "backup"), nil)
	fmt.Println(backup.Head, err)
	// Output:
	// 1 [1] fsync <nil>
	// true
	// 1 item-laptop {"quantity":10} <nil>
	// 1 <nil>
}
