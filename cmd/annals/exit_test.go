package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// What a store gives up by itself is its being unavailable; a time-out is one
// that the user has set.
func TestAServerThatNeverAnswersIsUnavailable(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, c := range []struct {
		flags string
		wait  int
		want  int
	}{
		{"", 1, exitUnavailable},
		{"--timeout=200ms", 30, exitTimeout},
	} {
		url := fmt.Sprintf("postgres://annals@%s/annals?sslmode=disable&connect_timeout=%d", silent.Addr(), c.wait)
		var out bytes.Buffer
		args := append([]string{"--store", url, "info"}, strings.Fields(c.flags)...)
		if code := run(args, strings.NewReader(""), io.Discard, &out); code != c.want {
			t.Errorf("with %q it exits with %d, want %d: %s", c.flags, code, c.want, out.String())
		}
	}
}
