//go:build unix

package replica_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy stands between two ends of a connection, and can cut or hold it.
type proxy struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	free  *sync.Cond
	conns map[net.Conn]bool
	cut   bool // no connection is let through
	up    bool // what the one who connected sends is held
	down  bool // what it is sent is held
	wg    sync.WaitGroup
}

func newProxy(t testing.TB, to string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, to: to, conns: map[net.Conn]bool{}}
	p.free = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.set(func() { p.cut = true })
		p.wg.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// set changes what the proxy does; what is cut is closed.
func (p *proxy) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	if p.cut {
		for c := range p.conns {
			c.Close()
		}
		clear(p.conns)
	}
	p.free.Broadcast()
}

// drop closes the connections there are; new ones are let through.
func (p *proxy) drop() {
	p.set(func() { p.cut = true })
	p.set(func() { p.cut = false })
}

func (p *proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.to)
		if err != nil {
			in.Close()
			continue
		}
		p.mu.Lock()
		cut := p.cut
		if !cut {
			p.conns[in], p.conns[out] = true, true
		}
		p.mu.Unlock()
		if cut {
			in.Close()
			out.Close()
			continue
		}
		p.wg.Go(func() { p.pass(out, in, &p.up) })
		p.wg.Go(func() { p.pass(in, out, &p.down) })
	}
}

// pass copies from one end to the other, except while *held.
func (p *proxy) pass(to, from net.Conn, held *bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		for *held && !p.cut {
			p.free.Wait()
		}
		p.mu.Unlock()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err == io.EOF || err != nil {
			return
		}
	}
}
