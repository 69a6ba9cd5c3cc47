package simfs

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/annals-db/annals/internal/vfs"
)

// try runs one story on many seeds and returns how often each ending came.
func try(t *testing.T, seeds int, story func(d *Disk, p *Process) string) map[string]int {
	t.Helper()
	ends := map[string]int{}
	for seed := range uint64(seeds) {
		d := New(seed, nil)
		p := d.Process()
		must(t, p.MkdirAll("db", 0o700))
		must(t, p.SyncDir("/"))
		ends[story(d, p)]++
	}
	return ends
}

// wantEnds fails unless exactly the given endings came.
func wantEnds(t *testing.T, got map[string]int, want ...string) {
	t.Helper()
	slices.Sort(want)
	if have := slices.Sorted(maps.Keys(got)); !slices.Equal(have, want) {
		t.Errorf("endings %q, want %q", have, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, p *Process, name string) vfs.File {
	t.Helper()
	f, err := p.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	must(t, err)
	return f
}

// durable makes a file that is on the disk for certain.
func durable(t *testing.T, p *Process, name, data string) vfs.File {
	t.Helper()
	f := create(t, p, name)
	put(t, f, data, 0)
	must(t, f.Sync())
	must(t, p.SyncDir("db"))
	return f
}

func put(t *testing.T, f vfs.File, data string, off int64) {
	t.Helper()
	_, err := f.WriteAt([]byte(data), off)
	must(t, err)
}

// after returns what is left of a file after a power cut, "none" without it.
func after(d *Disk, name string) string {
	d.PowerCut(nil)
	data, ok := d.Files()[name]
	if !ok {
		return "none"
	}
	return string(data)
}

func repeat(c byte, n int) string { return string(bytes.Repeat([]byte{c}, n)) }

func TestPowerCut(t *testing.T) {
	t.Run("what was synced with its directory stays", func(t *testing.T) {
		wantEnds(t, try(t, 200, func(d *Disk, p *Process) string {
			durable(t, p, "db/f", "kept")
			return after(d, "/db/f")
		}), "kept")
	})
	t.Run("a synced file may be without a name", func(t *testing.T) {
		wantEnds(t, try(t, 200, func(d *Disk, p *Process) string {
			f := create(t, p, "db/f")
			put(t, f, "kept", 0)
			must(t, f.Sync())
			return after(d, "/db/f")
		}), "kept", "none")
	})
	t.Run("a named file may be empty, short of bytes or whole", func(t *testing.T) {
		wantEnds(t, try(t, 400, func(d *Disk, p *Process) string {
			f := create(t, p, "db/f")
			put(t, f, "a", 0)
			put(t, f, "b", 1)
			must(t, p.SyncDir("db"))
			return after(d, "/db/f")
		}), "", "\x00", "a", "\x00\x00", "a\x00", "ab")
	})
	t.Run("any choice of sectors survives, not only the first ones", func(t *testing.T) {
		ends := try(t, 3000, func(d *Disk, p *Process) string {
			f := durable(t, p, "db/f", repeat('.', 3*Sector))
			put(t, f, repeat('x', 3*Sector), 0)
			s := after(d, "/db/f")
			return s[:1] + s[Sector-1:Sector+1] + s[2*Sector-1:2*Sector+1] + s[3*Sector-1:]
		})
		for _, want := range []string{"......", "xxxxxx", "xx..xx", "..xx..", "....xx", "x.....", ".x....", "xx.x.."} {
			if ends[want] == 0 {
				t.Errorf("never %q in %d endings", want, len(ends))
			}
		}
	})
	t.Run("writes to a sector survive in order", func(t *testing.T) {
		wantEnds(t, try(t, 400, func(d *Disk, p *Process) string {
			f := durable(t, p, "db/f", "..")
			put(t, f, "a", 0)
			put(t, f, "b", 1)
			return after(d, "/db/f")
		}), "..", "a.", "ab")
	})
	t.Run("what is written while a sync runs is not covered by it", func(t *testing.T) {
		wantEnds(t, try(t, 200, func(d *Disk, p *Process) string {
			f := durable(t, p, "db/f", "..")
			put(t, f, "a", 0)
			d.o.Gate = func(op Op) {
				if op.Kind == Sync {
					d.o.Gate = nil
					put(t, f, "b", 1)
				}
			}
			must(t, f.Sync())
			return after(d, "/db/f")
		}), "a.", "ab")
	})
	t.Run("a truncation survives or not, and never shows what it cut off once the file has grown again", func(t *testing.T) {
		wantEnds(t, try(t, 2000, func(d *Disk, p *Process) string {
			f := durable(t, p, "db/f", "abcd")
			must(t, f.Truncate(1))
			must(t, f.Truncate(4))
			return after(d, "/db/f")
		}), "abcd", "a", "a\x00\x00\x00")
	})
	t.Run("entries survive in any choice, a rename whole", func(t *testing.T) {
		wantEnds(t, try(t, 2000, func(d *Disk, p *Process) string {
			durable(t, p, "db/a", "a")
			durable(t, p, "db/b", "b")
			must(t, p.Rename("db/a", "db/b"))
			must(t, create(t, p, "db/c").Close())
			must(t, p.Remove("db/b"))
			d.PowerCut(nil)
			var s string
			for name, data := range orderedFiles(d) {
				s += name[4:] + "=" + string(data) + " "
			}
			return s
		}), "a=a b=b ", "b=a ", "b=a c= ", "c= ", "", "a=a b=b c= ")
	})
	t.Run("a removed file that was durable may be back", func(t *testing.T) {
		wantEnds(t, try(t, 200, func(d *Disk, p *Process) string {
			durable(t, p, "db/f", "back")
			must(t, p.Remove("db/f"))
			return after(d, "/db/f")
		}), "none", "back")
	})
	t.Run("every process is dead", func(t *testing.T) {
		d := New(1, nil)
		p := d.Process()
		must(t, p.MkdirAll("db", 0o700))
		f := durable(t, p, "db/f", "x")
		d.PowerCut(nil)
		if _, err := f.WriteAt([]byte("y"), 0); !errors.Is(err, ErrPower) {
			t.Errorf("WriteAt after the cut: %v", err)
		}
		if _, err := p.Stat("db"); !errors.Is(err, ErrPower) {
			t.Errorf("Stat after the cut: %v", err)
		}
	})
}

func orderedFiles(d *Disk) func(func(string, []byte) bool) {
	return func(yield func(string, []byte) bool) {
		files := d.Files()
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if !yield(name, files[name]) {
				return
			}
		}
	}
}

func TestKill(t *testing.T) {
	wantEnds(t, try(t, 50, func(d *Disk, p *Process) string {
		f := create(t, p, "db/f")
		put(t, f, "unsynced", 0)
		p.Kill()
		if err := f.Sync(); !errors.Is(err, ErrPower) {
			t.Errorf("Sync after Kill: %v", err)
		}
		return string(d.Files()["/db/f"])
	}), "unsynced")
}

func TestFault(t *testing.T) {
	on := func(k Kind, f Fault) func(Op) Fault {
		return func(op Op) Fault {
			if op.Kind == k {
				return f
			}
			return None
		}
	}
	t.Run("a failed sync loses data that the next one does not bring back", func(t *testing.T) {
		for fault, want := range map[Fault][]string{Fail: {"old"}, Partial: {"old", "new"}} {
			wantEnds(t, try(t, 300, func(d *Disk, p *Process) string {
				f := durable(t, p, "db/f", "old")
				put(t, f, "new", 0)
				d.SetFault(on(Sync, fault))
				if err := f.Sync(); !errors.Is(err, ErrIO) {
					t.Fatalf("Sync: %v", err)
				}
				d.SetFault(nil)
				if got := string(d.Files()["/db/f"]); got != "new" {
					t.Fatalf("read %q after the failed sync, want the page cache's", got)
				}
				must(t, f.Sync())
				return string([]byte(after(d, "/db/f"))[:3])
			}), want...)
		}
	})
	t.Run("writing it again after a failed sync makes it durable", func(t *testing.T) {
		wantEnds(t, try(t, 100, func(d *Disk, p *Process) string {
			f := create(t, p, "db/f")
			must(t, p.SyncDir("db"))
			put(t, f, "new", 0)
			d.SetFault(on(Sync, Fail))
			if f.Sync() == nil {
				t.Fatal("no error")
			}
			d.SetFault(nil)
			put(t, f, "new", 0)
			must(t, f.Sync())
			return after(d, "/db/f")
		}), "new")
	})
	t.Run("a sync that lies may lose all", func(t *testing.T) {
		wantEnds(t, try(t, 300, func(d *Disk, p *Process) string {
			f := durable(t, p, "db/f", ".")
			d.SetFault(on(Sync, Lie))
			put(t, f, "x", 0)
			must(t, f.Sync())
			return after(d, "/db/f")
		}), ".", "x")
	})
	t.Run("a directory sync that lies may lose the name", func(t *testing.T) {
		wantEnds(t, try(t, 300, func(d *Disk, p *Process) string {
			d.SetFault(on(SyncDir, Lie))
			durable(t, p, "db/f", "x")
			return after(d, "/db/f")
		}), "none", "x")
	})
	t.Run("a failed write leaves a part", func(t *testing.T) {
		wantEnds(t, try(t, 300, func(d *Disk, p *Process) string {
			f := durable(t, p, "db/f", "..")
			d.SetFault(on(WriteAt, Partial))
			if n, err := f.WriteAt([]byte("xy"), 0); !errors.Is(err, ErrIO) || n > 2 {
				t.Fatalf("WriteAt: %d, %v", n, err)
			}
			return string(d.Files()["/db/f"])
		}), "..", "x.", "xy")
	})
	t.Run("a read fails", func(t *testing.T) {
		d := New(1, nil)
		p := d.Process()
		must(t, p.MkdirAll("db", 0o700))
		f := durable(t, p, "db/f", "x")
		d.SetFault(on(ReadAt, Fail))
		if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, ErrIO) {
			t.Errorf("ReadAt: %v", err)
		}
	})
}

