package natscluster

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The command natsd runs one server, as the file that its one argument names
// says, or a whole cluster with its files in the directory it names, until its
// standard input ends.

// Main is what natsd does.
func Main() {
	if err := serve(os.Args[1]); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

func serve(path string) error {
	if filepath.Ext(path) == ".conf" {
		s, err := Serve(path)
		if err != nil {
			return err
		}
		fmt.Println(s.ClientURL())
		_, _ = io.Copy(io.Discard, os.Stdin)
		s.Shutdown()
		s.WaitForShutdown()
		return nil
	}
	c, err := New(path, nil)
	if err != nil {
		return err
	}
	if err := c.Start(-1); err != nil {
		return err
	}
	fmt.Println(c.URL())
	fmt.Println(c.System())
	_, _ = io.Copy(io.Discard, os.Stdin)
	c.Stop(-1)
	return nil
}

// Build builds natsd in dir and returns its name. The servers run without a
// test's race detector then.
func Build(dir string) (string, error) {
	name := filepath.Join(dir, "natsd.exe")
	build := exec.Command("go", "build", "-o", name, "github.com/annals-db/annals/internal/natscluster/natsd")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", build, err, out)
	}
	return name, nil
}

// Process is servers that run in a process of their own.
type Process struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

// spawn starts natsd and waits until it has printed lines.
func spawn(natsd, argument string, lines ...*string) (*Process, error) {
	p := &Process{cmd: exec.Command(natsd, argument)}
	p.cmd.Stderr = os.Stderr
	var err error
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
	for _, to := range lines {
		if !out.Scan() || strings.HasPrefix(out.Text(), "failed") {
			p.Stop()
			return nil, fmt.Errorf("%s did not start: %s", argument, out.Text())
		}
		*to = out.Text()
	}
	return p, nil
}

// Spawn starts server i in a process of its own, that of natsd.
func (c *Cluster) Spawn(natsd string, i int) (*Process, error) {
	config, err := c.configure(i)
	if err != nil {
		return nil, err
	}
	var url string
	return spawn(natsd, config, &url)
}

// Kill kills the servers, as kill -9 does.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// Signal sends the servers' process a signal.
func (p *Process) Signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

// Stop stops the servers.
func (p *Process) Stop() {
	p.stdin.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.cmd.Wait()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-done
	}
}

// Child is a whole cluster in a process of its own.
type Child struct {
	*Process
	URL, System string
}

// StartChild starts a cluster in a process of its own, with its files in dir.
func StartChild(dir string) (*Child, error) {
	natsd, err := Build(dir)
	if err != nil {
		return nil, err
	}
	c := &Child{}
	c.Process, err = spawn(natsd, dir, &c.URL, &c.System)
	return c, err
}
