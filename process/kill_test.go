package process_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/process"
)

// childVariable has the test binary run the shop in a directory instead.
const childVariable = "ANNALS_TEST_SHOP"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const killedOrders = 400

// openShop opens the three logs in dir.
func openShop(dir string) (*shop, func() error, error) {
	s := newShop()
	var logs []driver.Log
	closeAll := func() (err error) {
		for _, l := range logs {
			if e := l.Close(); err == nil {
				err = e
			}
		}
		return err
	}
	for name, log := range map[string]*driver.Log{"orders": &s.orders, "care": &s.care, "payments": &s.payments} {
		l, err := filestore.Open(filepath.Join(dir, name), nil)
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		*log = l
		logs = append(logs, l)
	}
	return s, closeAll, nil
}

// child places orders and runs the shop, in two workers, until it is killed.
func child(dir string) error {
	s, _, err := openShop(dir)
	if err != nil {
		return err
	}
	t := failing{}
	ended := make(chan error, 2)
	for range 2 {
		go func() { ended <- s.system(t, nil).Run(context.Background()) }()
	}
	go func() {
		for n := range killedOrders {
			s.place(t, n+1)
		}
		fmt.Println("placed")
	}()
	return <-ended
}

// failing is what a child has in place of a test.
type failing struct{ testing.TB }

func (failing) Helper() {}
func (failing) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, args...)
	os.Exit(1)
}

// TestKilledProcesses kills -9 a process that runs the shop on file stores, at
// random points, and lets the next one go on.
func TestKilledProcesses(t *testing.T) {
	first, last := seeds(2)
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { killed(t, seed) })
	}
}

func killed(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	for range 6 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childVariable+"="+dir)
		var stderr lines
		cmd.Stderr = &stderr
		must(t, cmd.Start())
		time.Sleep(time.Duration(20+rnd.IntN(300)) * time.Millisecond)
		must(t, cmd.Process.Kill())
		_ = cmd.Wait()
		if len(stderr) > 0 {
			t.Fatalf("seed %d: the process says: %s", seed, stderr)
		}
	}
	s, closeAll, err := openShop(dir)
	must(t, err)
	defer closeAll()
	before := count(t, s.care, "Confirmed")
	for n := range killedOrders {
		s.place(t, n+1)
	}
	must(t, s.system(t, &process.Options{}).Settle(t.Context()))
	s.right(t, killedOrders, false)
	t.Logf("seed %d: %d orders were through when the last process was killed", seed, before)
}

// lines is what a process has written.
type lines []byte

func (l *lines) Write(b []byte) (int, error) { *l = append(*l, b...); return len(b), nil }
func (l lines) String() string               { return string(l) }
