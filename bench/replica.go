package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-db/annals/bench/internal/measure"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/internal/natscluster"
	"github.com/annals-db/annals/replica"
)

// cluster is three NATS servers in another process, with a stream of three
// replicas for the yardstick, and nodes of a log in this one.
type cluster struct {
	servers *natscluster.Child
	nc      *nats.Conn
	js      jetstream.JetStream
	nodes   []*replica.Store // the first sequences
	remove  func()
}

func newCluster(e env, nodes int) (c *cluster, err error) {
	dir, remove := e.scratch("cluster")
	c = &cluster{remove: remove}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	if c.servers, err = natscluster.StartChild(dir); err != nil {
		return c, err
	}
	if c.nc, err = nats.Connect(c.servers.URL); err != nil {
		return c, err
	}
	if c.js, err = jetstream.New(c.nc); err != nil {
		return c, err
	}
	_, err = c.js.CreateStream(context.Background(), jetstream.StreamConfig{Name: "PLAIN", Subjects: []string{"plain"}, Replicas: 3})
	if err != nil {
		return c, err
	}
	for i := range nodes {
		s, err := replica.Open(context.Background(), c.servers.URL, filepath.Join(dir, fmt.Sprint("node", i)), &replica.Options{System: c.servers.System})
		if err != nil {
			return c, err
		}
		c.nodes = append(c.nodes, s)
		if i == 0 { // so that it is the one that sequences
			if _, err := s.Append(context.Background(), newProducer(10_000, 1).next()); err != nil {
				return c, err
			}
		}
	}
	return c, nil
}

func (c *cluster) close() (err error) {
	for _, s := range c.nodes {
		err = errors.Join(err, s.Close())
	}
	if c.nc != nil {
		c.nc.Close()
	}
	if c.servers != nil {
		c.servers.Stop()
	}
	c.remove()
	return err
}

// plainRate is events a second published one by one, each acknowledged before the next.
func (c *cluster) plainRate(e env, writers int) (float64, error) {
	producers := make([]*producer, writers)
	for w := range producers {
		producers[w] = newProducer(w, 1)
	}
	return measure.Rate(e.window, writers, func(w int) (int, error) {
		ev := &producers[w].next().Events[0]
		_, err := c.js.Publish(context.Background(), "plain", encodeEvent(nil, ev, ev.Occurred))
		return 1, err
	})
}

// rate is events a second, the writers spread over nodes.
func (c *cluster) rate(e env, writers, nodes int) (float64, error) {
	producers := make([]*producer, writers)
	for w := range producers {
		producers[w] = newProducer(w, 1)
	}
	return measure.Rate(e.window, writers, func(w int) (int, error) {
		_, err := c.nodes[w%nodes].Append(context.Background(), producers[w].next())
		return 1, err
	})
}

func replicaRow(writers int, aim float64) row {
	return row{fmt.Sprintf("replica of three, from its sequencing node, %d writers", writers), fmt.Sprintf("%v of plain publishing", aim), func(e env) (res result, err error) {
		c, err := newCluster(e, 3)
		if err != nil {
			return result{}, err
		}
		defer func() { err = errors.Join(err, c.close()) }()
		m, err := measure.Compare(e.rounds,
			func() (float64, error) { return c.plainRate(e, writers) },
			func() (float64, error) { return c.rate(e, writers, 1) })
		return atLeast(measure.PerSecond(m.Ours), measure.PerSecond(m.Base), m.Ratio, aim), err
	}}
}

func spreadRow(writers int) row {
	const aim = 0.7
	return row{fmt.Sprintf("the same spread over its three nodes, %d writers", writers), fmt.Sprintf("%v of the sequencing node's", aim), func(e env) (res result, err error) {
		c, err := newCluster(e, 3)
		if err != nil {
			return result{}, err
		}
		defer func() { err = errors.Join(err, c.close()) }()
		m, err := measure.Compare(e.rounds,
			func() (float64, error) { return c.rate(e, writers, 1) },
			func() (float64, error) { return c.rate(e, writers, 3) })
		return atLeast(measure.PerSecond(m.Ours), measure.PerSecond(m.Base), m.Ratio, aim), err
	}}
}

// replicaReadRow scans a node's copy and a file store of the same records.
func replicaReadRow() row {
	const aim = 0.9
	return row{"local reads of a replica", fmt.Sprintf("%v of filestore", aim), func(e env) (res result, err error) {
		c, err := newCluster(e, 1)
		if err != nil {
			return result{}, err
		}
		defer func() { err = errors.Join(err, c.close()) }()
		var records []driver.Record
		p := newProducer(1, 1000)
		for range 50 {
			if _, err := c.nodes[0].Append(context.Background(), p.next()); err != nil {
				return result{}, err
			}
		}
		for r, err := range c.nodes[0].Read(context.Background(), driver.Query{}, driver.ReadOptions{}) {
			if err != nil {
				return result{}, err
			}
			records = append(records, r)
		}
		dir, remove := e.scratch("file")
		defer remove()
		file, err := filestore.Open(dir, nil)
		if err != nil {
			return result{}, err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		if err := file.Import(context.Background(), records); err != nil {
			return result{}, err
		}
		m, err := measure.Compare(e.rounds,
			func() (float64, error) { return readRate(e, file) },
			func() (float64, error) { return readRate(e, c.nodes[0]) })
		return atLeast(measure.PerSecond(m.Ours), measure.PerSecond(m.Base), m.Ratio, aim), err
	}}
}

// readRate is records a second, read from the first to the last again and again.
func readRate(e env, log driver.Log) (float64, error) {
	return measure.Rate(e.window, 1, func(int) (int, error) {
		n := 0
		for _, err := range log.Read(context.Background(), driver.Query{}, driver.ReadOptions{}) {
			if err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	})
}

func replicaRows() []row {
	return []row{replicaRow(64, 1.2), replicaRow(512, 2.5), spreadRow(64), spreadRow(512), replicaReadRow()}
}
