package index

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"sync/atomic"
)

// The checksum of a page covers its number and the file's seed too, so that a
// page in the wrong place or from another file shows.
const (
	pageSize = 4096
	pageRoom = pageSize - 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func pageSum(page uint32, seed uint64, content []byte) uint32 {
	begin := page
	if page > 0 {
		begin += uint32(seed)
	}
	return crc32.Update(begin, castagnoli, content)
}

// writePages writes content as pages.
func writePages(w io.Writer, content []byte, seed uint64) error {
	var b [pageSize]byte
	for page := uint32(0); len(content) > 0; page++ {
		n := copy(b[:pageRoom], content)
		binary.LittleEndian.PutUint32(b[n:], pageSum(page, seed, content[:n]))
		if _, err := w.Write(b[:n+4]); err != nil {
			return err
		}
		content = content[n:]
	}
	return nil
}

// pagedSize is the size of a file with that much content.
func pagedSize(content int64) int64 {
	return content + (content+pageRoom-1)/pageRoom*4
}

// pages reads content from pages.
type pages struct {
	r     io.ReaderAt
	size  int64 // of the content
	seed  uint64
	cache *Cache
	kept  []atomic.Pointer[cached] // by page; nil where the cache does not keep it
}

func newPages(r io.ReaderAt, size int64, cache *Cache) pages {
	return pages{r: r, size: size, cache: cache, kept: make([]atomic.Pointer[cached], (size+pageRoom-1)/pageRoom)}
}

// page returns the content of page, from the cache or read.
func (p *pages) page(page uint32) ([]byte, error) {
	if e := p.kept[page].Load(); e != nil {
		if !e.used.Load() {
			e.used.Store(true)
		}
		return e.content, nil
	}
	content, err := p.read(page)
	if err != nil {
		return nil, err
	}
	p.cache.add(&cached{file: p, page: page, content: content})
	return content, nil
}

// read returns the content of page, read anew and checked.
func (p *pages) read(page uint32) ([]byte, error) {
	content := min(p.size-int64(page)*pageRoom, pageRoom)
	b := make([]byte, content+4)
	if err := p.fill(page, b); err != nil {
		return nil, err
	}
	return b[:content:content], nil
}

// fill reads page into b, content and checksum, and checks it.
func (p *pages) fill(page uint32, b []byte) error {
	at := int64(page) * pageSize
	if n, err := p.r.ReadAt(b, at); n < len(b) {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return &DamageError{at + int64(n), "the file ends within a page"}
		}
		return err
	}
	content := b[:len(b)-4]
	if pageSum(page, p.seed, content) != binary.LittleEndian.Uint32(b[len(content):]) {
		return &DamageError{at, "the checksum of a page does not match"}
	}
	return nil
}

// bytes returns n bytes of the content from at on, which must not be changed.
// The caller has checked that they lie within it.
func (p *pages) bytes(at, n int64) ([]byte, error) {
	page, within := uint32(at/pageRoom), at%pageRoom
	if within+n <= pageRoom && n > 0 {
		b, err := p.page(page)
		if err != nil {
			return nil, err
		}
		return b[within : within+n], nil
	}
	out := make([]byte, 0, n)
	for n > 0 {
		b, err := p.page(page)
		if err != nil {
			return nil, err
		}
		b = b[within:min(within+n, int64(len(b)))]
		out, n, page, within = append(out, b...), n-int64(len(b)), page+1, 0
	}
	return out, nil
}

// load is bytes without the cache, for what is kept.
func (p *pages) load(at, n int64) ([]byte, error) {
	out := make([]byte, 0, n)
	for page, within := uint32(at/pageRoom), at%pageRoom; n > 0; page, within = page+1, 0 {
		b, err := p.read(page)
		if err != nil {
			return nil, err
		}
		b = b[within:min(within+n, int64(len(b)))]
		out, n = append(out, b...), n-int64(len(b))
	}
	return out, nil
}
