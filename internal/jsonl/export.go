package jsonl

import (
	"bufio"
	"context"
	"io"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/wire"
)

// Export writes the records of log that match q to w, one a line, as ro says,
// and returns how many. progress, if not nil, is told the position of each
// thousandth.
func Export(ctx context.Context, log driver.Log, q driver.Query, ro driver.ReadOptions, w io.Writer, progress func(driver.Position)) (n int, err error) {
	out := bufio.NewWriterSize(w, 256<<10)
	var line []byte
	for rec, err := range log.Read(ctx, q, ro) {
		if err != nil {
			_ = out.Flush() // what was read is good; the error says where it ends
			return n, err
		}
		line = append(wire.AppendRecord(line[:0], &rec), '\n')
		if _, err := out.Write(line); err != nil {
			return n, err
		}
		if n++; n%1000 == 0 && progress != nil {
			progress(rec.Position)
		}
	}
	return n, out.Flush()
}
