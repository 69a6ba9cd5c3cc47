//go:build unix

package replica_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	faultSeeds = flag.Int("fault-seeds", 1, "how many lives of a cluster TestFaults runs")
	faultCount = flag.Int("faults", 2, "how many faults, chosen by seed, each life has; 0 is every one")
	faultPause = flag.Duration("fault-pause", 4*time.Second, "how long a node is paused")
)

// fault is something that goes wrong while six writers write at three nodes.
// What it returns says who was at fault, as the nodes themselves say.
type fault struct {
	name string
	do   func(w *world) string
}

var faults = []fault{
	{"the sequencer is killed", func(w *world) string {
		i := w.sequencer()
		w.killNode(i)
		w.taken(50)
		w.startNode(i)
		return ""
	}},
	{"a follower is killed", func(w *world) string {
		i := w.follower()
		w.killNode(i)
		w.taken(50)
		w.startNode(i)
		return ""
	}},
	{"the stream's leader is killed", func(w *world) string {
		i := w.leader()
		w.killServer(i)
		w.taken(50)
		w.startServer(i)
		return ""
	}},
	{"all servers and nodes are killed at once", func(w *world) string {
		for i := range 3 {
			_ = w.node(i).cmd.Process.Kill()
			w.servers[i].Signal(syscall.SIGKILL)
		}
		for i := range 3 {
			w.killNode(i)
			w.killServer(i)
		}
		for i := range 3 {
			w.startServer(i)
		}
		for i := range 3 {
			w.startNode(i)
		}
		return ""
	}},
	{"the sequencer is paused and wakes as a stale one", func(w *world) string {
		i := w.sequencer()
		w.node(i).signal(syscall.SIGSTOP)
		w.taken(50)
		time.Sleep(*faultPause)
		// What others know by now is asked of it first when it wakes.
		for range 40 {
			r := rand.New(rand.NewPCG(w.rand.Uint64(), 5))
			w.writers.Go(func() { w.decide(r, (i+1)%3, i) })
		}
		time.Sleep(100 * time.Millisecond)
		w.node(i).signal(syscall.SIGCONT)
		return ""
	}},
	{"the stream's leader is paused", func(w *world) string {
		i := w.leader()
		w.servers[i].Signal(syscall.SIGSTOP)
		time.Sleep(*faultPause)
		w.servers[i].Signal(syscall.SIGCONT)
		return ""
	}},
	{"the sequencer and its server are cut off from the others", func(w *world) string {
		i := w.sequencer()
		cut := func(cut bool) {
			for j := range 3 {
				if j != i {
					for _, p := range []*proxy{w.routes[i][j], w.routes[j][i], w.clients[i][j], w.clients[j][i]} {
						p.set(func() { p.cut = cut })
					}
				}
			}
		}
		cut(true)
		time.Sleep(*faultPause)
		cut(false)
		return ""
	}},
	{"what the sequencer publishes is held up and lands late", func(w *world) string {
		i := w.sequencer()
		hold := func(held bool) {
			for j := range 3 {
				p := w.clients[i][j]
				p.set(func() { p.up = held })
			}
		}
		hold(true)
		time.Sleep(*faultPause)
		hold(false)
		return ""
	}},
	{"acknowledgements to the sequencer are lost", func(w *world) string {
		i := w.sequencer()
		for range 5 {
			for j := range 3 {
				p := w.clients[i][j]
				p.set(func() { p.down = true })
			}
			time.Sleep(100 * time.Millisecond)
			for j := range 3 {
				p := w.clients[i][j]
				p.drop()
				p.set(func() { p.down = false })
			}
			w.taken(5)
		}
		return ""
	}},
	{"connections are cut in the middle of appends", func(w *world) string {
		for range 10 {
			w.clients[w.rand.IntN(3)][w.rand.IntN(3)].drop()
			w.clients[w.rand.IntN(3)][w.rand.IntN(3)].drop()
			w.taken(5)
		}
		return ""
	}},
	{"messages are published from outside", func(w *world) string {
		js := w.js()
		stream, err := js.Stream(ctx, "ANNALS_faults")
		if err != nil {
			w.Fatal(err)
		}
		old, err := stream.GetMsg(ctx, 2)
		if err != nil {
			w.Fatal(err)
		}
		for _, data := range [][]byte{[]byte("hello"), nil, old.Data} {
			if _, err := js.Publish(ctx, "annals.faults.log", data); err != nil {
				w.Fatal(err)
			}
		}
		var st NodeStatus
		i := w.rand.IntN(3)
		w.until("a node says that messages were not of the log", func() bool {
			return call(w, i, "Status", struct{}{}, &st) == nil && st.Foreign >= 3
		})
		return fmt.Sprintf("node %d names %d foreign messages", i, st.Foreign)
	}},
	{"an operator purges the stream and deletes from it", func(w *world) string {
		stream, err := w.js().Stream(ctx, "ANNALS_faults")
		if err != nil {
			w.Fatal(err)
		}
		purge, del := stream.Purge(ctx), stream.DeleteMsg(ctx, 3)
		if purge == nil || del == nil {
			w.Errorf("Purge returned %v, DeleteMsg %v", purge, del)
		}
		return "the servers refuse both"
	}},
	{"a follower's disk is full", func(w *world) string { return w.fullDisk(w.follower()) }},
	{"the sequencer's disk is full", func(w *world) string { return w.fullDisk(w.sequencer()) }},
	{"a byte of a server's stream is flipped", func(w *world) string { return w.flipServers(w.rand.IntN(3)) }},
	{"a byte of each of two servers' streams is flipped", func(w *world) string {
		i := w.rand.IntN(3)
		return w.flipServers(i, (i+1)%3)
	}},
	{"a byte of a node's copy is flipped", func(w *world) string {
		i := w.follower()
		w.killNode(i)
		name := w.flip(filepath.Join(w.nodeDir(i), "log", "*.seg"))
		n, err := startNode(w.config(i))
		if err == nil {
			// It lies in a segment that is not read on opening; it is found when it is.
			w.setNode(i, n)
			var all []string
			if err = call(w, i, "Verify", struct{}{}, &all); err != nil || len(all) == 0 {
				w.Errorf("node %d does not find the byte flipped in %s: %v", i, name, err)
				return ""
			}
			err = fmt.Errorf("%s", all[0])
			w.killNode(i)
		}
		if !strings.Contains(err.Error(), "corrupt at position") {
			w.Errorf("node %d with a byte flipped in %s opens with %v", i, name, err)
		}
		if err := os.Rename(w.nodeDir(i), w.nodeDir(i)+".damaged-"+strconv.FormatInt(time.Now().UnixNano(), 36)); err != nil {
			w.Fatal(err)
		}
		w.startNode(i)
		return fmt.Sprintf("node %d: %.160s", i, err)
	}},
	{"a node loses its copy", func(w *world) string {
		i := w.rand.IntN(3)
		w.killNode(i)
		if err := os.RemoveAll(w.nodeDir(i)); err != nil {
			w.Fatal(err)
		}
		w.startNode(i)
		return ""
	}},
	{"a node comes back with an old disk", func(w *world) string {
		i := w.rand.IntN(3)
		w.node(i).stop()
		old := w.nodeDir(i) + ".old"
		if err := os.CopyFS(old, os.DirFS(w.nodeDir(i))); err != nil {
			w.Fatal(err)
		}
		w.startNode(i)
		w.taken(50)
		w.killNode(i)
		if err := os.RemoveAll(w.nodeDir(i)); err != nil {
			w.Fatal(err)
		}
		if err := os.Rename(old, w.nodeDir(i)); err != nil {
			w.Fatal(err)
		}
		w.startNode(i)
		return ""
	}},
}