func TestSpace(t *testing.T) {
	d := New(1, nil)
	p := d.Process()
	must(t, p.MkdirAll("db", 0o700))
	f := create(t, p, "db/f")
	d.SetSpace(2*Sector, false)
	n, err := f.WriteAt(make([]byte, 3*Sector), 0)
	if n != 2*Sector || !errors.Is(err, ErrFull) {
		t.Fatalf("wrote %d, %v into two free sectors", n, err)
	}
	put(t, f, "over what is there", 0)
	if _, err := p.OpenFile("db/g", os.O_CREATE|os.O_RDWR, 0); !errors.Is(err, ErrFull) {
		t.Errorf("a new file on a full disk: %v", err)
	}
	d.SetSpace(0, true)
	if n, err := f.WriteAt([]byte("x"), 0); n != 0 || !errors.Is(err, ErrFull) {
		t.Errorf("wrote %d, %v over what is there on a full copy-on-write disk", n, err)
	}
	d.SetSpace(0, false)
	must(t, f.Truncate(0))
	put(t, f, "in the room it left", 0)
	must(t, p.Remove("db/f"))
	must(t, create(t, p, "db/g").Close())
}

func TestFlip(t *testing.T) {
	d := New(1, nil)
	p := d.Process()
	must(t, p.MkdirAll("db", 0o700))
	must(t, p.SyncDir("/"))
	durable(t, p, "db/f", "a")
	if !d.Flip("/db/f", 1) || d.Flip("/db/f", 8) {
		t.Fatal("Flip")
	}
	if got := after(d, "/db/f"); got != "c" {
		t.Errorf("%q after the flip and a power cut, want c", got)
	}
}

