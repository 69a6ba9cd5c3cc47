// Package natscluster runs a NATS cluster with JetStream on this machine, its
// servers embedded in the process, for tests and benchmarks. Start with [New].
package natscluster

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Options are what [New] may be told.
type Options struct {
	// Servers is how many there are. Defaults to 3.
	Servers int
	// MaxPayload is the largest message. Defaults to the server's default, 1 MiB.
	MaxPayload int
	// Lazy leaves the servers' default, which syncs every two minutes, instead
	// of syncing every write. Defaults to false.
	Lazy bool
	// Route returns where server i is to find server j, which listens at to:
	// the address of a proxy, say. The servers then tell each other no other. Defaults to to.
	Route func(i, j int, to string) string
}

// Cluster is some servers, each with its files in a folder of one directory.
type Cluster struct {
	opts    Options
	dir     string
	clients []string // host:port
	routes  []string
	servers []*server.Server // nil where it does not run
}

// New returns a cluster with its files in dir. No server runs yet; see [Cluster.Start].
func New(dir string, opts *Options) (*Cluster, error) {
	c := &Cluster{dir: dir}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.Servers == 0 {
		c.opts.Servers = 3
	}
	c.servers = make([]*server.Server, c.opts.Servers)
	free, err := freeAddresses(2 * c.opts.Servers)
	c.clients, c.routes = free[:len(free)/2], free[len(free)/2:]
	return c, err
}

// freeAddresses returns addresses that no one listens at, chosen by the kernel.
func freeAddresses(n int) ([]string, error) {
	out := make([]string, n)
	for i := range out {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return out, err
		}
		defer l.Close()
		out[i] = l.Addr().String()
	}
	return out, nil
}

// Name is the name of server i.
func Name(i int) string { return fmt.Sprintf("n%d", i+1) }

// Dir is where server i has its files.
func (c *Cluster) Dir(i int) string { return filepath.Join(c.dir, Name(i)) }

// Config is the configuration of server i.
func (c *Cluster) Config(i int) string {
	var routes []string
	for j, to := range c.routes {
		if j == i {
			continue
		}
		if c.opts.Route != nil {
			to = c.opts.Route(i, j, to)
		}
		routes = append(routes, "nats-route://"+to)
	}
	sync, payload, advertise := "sync_interval: always", "", ""
	if c.opts.Lazy {
		sync = ""
	}
	if c.opts.MaxPayload > 0 {
		payload = fmt.Sprintf("max_payload: %d\n", c.opts.MaxPayload)
	}
	if c.opts.Route != nil {
		advertise = "advertise: \"127.0.0.1:1\", " // where no one ever listens
	}
	cluster := ""
	if c.opts.Servers > 1 {
		cluster = fmt.Sprintf("cluster { name: annals, %slisten: %q, no_advertise: true, pool_size: 1, routes: [%s] }", advertise, c.routes[i], strings.Join(routes, ", "))
	}
	return fmt.Sprintf(`server_name: %s
listen: %q
%sjetstream { store_dir: %q, %s }
%s
accounts {
  APP { jetstream: enabled, users: [{ user: app, password: app }] }
  SYS { users: [{ user: sys, password: sys }] }
}
system_account: SYS
`, Name(i), c.clients[i], payload, filepath.ToSlash(c.Dir(i)), sync, cluster)
}

// URL is that of the whole cluster; with servers given, of those only.
func (c *Cluster) URL(servers ...int) string { return c.url("app", servers) }

// System is the URL of the cluster's system account.
func (c *Cluster) System() string { return c.url("sys", nil) }

func (c *Cluster) url(user string, servers []int) string {
	var urls []string
	for i, at := range c.clients {
		wanted := len(servers) == 0
		for _, s := range servers {
			wanted = wanted || s == i
		}
		if wanted {
			urls = append(urls, "nats://"+user+":"+user+"@"+at)
		}
	}
	return strings.Join(urls, ",")
}

// Start starts server i, or all with i < 0, and waits until all that run make a cluster.
func (c *Cluster) Start(i int) error {
	for n := range c.servers {
		if i >= 0 && n != i || c.servers[n] != nil {
			continue
		}
		if err := c.start(n); err != nil {
			return err
		}
	}
	if i >= 0 {
		return nil
	}
	return WaitReady(c.URL(), 60*time.Second)
}

func (c *Cluster) start(i int) error {
	name, err := c.configure(i)
	if err != nil {
		return err
	}
	s, err := Serve(name)
	if err != nil {
		return err
	}
	c.servers[i] = s
	return nil
}

// configure writes the configuration of server i and returns its file's name.
func (c *Cluster) configure(i int) (string, error) {
	if err := os.MkdirAll(c.Dir(i), 0o700); err != nil {
		return "", err
	}
	name := filepath.Join(c.dir, Name(i)+".conf")
	return name, os.WriteFile(name, []byte(c.Config(i)), 0o600)
}

// Client is where server i listens for clients.
func (c *Cluster) Client(i int) string { return c.clients[i] }

// Serve starts a server as the file config says.
func Serve(config string) (*server.Server, error) {
	o, err := server.ProcessConfigFile(config)
	if err != nil {
		return nil, err
	}
	o.NoSigs = true
	if log := os.Getenv("ANNALS_NATS_LOG"); log != "" {
		o.LogFile, o.Debug = log+"-"+o.ServerName, true
	} else {
		o.NoLog = true
	}
	s, err := server.NewServer(o)
	if err != nil {
		return nil, err
	}
	if !o.NoLog {
		s.ConfigureLogger()
	}
	s.Start()
	if !s.ReadyForConnections(90 * time.Second) {
		s.Shutdown()
		return nil, fmt.Errorf("server %s does not get ready", o.ServerName)
	}
	return s, nil
}

// WaitReady waits until the cluster at url answers requests about JetStream.
func WaitReady(url string, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	nc, err := nats.Connect(url, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	for {
		once, cancel := context.WithTimeout(ctx, time.Second)
		_, err := js.CreateOrUpdateStream(once, jetstream.StreamConfig{Name: "READY", Subjects: []string{"ready"}, Replicas: 1, Storage: jetstream.MemoryStorage})
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the cluster does not get ready: %w", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Stop stops server i, or all with i < 0.
func (c *Cluster) Stop(i int) {
	for n, s := range c.servers {
		if i >= 0 && n != i || s == nil {
			continue
		}
		s.Shutdown()
		s.WaitForShutdown()
		c.servers[n] = nil
	}
}
