package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"os"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/rows"
	"github.com/annals-db/annals/memstore"
)

// count returns n things in words.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

var defaultLimits = driver.DefaultLimits

// openImport opens the store to write, or for a dry run to read, where one
// that is not there yet is as good as an empty one.
func (a *app) openImport(dry bool) (driver.Log, error) {
	if !dry {
		return a.open(toWrite)
	}
	log, err := a.open(toRead)
	if is(driver.ErrNotFound)(err) {
		return memstore.New(nil), nil
	}
	return log, err
}

// uncompressed returns r, unpacked if it is gzip.
func uncompressed(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 256<<10)
	if magic, _ := b.Peek(2); !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return b, nil
	}
	return gzip.NewReader(b)
}

// rejectFile takes bad rows. It is made when the first one comes.
type rejectFile struct {
	name  string
	count int
	file  *os.File
	out   *csv.Writer
}

func (r *rejectFile) add(bad *rows.BadRow) error {
	if r.file == nil {
		f, err := os.OpenFile(r.name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("row %d is bad (%s), and its file cannot be made: %w", bad.Number, bad.Reason, err)
		}
		r.file, r.out = f, csv.NewWriter(f)
		if err := r.out.Write([]string{"row", "line", "reason", "text"}); err != nil {
			return err
		}
	}
	r.count++
	return r.out.Write([]string{fmt.Sprint(bad.Number), fmt.Sprint(bad.Line), bad.Reason, bad.Text})
}

func (r *rejectFile) close() error {
	if r.file == nil {
		return nil
	}
	r.out.Flush()
	err := r.out.Error()
	if closeErr := r.file.Close(); err == nil {
		err = closeErr
	}
	return err
}
