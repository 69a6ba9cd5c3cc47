package pgstore_test

import (
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
)

// line is a network between a store and a server that can lose answers: what
// the server says is dropped, and the connection cut when it says it.
type line struct {
	url  string
	lose atomic.Bool
}

func newLine(t testing.TB, to string) *line {
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	server := u.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	u.Host = l.Addr().String()
	n := &line{url: u.String()}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go n.carry(client, server)
		}
	}()
	return n
}

func (n *line) loseAnswers(lose bool) { n.lose.Store(lose) }

func (n *line) carry(client net.Conn, server string) {
	defer client.Close()
	behind, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer behind.Close()
	go func() {
		_, _ = io.Copy(behind, client)
		behind.Close()
	}()
	buf := make([]byte, 64<<10)
	for {
		k, err := behind.Read(buf)
		if err != nil || n.lose.Load() {
			return
		}
		if _, err := client.Write(buf[:k]); err != nil {
			return
		}
	}
}
