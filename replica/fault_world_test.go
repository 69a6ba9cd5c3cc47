//go:build unix

package replica_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/rpc"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/natscluster"
)

// world is three servers and three nodes, each a process, with proxies between
// all of them. Node i uses server i, and the others when that is gone.
type world struct {
	*testing.T
	rand    *rand.Rand
	dir     string
	natsd   string
	cluster *natscluster.Cluster
	routes  [3][3]*proxy // by which server i finds server j
	clients [3][3]*proxy // by which node i finds server j
	servers [3]*natscluster.Process

	mu    sync.Mutex
	nodes [3]*process // nil where it does not run

	history *history
	stop    atomic.Bool
	pause   sync.RWMutex // held by writers while they write
	writers sync.WaitGroup
}

// patience is how long is waited for what must come.
const patience = 90 * time.Second

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{T: t, rand: rand.New(rand.NewPCG(seed, 3)), dir: t.TempDir(), history: &history{}}
	var err error
	if w.natsd, err = natscluster.Build(w.dir); err != nil {
		t.Fatal(err)
	}
	w.cluster, err = natscluster.New(w.dir, &natscluster.Options{Route: func(i, j int, to string) string {
		if w.routes[i][j] == nil {
			w.routes[i][j] = newProxy(t, to)
		}
		return w.routes[i][j].addr()
	}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		for j := range 3 {
			w.clients[i][j] = newProxy(t, w.cluster.Client(j))
		}
	}
	t.Cleanup(w.end)
	for i := range 3 {
		w.startServer(i)
	}
	if err := natscluster.WaitReady(w.cluster.URL(), patience); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		w.startNode(i)
	}
	return w
}

func (w *world) end() {
	w.stop.Store(true)
	defer w.writers.Wait() // after a failure they still write
	for i := range 3 {
		if n := w.node(i); n != nil {
			n.kill()
		}
		if w.servers[i] != nil {
			w.servers[i].Kill()
		}
	}
	if w.Failed() {
		for i := range 3 {
			log, _ := os.ReadFile(w.nodeLog(i))
			if len(log) > 6000 {
				log = log[len(log)-6000:]
			}
			w.Logf("the log of node %d ends:\n%s", i, log)
		}
	}
}

func (w *world) startServer(i int) {
	w.Helper()
	var err error
	if w.servers[i], err = w.cluster.Spawn(w.natsd, i); err != nil {
		w.Fatal(err)
	}
}

func (w *world) killServer(i int) { w.servers[i].Kill(); w.servers[i] = nil }

func (w *world) nodeDir(i int) string { return filepath.Join(w.dir, fmt.Sprint("node", i)) }
func (w *world) nodeLog(i int) string { return filepath.Join(w.dir, fmt.Sprint("node", i, ".log")) }

func (w *world) config(i int) nodeConfig {
	var urls []string
	for k := range 3 {
		urls = append(urls, "nats://app:app@"+w.clients[i][(i+k)%3].addr())
	}
	return nodeConfig{URL: strings.Join(urls, ","), System: w.cluster.System(), Dir: w.nodeDir(i), Name: fmt.Sprint("node", i), Log: w.nodeLog(i)}
}

