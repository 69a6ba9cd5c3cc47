package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
)

// MaxLine is the most bytes a line may have: an event of the largest size any
// store takes, with room for base64 and names.
const MaxLine = 64 << 20

// Line is one line of a source.
type Line struct {
	Number int // from 1
	Text   []byte
}

// Lines yields the lines of r that are not blank, without their ends. A line's
// text is valid until the next. An error is the last thing yielded; a line
// over [MaxLine] is an *[Error].
func Lines(r io.Reader) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		br := bufio.NewReaderSize(r, 256<<10)
		var long []byte
		for n := 1; ; n++ {
			text, err := br.ReadSlice('\n')
			if errors.Is(err, bufio.ErrBufferFull) {
				long, err = readLong(br, append(long[:0], text...))
				text = long
			}
			if err != nil && !errors.Is(err, io.EOF) {
				yield(Line{n, nil}, lineError(n, err))
				return
			}
			text = bytes.TrimRight(text, "\r\n")
			if len(bytes.TrimSpace(text)) > 0 && !yield(Line{n, text}, nil) {
				return
			}
			if err != nil {
				return
			}
		}
	}
}

var errLong = fmt.Errorf("the line has over %d bytes", MaxLine)

// readLong reads on to the end of a line that begins with begin.
func readLong(br *bufio.Reader, begin []byte) ([]byte, error) {
	for {
		if len(begin) > MaxLine {
			return nil, errLong
		}
		text, err := br.ReadSlice('\n')
		begin = append(begin, text...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return begin, err
		}
	}
}

func lineError(n int, err error) error {
	if errors.Is(err, errLong) {
		return &Error{n, "", MaxLine, err.Error()}
	}
	return fmt.Errorf("line %d: %w", n, err)
}