// fullDisk fills the disk of node i, which must say so, and frees it again.
func (w *world) fullDisk(i int) string {
	fill := func(full bool) {
		if err := call(w, i, "Fill", full, &struct{}{}); err != nil {
			w.Fatal(err)
		}
	}
	fill(true)
	var st NodeStatus
	w.until(fmt.Sprintf("node %d says that its disk is full", i), func() bool {
		return call(w, i, "Status", struct{}{}, &st) == nil && strings.Contains(st.Stuck, "no space")
	})
	w.taken(30)
	fill(false)
	return fmt.Sprintf("node %d: %.100s", i, st.Stuck)
}

// flipServers flips a byte in the stream of each server, one after the other,
// makes each the leader in turn, and says what it had lost then. That is
// JetStream's own loss: nodes must have everything all the same, and the
// server again when its files are removed.
func (w *world) flipServers(servers ...int) string {
	before := w.messages()
	missing := func() (n int) {
		after := w.messages()
		for seq, data := range before {
			if after[seq] != data {
				n++
			}
		}
		return n
	}
	var said []string
	for _, i := range servers {
		w.killServer(i)
		name := w.flip(filepath.Join(w.cluster.Dir(i), "jetstream", "APP", "streams", "ANNALS_faults", "msgs", "*.blk"))
		w.startServer(i)
		lost, what := 0, "not to be elected any more"
		led := w.promote(i)
		if led {
			lost = missing()
			what = fmt.Sprintf("the leader then, had lost %d of %d messages", lost, len(before))
		}
		said = append(said, fmt.Sprintf("server %d, %s by a byte of %s", i, what, filepath.Base(name)))
		if led && lost == 0 {
			continue
		}
		w.killServer(i)
		if err := os.RemoveAll(w.cluster.Dir(i)); err != nil {
			w.Fatal(err)
		}
		w.startServer(i)
		w.until(fmt.Sprintf("server %d has everything again", i), func() bool {
			return w.promote(i) && missing() == 0
		})
	}
	return strings.Join(said, "; ")
}

