//go:build unix

package replica_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/internal/vfs"
	"github.com/annals-db/annals/replica"
)

const nodeEnv = "ANNALS_TEST_NODE"

// nodeConfig is what a node's process is told.
type nodeConfig struct {
	URL, System, Dir, Name, Log string
	Seed                        bool
}

// nodeMain serves where this process is a node of a log, and does not return then.
func nodeMain() {
	var c nodeConfig
	if json.Unmarshal([]byte(os.Getenv(nodeEnv)), &c) != nil {
		return
	}
	disk := &fullDisk{FS: vfs.OS}
	opts := &replica.Options{
		Name: "faults", Node: c.Name, System: c.System, Seed: c.Seed, Takeover: 2 * time.Second, Timeout: 20 * time.Second,
		NATS: []nats.Option{nats.DontRandomize()}, Store: &filestore.Options{FS: disk, SegmentBytes: 64 << 10},
	}
	if f, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err == nil {
		opts.Logger = slog.New(slog.NewTextHandler(f, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	log, err := replica.Open(ctx, c.URL, c.Dir, opts)
	if err != nil {
		fmt.Println("failed:", strings.ReplaceAll(err.Error(), "\n", " "))
		os.Exit(1)
	}
	server := rpc.NewServer()
	if err := server.Register(&Node{log: log, disk: disk}); err != nil {
		panic(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	go server.Accept(l)
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = log.Close()
	os.Exit(0)
}

// Node is what a node's process can be asked.
type Node struct {
	log  *replica.Store
	disk *fullDisk
}

// Answer is the answer to an append.
type Answer struct {
	Receipt  driver.Receipt
	Conflict *driver.ConflictError
	Err      string // any other error
	Open     bool   // with it, it is not known whether the batch is in the log, or it may be tried again
}

func (n *Node) Append(b driver.Batch, a *Answer) error {
	ctx, cancel := context.WithTimeout(ctx, 25*time.Second)
	defer cancel()
	var err error
	a.Receipt, err = n.log.Append(ctx, b)
	if errors.As(err, &a.Conflict) || err == nil {
		return nil
	}
	a.Err = err.Error()
	a.Open = errors.Is(err, driver.ErrUnavailable) || errors.Is(err, driver.ErrOutcomeUnknown) || errors.Is(err, driver.ErrReadOnly) || errors.Is(err, driver.ErrClosed) || errors.Is(err, context.DeadlineExceeded)
	return nil
}

func (n *Node) Records(after driver.Position, out *[]driver.Record) error {
	for r, err := range n.log.Read(ctx, driver.Query{}, driver.ReadOptions{After: after}) {
		if err != nil {
			return err
		}
		*out = append(*out, r)
	}
	return nil
}

// Last returns the last record that matches q, none if there is none.
func (n *Node) Last(q driver.Query, out *[]driver.Record) error {
	for r, err := range n.log.Read(ctx, q, driver.ReadOptions{Backward: true, Limit: 1}) {
		if err != nil {
			return err
		}
		*out = append(*out, r)
	}
	return nil
}

func (n *Node) TreeHead(p driver.Position, out *[32]byte) (err error) {
	*out, err = n.log.TreeHead(ctx, p)
	return err
}

// NodeStatus is replica.Status with its errors as texts.
type NodeStatus struct {
	Sequencer, Fault, Stuck string
	Head                    driver.Position
	Behind, Foreign, Epoch  uint64
	Leading                 bool
}

func (n *Node) Status(_ struct{}, out *NodeStatus) error {
	s, err := n.log.Status(ctx)
	*out = NodeStatus{Sequencer: s.Sequencer, Head: s.Head, Behind: s.Behind, Foreign: s.Foreign, Epoch: s.Epoch, Leading: s.Leading}
	if s.Fault != nil {
		out.Fault = s.Fault.Error()
	}
	if s.Stuck != nil {
		out.Stuck = s.Stuck.Error()
	}
	return err
}

// Verify returns the faults of the node's copy.
func (n *Node) Verify(_ struct{}, out *[]string) error {
	for err := range n.log.Verify(ctx, nil) {
		*out = append(*out, err.Error())
	}
	return nil
}

// Fill makes the node's disk full, or frees it.
func (n *Node) Fill(full bool, _ *struct{}) error {
	n.disk.full.Store(full)
	return nil
}

// fullDisk is a file system whose writes can be made to fail.
type fullDisk struct {
	vfs.FS
	full atomic.Bool
}

type fullFile struct {
	vfs.File
	disk *fullDisk
}

func (d *fullDisk) OpenFile(name string, flag int, perm os.FileMode) (vfs.File, error) {
	f, err := d.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return fullFile{f, d}, nil
}

func (f fullFile) WriteAt(b []byte, off int64) (int, error) {
	if f.disk.full.Load() {
		return 0, syscall.ENOSPC
	}
	return f.File.WriteAt(b, off)
}

// process is a node's process as the test has it.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	client *rpc.Client
}

// startNode starts a node's process. Its error is that of opening the log.
func startNode(c nodeConfig) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), nodeEnv+"="+string(config))
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	out := bufio.NewScanner(stdout)
	out.Buffer(nil, 1<<20)
	if !out.Scan() || strings.HasPrefix(out.Text(), "failed") {
		_ = p.cmd.Wait()
		return nil, errors.New(out.Text())
	}
	p.client, err = rpc.Dial("tcp", out.Text())
	return p, err
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	p.client.Close()
}

// stop ends the process in good order.
func (p *process) stop() {
	p.stdin.Close()
	timer := time.AfterFunc(30*time.Second, func() { _ = p.cmd.Process.Kill() })
	_ = p.cmd.Wait()
	timer.Stop()
	p.client.Close()
}