// startNode starts node i, again as long as the cluster is not there yet.
func (w *world) startNode(i int) {
	w.Helper()
	for begun := time.Now(); ; {
		n, err := startNode(w.config(i))
		if err == nil {
			w.setNode(i, n)
			return
		}
		if time.Since(begun) > patience {
			w.Fatalf("node %d does not start: %v", i, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (w *world) node(i int) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[i]
}

func (w *world) setNode(i int, n *process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[i] = n
}

func (w *world) killNode(i int) {
	n := w.node(i)
	w.setNode(i, nil)
	n.kill()
}

// call asks node i.
func call[A, R any](w *world, i int, method string, args A, reply *R) error {
	n := w.node(i)
	if n == nil {
		return errors.New("the node does not run")
	}
	patience := 40 * time.Second
	if method == "Last" || method == "Status" {
		patience = 2 * time.Second // the node may be paused
	}
	under := n.client.Go("Node."+method, args, new(R), make(chan *rpc.Call, 1))
	select {
	case <-under.Done:
		if under.Error == nil {
			*reply = *under.Reply.(*R)
		}
		return under.Error
	case <-time.After(patience):
		return errors.New("the node does not answer")
	}
}

// until waits until f returns true.
func (w *world) until(what string, f func() bool) {
	w.Helper()
	if w.comes(f) {
		return
	}
	var states []string
	for i := range 3 {
		var st NodeStatus
		err := call(w, i, "Status", struct{}{}, &st)
		states = append(states, fmt.Sprintf("node %d: %+v %v", i, st, err))
	}
	w.Fatalf("it never comes that %s:\n%s", what, strings.Join(states, "\n"))
}

// comes reports whether f returns true within patience.
func (w *world) comes(f func() bool) bool {
	for begun := time.Now(); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > patience {
			return false
		}
	}
	return true
}

// sequencer returns which node sequences.
func (w *world) sequencer() (at int) {
	w.Helper()
	w.until("a node sequences", func() bool {
		for i := range 3 {
			var st NodeStatus
			if call(w, i, "Status", struct{}{}, &st) == nil && st.Leading {
				at = i
				return true
			}
		}
		return false
	})
	return at
}

// follower returns one of the nodes that do not sequence.
func (w *world) follower() int { w.Helper(); return (w.sequencer() + 1 + w.rand.IntN(2)) % 3 }

// js returns a connection of an operator's, past the proxies.
func (w *world) js() jetstream.JetStream {
	w.Helper()
	nc, err := nats.Connect(w.cluster.URL(), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		w.Fatal(err)
	}
	return js
}

// leader returns which server leads the log's stream.
func (w *world) leader() (at int) {
	w.Helper()
	js := w.js()
	w.until("the stream has a leader", func() bool {
		stream, err := js.Stream(ctx, "ANNALS_faults")
		if err != nil || stream.CachedInfo().Cluster == nil {
			return false
		}
		for i := range 3 {
			if stream.CachedInfo().Cluster.Leader == natscluster.Name(i) {
				at = i
				return true
			}
		}
		return false
	})
	return at
}

// messages returns what the stream's leader has, by sequence.
func (w *world) messages() map[uint64]string {
	w.Helper()
	stream, err := w.js().Stream(ctx, "ANNALS_faults")
	if err != nil {
		w.Fatal(err)
	}
	all := map[uint64]string{}
	leaderless := func(err error) bool {
		var api *jetstream.APIError
		return err != nil && (!errors.As(err, &api) || api.Code == 503)
	}
	var mu sync.Mutex
	var next atomic.Uint64
	next.Store(stream.CachedInfo().State.FirstSeq)
	var readers sync.WaitGroup
	for range 32 { // one by one it would take longer than a leader stays
		readers.Go(func() {
			for seq := next.Add(1) - 1; seq <= stream.CachedInfo().State.LastSeq; seq = next.Add(1) - 1 {
				msg, err := stream.GetMsg(ctx, seq)
				for n := 0; n < 10 && leaderless(err); n++ {
					time.Sleep(100 * time.Millisecond)
					msg, err = stream.GetMsg(ctx, seq)
				}
				if err == nil { // else it is not there, and the caller compares
					mu.Lock()
					all[seq] = string(msg.Data)
					mu.Unlock()
				}
			}
		})
	}
	readers.Wait()
	return all
}

// promote makes server i the leader of the log's stream, and reports whether
// it became it within patience.
func (w *world) promote(i int) bool {
	w.Helper()
	nc := w.js().Conn()
	ask := fmt.Sprintf(`{"placement":{"preferred":%q}}`, natscluster.Name(i))
	var asked time.Time
	tries := 0
	defer func() {
		if tries >= 4 {
			w.pause.Unlock()
		}
	}()
	return w.comes(func() bool {
		if w.leader() == i {
			return true
		}
		// A server that lags is not elected. Asked again and again, no other
		// would lead for long either, so that it never caught up.
		if time.Since(asked) < 5*time.Second {
			return false
		}
		// Nor does it catch up on a machine that has enough to do with what is
		// written: writers pause then.
		if tries++; tries == 4 {
			w.pause.Lock()
		}
		_, _ = nc.Request("$JS.API.STREAM.LEADER.STEPDOWN.ANNALS_faults", []byte(ask), time.Second)
		asked = time.Now()
		return false
	})
}

// write starts writers, two at each node.
func (w *world) write() {
	w.stop.Store(false)
	for n := range 6 {
		r := rand.New(rand.NewPCG(w.rand.Uint64(), 5))
		w.writers.Go(func() {
			for !w.stop.Load() {
				w.pause.RLock()
				w.decide(r, r.IntN(3), n%3)
				w.pause.RUnlock()
			}
		})
	}
}

// decide makes one decision by what node at knows, which may be more or less
// than node i does, and appends what it decides at node i until the outcome is
// known; at another node if that one is gone.
func (w *world) decide(r *rand.Rand, at, i int) {
	op := operation{called: w.history.clock.Add(1)}
	stream := fmt.Sprintf("account-%d", r.IntN(8))
	tag := fmt.Sprintf("course:%d", r.IntN(3))
	var last []driver.Record
	event := func(stream string, tags ...string) driver.Event {
		return driver.Event{ID: uuid.New(), Stream: stream, Type: "Happened", Tags: tags, Data: fmt.Appendf(nil, `{"n":%d}`, r.Uint64())}
	}
	switch r.IntN(3) {
	case 0:
		if call(w, at, "Last", driver.Query{Items: []driver.Item{{Streams: []string{stream}}}}, &last) != nil {
			i = (i + 1) % 3
		}
		version := uint64(0)
		if len(last) > 0 {
			version = last[0].Version
		}
		op.batch = driver.Batch{Events: []driver.Event{event(stream), event(stream)}, Conditions: []driver.Condition{driver.StreamAt(stream, version)}}
	case 1:
		q := driver.Query{Items: []driver.Item{{Tags: []string{tag}}}}
		if call(w, at, "Last", q, &last) != nil {
			i = (i + 1) % 3
		}
		after := driver.Position(0)
		if len(last) > 0 {
			after = last[0].Position
		}
		op.batch = driver.Batch{Events: []driver.Event{event("", tag)}, Conditions: []driver.Condition{driver.NoneAfter(q, after)}}
	default:
		op.batch = driver.Batch{Events: []driver.Event{event(fmt.Sprintf("log-%d", r.IntN(100)))}}
	}
	begun := time.Now()
	for {
		op.answer = Answer{}
		err := call(w, i, "Append", op.batch, &op.answer)
		if err == nil && !op.answer.Open {
			break
		}
		op.retried = true
		if w.Failed() {
			return
		}
		if time.Since(begun) > patience {
			w.Errorf("an append is never decided: %v %s", err, op.answer.Err)
			return
		}
		i = (i + 1) % 3
		time.Sleep(10 * time.Millisecond)
	}
	op.answered = w.history.clock.Add(1)
	if op.answer.Err != "" {
		w.Errorf("an append was answered with %s", op.answer.Err)
		return
	}
	w.history.add(op)
}

// taken waits until so many more batches have been taken.
func (w *world) taken(more int) {
	w.Helper()
	start, _, _ := w.history.counts()
	w.until(fmt.Sprintf("%d more batches are taken", more), func() bool {
		now, _, _ := w.history.counts()
		return now >= start+more
	})
}

// check ends the writers and judges the logs of all nodes.
func (w *world) check() {
	w.Helper()
	w.stop.Store(true)
	w.writers.Wait()
	var logs [3][]driver.Record
	var heads [3]driver.Position
	w.until("all nodes have the whole log", func() bool {
		var end driver.Position
		for i := range 3 {
			var st NodeStatus
			if call(w, i, "Status", struct{}{}, &st) != nil || st.Behind > 0 || st.Fault != "" {
				return false
			}
			heads[i] = st.Head
			end = max(end, st.Head)
		}
		return heads[0] == end && heads[1] == end && heads[2] == end
	})
	var trees [3][32]byte
	for i := range 3 {
		if err := errors.Join(call(w, i, "Records", driver.Position(0), &logs[i]), call(w, i, "TreeHead", heads[i], &trees[i])); err != nil {
			w.Fatalf("node %d: %v", i, err)
		}
		if trees[i] != trees[0] || len(logs[i]) != len(logs[0]) {
			w.Errorf("node %d has %d records with tree head %x, node 0 has %d with %x", i, len(logs[i]), trees[i], len(logs[0]), trees[0])
		}
	}
	for _, fault := range w.history.judge(logs[0]) {
		w.Error(fault)
	}
}