// flip flips a bit in the middle half of one of the files that match pattern.
func (w *world) flip(pattern string) string {
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		w.Fatalf("%s: %v, %d files", pattern, err, len(names))
	}
	name := names[w.rand.IntN(len(names))]
	b, err := os.ReadFile(name)
	if err != nil {
		w.Fatal(err)
	}
	end := len(b)
	for end > 0 && b[end-1] == 0 {
		end--
	}
	b[end/4+w.rand.IntN(end/2)] ^= 1 << w.rand.IntN(8)
	if err := os.WriteFile(name, b, 0o600); err != nil {
		w.Fatal(err)
	}
	return name
}

// TestFaults lets a cluster of three servers and three nodes, each a process,
// live through faults chosen by seed, and judges the whole log after each.
func TestFaults(t *testing.T) {
	first, n := rand.Uint64()>>16, *faultSeeds
	if v, err := strconv.ParseUint(os.Getenv("ANNALS_SEED"), 10, 64); err == nil {
		first, n = v, 1
	}
	for seed := first; seed < first+uint64(n); seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Logf("repeat with ANNALS_SEED=%d", seed)
			w := newWorld(t, seed)
			list := slices.Clone(faults)
			w.rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			if k := *faultCount; k > 0 {
				list = list[:min(k, len(list))]
			}
			for _, f := range list {
				if only := os.Getenv("ANNALS_FAULT"); only != "" && !strings.Contains(f.name, only) {
					continue
				}
				w.live(f)
				if t.Failed() {
					return
				}
			}
		})
	}
}

// live lets one fault happen while writers write, and says how it went.
func (w *world) live(f fault) {
	taken, refused, retried := w.history.counts()
	w.history.gap, w.history.last = 0, time.Time{}
	w.write()
	w.taken(30)
	said := f.do(w)
	w.taken(50)
	w.check()
	verdict := "ok"
	if w.Failed() {
		verdict = "FAILED"
	}
	t2, r2, u2 := w.history.counts()
	w.Logf("%-58s %s: %d batches taken, %d refused, %d asked again; %s without one at most. %s",
		f.name, verdict, t2-taken, r2-refused, u2-retried, w.history.gap.Round(10*time.Millisecond), said)
}
