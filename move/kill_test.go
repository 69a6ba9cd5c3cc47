package move_test

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
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/move"
	"github.com/annals-db/annals/sqlitestore"
)

const childDir, childKind = "ANNALS_MOVE_CHILD", "ANNALS_MOVE_KIND"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir, os.Getenv(childKind)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	pgserver.StopShared()
	os.Exit(code)
}

// target opens what is copied to in dir.
func target(dir, kind string, id driver.ID) (driver.Log, error) {
	if kind == "sqlite" {
		return sqlitestore.Open(filepath.Join(dir, "to.db"), &sqlitestore.Options{LogID: id})
	}
	return filestore.Open(filepath.Join(dir, "to"), &filestore.Options{LogID: id, SegmentBytes: 1 << 16})
}

// child copies from dir/from to the target.
func child(dir, kind string) error {
	from, err := filestore.Open(filepath.Join(dir, "from"), &filestore.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	info, err := from.Info(context.Background())
	if err != nil {
		return err
	}
	to, err := target(dir, kind, info.LogID)
	if err != nil {
		return err
	}
	if _, err := move.Copy(context.Background(), from, to, nil); err != nil {
		return err
	}
	return to.Close()
}

// A copy that is killed again and again goes on, and comes out the same.
func TestACopyThatIsKilledGoesOn(t *testing.T) {
	for kind, seeds := range map[string]uint64{"file": 2, "sqlite": 1} {
		for seed := range seeds {
			t.Run(fmt.Sprint(kind, ", seed ", seed), func(t *testing.T) {
				t.Parallel()
				dir, rnd := t.TempDir(), rand.New(rand.NewPCG(seed, 0))
				from := openFile(t, filepath.Join(dir, "from"), nil)
				newWriter(from, seed).write(t, 3_000)
				kills := 0
				for ended := false; !ended; {
					cmd := exec.Command(os.Args[0])
					cmd.Env = append(os.Environ(), childDir+"="+dir, childKind+"="+kind)
					cmd.Stderr = os.Stderr
					if err := cmd.Start(); err != nil {
						t.Fatal(err)
					}
					if kills < 5 {
						time.Sleep(time.Duration(20+rnd.IntN(200)) * time.Millisecond)
						_ = cmd.Process.Kill()
						kills++
					}
					err := cmd.Wait()
					if ended = err == nil; !ended && cmd.ProcessState.Exited() {
						t.Fatalf("it failed: %v", err)
					}
				}
				to, err := target(dir, kind, logID(t, from))
				same(t, from, opened(t, to, err))
			})
		}
	}
}
