package replica_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-db/annals/replica"
)

// stock keeps new, empty logs ready on the shared cluster, since making a
// stream takes the servers longer than most tests, and removes what tests have
// used. It is a process of its own, so that tests can count goroutines.
type stock struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	mu  sync.Mutex
	out *bufio.Scanner
}

const (
	stockEnv  = "ANNALS_TEST_STOCK"
	stockSize = 6
)

// stockMain serves where this process is a stock, and does not return then: a
// line "new" is answered with a log's name, "drop NAME" with nothing.
func stockMain() {
	url, system, ok := strings.Cut(os.Getenv(stockEnv), " ")
	if !ok {
		return
	}
	dir, err := os.MkdirTemp("", "annals-stock-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ready, drop := make(chan string, stockSize), make(chan string, 1000)
	for w := range 3 {
		go func() {
			for i := 0; ; i++ {
				ready <- makeLog(url, system, dir, fmt.Sprintf("log%d-%d", w, i))
			}
		}()
	}
	go dropLogs(url, drop)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if name, ok := strings.CutPrefix(in.Text(), "drop "); ok {
			drop <- name
		} else {
			fmt.Println(<-ready)
		}
	}
	os.RemoveAll(dir)
	os.Exit(0)
}

func makeLog(url, system, dir, name string) string {
	s, err := replica.Open(context.Background(), url, filepath.Join(dir, name), &replica.Options{Name: name, Node: "stock", System: system})
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		return "failed: " + err.Error()
	}
	return name
}

func dropLogs(url string, names <-chan string) {
	nc, err := nats.Connect(url, nats.MaxReconnects(-1))
	if err != nil {
		return // the tests have ended already
	}
	js, err := jetstream.New(nc)
	if err != nil {
		panic(err)
	}
	for name := range names {
		for _, stream := range []string{"ANNALS_" + name, "KV_ANNALS_" + name} {
			_ = js.DeleteStream(context.Background(), stream)
		}
	}
}

func startStock(url, system string) (*stock, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &stock{cmd: exec.Command(self)}
	s.cmd.Env = append(os.Environ(), stockEnv+"="+url+" "+system)
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewScanner(out)
	return s, s.cmd.Start()
}

func (s *stock) stop() {
	s.in.Close()
	_ = s.cmd.Wait()
}

// newName returns the name of a new log, which goes at the end of the test.
func newName(t testing.TB) string {
	logs.mu.Lock()
	defer logs.mu.Unlock()
	fmt.Fprintln(logs.in, "new")
	if !logs.out.Scan() || strings.HasPrefix(logs.out.Text(), "failed") {
		t.Fatalf("no new log: %s %v", logs.out.Text(), logs.out.Err())
	}
	name := logs.out.Text()
	t.Cleanup(func() {
		logs.mu.Lock()
		defer logs.mu.Unlock()
		fmt.Fprintln(logs.in, "drop", name)
	})
	return name
}
