package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far long work is, on standard error where that is a
// terminal, else nothing.
type progress struct{ bar *progressbar.ProgressBar }

// progress begins one that counts unit, which is "bytes" or what it is. total
// is -1 while it is not known.
func (a *app) progress(what, unit string, total int64) *progress {
	if !isTerminal(a.err) || total == 0 {
		return &progress{}
	}
	options := []progressbar.Option{
		progressbar.OptionSetWriter(a.err), progressbar.OptionSetDescription(what), progressbar.OptionThrottle(100 * time.Millisecond),
		progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true), progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish(),
	}
	if unit == "bytes" {
		options = append(options, progressbar.OptionShowBytes(true))
	} else {
		options = append(options, progressbar.OptionShowIts(), progressbar.OptionSetItsString(unit))
	}
	return &progress{progressbar.NewOptions64(total, options...)}
}

// set says that n of total are done.
func (p *progress) set(n, total int64) {
	if p.bar == nil {
		return
	}
	if total > 0 && p.bar.GetMax64() != total {
		p.bar.ChangeMax64(total)
	}
	_ = p.bar.Set64(n)
}

// finish takes the bar away.
func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Exit()
		_ = p.bar.Clear()
		p.bar = nil
	}
}

// bytesOf returns r with the progress of reading it.
func (p *progress) bytesOf(r io.Reader) io.Reader {
	if p.bar == nil {
		return r
	}
	return io.TeeReader(r, p.bar)
}