func TestDamageAtRest(t *testing.T) {
	d := New(1, nil)
	p := d.Process()
	must(t, p.MkdirAll("db", 0o700))
	must(t, p.SyncDir("/"))
	durable(t, p, "db/f", "a")
	durable(t, p, "db/g", "b")
	if !d.Replace("/db/f", []byte("other")) || !d.Lose("/db/g") || d.Lose("/db/g") || d.Replace("/db/g", nil) {
		t.Fatal("Replace and Lose")
	}
	if got := after(d, "/db/f"); got != "other" {
		t.Errorf("%q after Replace and a power cut, want other", got)
	}
	if _, ok := d.Files()["/db/g"]; ok {
		t.Error("what was lost is back")
	}
}

func TestLock(t *testing.T) {
	d := New(1, nil)
	p, q := d.Process(), d.Process()
	must(t, p.MkdirAll("db", 0o700))
	l, err := p.Lock("db/lock")
	must(t, err)
	for _, other := range []*Process{p, q} {
		if _, err := other.Lock("db/lock"); !errors.Is(err, vfs.ErrLocked) {
			t.Errorf("a second holder: %v", err)
		}
	}
	must(t, l.Close())
	_, err = q.Lock("db/lock")
	must(t, err)
	q.Kill()
	_, err = p.Lock("db/lock")
	must(t, err)
}

func TestNames(t *testing.T) {
	d := New(1, nil)
	p := d.Process()
	if _, err := p.OpenFile("db/f", os.O_CREATE|os.O_RDWR, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("creating in a directory that is not there: %v", err)
	}
	must(t, p.MkdirAll("/db/x", 0o700))
	must(t, create(t, p, "db/f").Close())
	if _, err := p.OpenFile("db/f", os.O_CREATE|os.O_EXCL|os.O_RDWR, 0); !errors.Is(err, fs.ErrExist) {
		t.Errorf("O_EXCL: %v", err)
	}
	entries, err := p.ReadDir("db")
	must(t, err)
	if len(entries) != 2 || entries[0].Name() != "f" || !entries[1].IsDir() {
		t.Errorf("ReadDir: %v", entries)
	}
	r, err := p.OpenFile("db/f", os.O_RDONLY, 0)
	must(t, err)
	if _, err := r.WriteAt([]byte("x"), 0); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("writing a file opened for reading: %v", err)
	}
	if err := p.Remove("db"); err == nil {
		t.Error("removed a directory that is not empty")
	}
}

// The same operations in the same order end in the same bytes.
func TestSeed(t *testing.T) {
	run := func() map[string][]byte {
		d := New(42, nil)
		p := d.Process()
		must(t, p.MkdirAll("db", 0o700))
		for i := range 20 {
			f := create(t, p, "db/"+string(rune('a'+i)))
			put(t, f, repeat('x', 5000), 0)
			must(t, p.SyncDir("db"))
		}
		d.PowerCut(nil)
		return d.Files()
	}
	if a, b := run(), run(); !maps.EqualFunc(a, b, bytes.Equal) {
		t.Error("two runs of one seed differ")
	}
}
