package drivertest

import (
	"context"
	"iter"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
)

// mutantVar names the mutant that a process of the test binary is to run the suite on.
const mutantVar = "ANNALS_MUTANT"

// TestTheSuiteCanFail runs the suite on each mutant, in a process of its own,
// and wants the test red that is there to find it.
func TestTheSuiteCanFail(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			noun, _, _ := strings.Cut(m.found, "/")
			cmd := exec.Command(os.Args[0], "-test.run=^TestMutant$/^"+noun+"$", "-test.v", "-test.timeout=30s")
			cmd.Env = append(os.Environ(), mutantVar+"="+m.name)
			out, err := cmd.CombinedOutput()
			red := "--- FAIL: TestMutant/" + strings.ReplaceAll(m.found, " ", "_") + " ("
			if err == nil || !strings.Contains(string(out), red) {
				t.Errorf("the suite does not find it by %q (error %v):\n%s", m.found, err, out)
			}
		})
	}
}

// TestMutant is what TestTheSuiteCanFail runs.
func TestMutant(t *testing.T) {
	name := os.Getenv(mutantVar)
	if name == "" {
		t.Skip("runs as a part of TestTheSuiteCanFail")
	}
	patience = 500 * time.Millisecond
	for _, m := range mutants {
		if m.name == name {
			runAll(t, broken{m})
		}
	}
}

// mutant is a way in which a store could break the contract.
type mutant struct {
	name  string
	found string // the test that must find it
	make  func(l *liar)
}

// broken opens logs that a mutant breaks.
type broken struct{ mutant }

func (b broken) Open(t testing.TB, clock func() time.Time) driver.Log {
	return b.log(&liar{handle: newHandle(memstore.New(&memstore.Options{Clock: clock}))})
}

func (b broken) log(l *liar) *liar {
	b.make(l)
	return l
}

func (b broken) Reopen(t testing.TB, log driver.Log) driver.Log {
	l := log.(*liar)
	_ = l.handle.Close()
	again := &liar{handle: newHandle(l.store)}
	if l.reopened != nil {
		again.handle = newHandle(l.reopened(l.store))
	}
	return b.log(again)
}

func (b broken) Second(t testing.TB, log driver.Log) driver.Log {
	l := &liar{handle: newHandle(log.(*liar).store)}
	b.make(l)
	if l.second != nil {
		l.second(l)
	}
	return l
}

// liar is a handle of which each method can be replaced.
type liar struct {
	*handle
	append        func(ctx context.Context, b driver.Batch) (driver.Receipt, error)
	read          func(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error]
	change        func(r *driver.Record) // each record read
	wait          func(ctx context.Context, after driver.Position) (driver.Position, error)
	info          func(i *driver.Info)
	close         func() error
	positionAt    func(ctx context.Context, t time.Time) (driver.Position, error)
	streamVersion func(context.Context, string) (uint64, error)
	treeHead      func(ctx context.Context, p driver.Position) ([32]byte, error)
	submit        func(ctx context.Context, b driver.Batch) func() (driver.Receipt, error)
	state         func(s driver.State) driver.State
	verify        func(ctx context.Context, progress func(done, total driver.Position)) iter.Seq[error]
	reopened      func(s *memstore.Store) *memstore.Store
	second        func(l *liar)
}

func (l *liar) Append(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
	if l.append != nil && !l.isClosed() {
		return l.append(ctx, b)
	}
	return l.handle.Append(ctx, b)
}

func (l *liar) Submit(ctx context.Context, b driver.Batch) func() (driver.Receipt, error) {
	if l.submit != nil {
		return l.submit(ctx, b)
	}
	receipt, err := l.Append(ctx, b)
	return func() (driver.Receipt, error) { return receipt, err }
}

func (l *liar) Read(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
	if l.read != nil {
		return l.read(ctx, q, o)
	}
	return func(yield func(driver.Record, error) bool) {
		for r, err := range l.handle.Read(ctx, q, o) {
			if l.change != nil && err == nil {
				l.change(&r)
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func (l *liar) Wait(ctx context.Context, after driver.Position) (driver.Position, error) {
	if l.wait != nil {
		return l.wait(ctx, after)
	}
	return l.handle.Wait(ctx, after)
}

func (l *liar) Info(ctx context.Context) (driver.Info, error) {
	info, err := l.handle.Info(ctx)
	if l.info != nil {
		l.info(&info)
	}
	return info, err
}

func (l *liar) Close() error {
	if l.close != nil {
		return l.close()
	}
	return l.handle.Close()
}

func (l *liar) PositionAt(ctx context.Context, t time.Time) (driver.Position, error) {
	if l.positionAt != nil {
		return l.positionAt(ctx, t)
	}
	return l.handle.PositionAt(ctx, t)
}

func (l *liar) StreamVersion(ctx context.Context, stream string) (uint64, error) {
	if l.streamVersion != nil {
		return l.streamVersion(ctx, stream)
	}
	return l.handle.StreamVersion(ctx, stream)
}

func (l *liar) TreeHead(ctx context.Context, p driver.Position) ([32]byte, error) {
	if l.treeHead != nil {
		return l.treeHead(ctx, p)
	}
	return l.handle.TreeHead(ctx, p)
}

func (l *liar) State() driver.State {
	if l.state != nil {
		return l.state(l.handle.State())
	}
	return l.handle.State()
}

func (l *liar) Verify(ctx context.Context, progress func(done, total driver.Position)) iter.Seq[error] {
	if l.verify != nil {
		return l.verify(ctx, progress)
	}
	return l.handle.Verify(ctx, progress)
}
