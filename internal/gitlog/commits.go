package gitlog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
)

// Commit is a commit and what it changed.
type Commit struct {
	Hash      string
	Parents   []string
	Ref       string // by which it was reached
	Author    string
	Email     string
	Authored  int64 // unix seconds
	Committed int64
	Message   string
	Changes   []Change
}

// Change is what a commit did to one path.
type Change struct {
	Status        byte   // A, M, D, R, C, T
	OldMode, Mode string // octal, 000000 where there is none
	Old, Blob     string // hashes, zeros where there is none; of a merge, Old is the first parent's
	Path          string
	From          string // of R and C
	Similarity    int    // of R and C, per cent
	Merge         bool   // in which a merge differs from all of its parents
}

// logFormat is a header of fields, each with a NUL behind it.
const logFormat = "commit %H%x00%P%x00%S%x00%an%x00%ae%x00%at%x00%ct%x00%B%x00"

const headerFields = 8

// LogArgs are the arguments of the git log that is read, but for the commits.
func LogArgs() []string {
	return []string{"log", "--raw", "-z", "--reverse", "--date-order", "-c", "--root", "-M", "--no-abbrev", "--no-color", "--no-notes",
		"--no-ext-diff", "--encoding=UTF-8", "--format=tformat:" + logFormat}
}

// Commits yields the commits that branches reach and those in not do not,
// parents before children.
func (r *Repository) Commits(ctx context.Context, branches []Branch, not []string) iter.Seq2[*Commit, error] {
	return func(yield func(*Commit, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var in bytes.Buffer
		for _, b := range branches {
			fmt.Fprintln(&in, b.Ref)
		}
		for _, hash := range not {
			fmt.Fprintf(&in, "^%s\n", hash)
		}
		cmd := r.command(ctx, append(LogArgs(), "--stdin")...)
		var errOut bytes.Buffer
		cmd.Stdin, cmd.Stderr = &in, &errOut
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			yield(nil, fmt.Errorf("git log: %w", err))
			return
		}
		for c, err := range parse(out) {
			if err != nil {
				cancel()
				_ = cmd.Wait()
				yield(nil, err)
				return
			}
			if !yield(c, nil) {
				cancel()
				_ = cmd.Wait()
				return
			}
		}
		if err := cmd.Wait(); err != nil {
			yield(nil, failure(ctx, "log", err, errOut.String()))
		}
	}
}

// parse yields the commits in the output of git log.
func parse(r io.Reader) iter.Seq2[*Commit, error] {
	return func(yield func(*Commit, error) bool) {
		p := parser{in: bufio.NewReaderSize(r, 1<<20)}
		for {
			c, err := p.commit()
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(nil, fmt.Errorf("the output of git log, at byte %d: %w", p.at, err))
				return
			}
			if !yield(c, nil) {
				return
			}
		}
	}
}

type parser struct {
	in     *bufio.Reader
	at     int64
	ahead  string // a token read too many
	behind bool   // whether there is one
}

// token returns the text up to the next NUL.
func (p *parser) token() (string, error) {
	if p.behind {
		p.behind = false
		return p.ahead, nil
	}
	b, err := p.in.ReadSlice(0)
	if errors.Is(err, bufio.ErrBufferFull) {
		long := bytes.Clone(b)
		for errors.Is(err, bufio.ErrBufferFull) {
			b, err = p.in.ReadSlice(0)
			long = append(long, b...)
		}
		b = long
	}
	p.at += int64(len(b))
	if err == io.EOF && len(bytes.TrimSpace(b)) > 0 {
		return "", io.ErrUnexpectedEOF
	}
	if err != nil {
		return "", err
	}
	return string(b[:len(b)-1]), nil
}

// next returns the next token that is not what stands between commits.
func (p *parser) next() (string, error) {
	for {
		t, err := p.token()
		if err != nil {
			return "", err
		}
		if t = strings.TrimLeft(t, "\n"); t != "" {
			return t, nil
		}
	}
}

func (p *parser) commit() (*Commit, error) {
	first, err := p.next()
	if err != nil {
		return nil, err
	}
	hash, ok := strings.CutPrefix(first, "commit ")
	if !ok || !isHash(hash) {
		return nil, fmt.Errorf("%.40q where a commit begins", first)
	}
	c := &Commit{Hash: hash}
	var f [headerFields - 1]string
	for i := range f {
		if f[i], err = p.token(); err != nil {
			return nil, unexpected(err)
		}
	}
	c.Parents, c.Ref, c.Author, c.Email = strings.Fields(f[0]), f[1], f[2], f[3]
	c.Authored, _ = strconv.ParseInt(f[4], 10, 64) // a time that git itself cannot tell is none
	c.Committed, _ = strconv.ParseInt(f[5], 10, 64)
	c.Message = strings.TrimRight(f[6], "\n")
	for {
		t, err := p.next()
		if err == io.EOF {
			return c, nil
		}
		if err != nil {
			return nil, err
		}
		if t[0] != ':' {
			p.ahead, p.behind = t, true
			return c, nil
		}
		change, err := p.change(t)
		if err != nil {
			return nil, err
		}
		c.Changes = append(c.Changes, change)
	}
}

// isHash reports whether s is hexadecimal digits.
func isHash(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || '9' < c) && (c < 'a' || 'f' < c) {
			return false
		}
	}
	return s != ""
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// change parses a line of --raw and the paths behind it:
//
//	:OLDMODE MODE OLD BLOB STATUS          one parent
//	::MODE MODE MODE HASH HASH HASH STATUS  a colon, mode and hash for each parent of a merge
func (p *parser) change(line string) (c Change, err error) {
	fields := strings.TrimLeft(line, ":")
	parents := len(line) - len(fields)
	f := strings.Split(fields, " ")
	if len(f) != 2*(parents+1)+1 || f[len(f)-1] == "" {
		return c, fmt.Errorf("%.80q is no change", line)
	}
	for _, hash := range f[parents+1 : 2*parents+2] {
		if !isHash(hash) {
			return c, fmt.Errorf("%.80q has no hash", line)
		}
	}
	status := f[len(f)-1]
	c = Change{Status: status[0], OldMode: f[0], Mode: f[parents], Old: f[parents+1], Blob: f[2*parents+1], Merge: parents > 1}
	if c.Path, err = p.token(); err != nil {
		return c, unexpected(err)
	}
	if c.Merge {
		c.Status = mergeStatus(c)
		return c, nil
	}
	if c.Status == 'R' || c.Status == 'C' {
		c.From = c.Path
		c.Similarity, _ = strconv.Atoi(status[1:])
		if c.Path, err = p.token(); err != nil {
			return c, unexpected(err)
		}
	}
	if c.Path == "" {
		return c, fmt.Errorf("%.80q has no path", line)
	}
	return c, nil
}

// mergeStatus is what a merge did as seen from its first parent.
func mergeStatus(c Change) byte {
	none := func(hash string) bool { return strings.Trim(hash, "0") == "" }
	switch {
	case none(c.Blob):
		return 'D'
	case none(c.Old):
		return 'A'
	}
	return 'M'
}
