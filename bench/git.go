package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/annals-db/annals/bench/internal/measure"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/internal/gitlog"
)

const (
	gitCommits = 8_000
	gitFiles   = 2_000
)

// gitRow imports a made-up repository: each commit changes some of many files.
func gitRow() row {
	return row{fmt.Sprintf("`import git` of %d commits to %d files", gitCommits, gitFiles), "1.5 × `git log --raw`", func(e env) (result, error) {
		dir, remove := e.scratch("repository")
		defer remove()
		if err := makeRepository(dir); err != nil {
			return result{}, err
		}
		c, err := measure.Compare(e.rounds,
			func() (float64, error) {
				return took(func() error {
					return exec.Command("git", "-C", dir, "log", "--raw", "-z", "--reverse", "--branches").Run()
				})
			},
			func() (float64, error) {
				store, err := os.MkdirTemp(e.dir, "imported-")
				if err != nil {
					return 0, err
				}
				defer os.RemoveAll(store)
				return took(func() error { return importRepository(dir, store) })
			})
		return atMost(measure.Duration(c.Ours), measure.Duration(c.Base), c.Ratio, 1.5), err
	}}
}

func importRepository(dir, store string) error {
	ctx := context.Background()
	log, err := filestore.Open(filepath.Join(store, "log"), nil)
	if err != nil {
		return err
	}
	defer log.Close()
	r, err := gitlog.Open(ctx, dir)
	if err != nil {
		return err
	}
	s, err := gitlog.Import(ctx, log, r, nil)
	if err == nil && s.Commits != gitCommits {
		err = fmt.Errorf("%d commits were imported, want %d", s.Commits, gitCommits)
	}
	return err
}

func makeRepository(dir string) error {
	if err := exec.Command("git", "init", "-q", "--bare", "-b", "main", dir).Run(); err != nil {
		return err
	}
	var in bytes.Buffer
	for i := range gitCommits {
		message := fmt.Sprintf("change %d\n\nwith a body of some length that says why\n", i)
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter Ann Example <ann@example.org> %d +0000\ndata %d\n%s", 1_500_000_000+i*60, len(message), message)
		for j := range 6 {
			text := fmt.Sprintf("contents %d %d\n", i, j)
			n := (i*7 + j*313) % gitFiles
			fmt.Fprintf(&in, "M 100644 inline pkg%02d/dir%02d/file%04d.go\ndata %d\n%s\n", n%40, n%23, n, len(text), text)
		}
	}
	cmd := exec.Command("git", "-C", dir, "fast-import", "--quiet")
	cmd.Stdin = &in
	return cmd.Run()
}
