package gitlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/annals-db/annals/driver"
)

// Repository is a git repository, read by way of the git command.
type Repository struct {
	git     string // the command
	dir     string
	Shallow bool // its history is cut off
	Bare    bool
}

// Branch is a branch and the commit it is at.
type Branch struct {
	Ref  string // refs/heads/main
	Name string // main
	Tip  string // the commit's hash
}

// ErrNotRepository is wrapped when a directory is no git repository.
var ErrNotRepository = errors.New("not a git repository")

// Open looks at the repository in a directory, bare or not. The error wraps
// [ErrNotRepository], or driver.ErrUnavailable if there is no git command.
func Open(ctx context.Context, dir string) (*Repository, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("%w: reading a git repository needs the git command, which is not in PATH", driver.ErrUnavailable)
	}
	if st, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotRepository, err)
	} else if !st.IsDir() {
		return nil, fmt.Errorf("%w: %s is a file", ErrNotRepository, dir)
	}
	r := &Repository{git: git, dir: dir}
	out, err := r.run(ctx, nil, "rev-parse", "--is-bare-repository", "--is-shallow-repository", "--git-dir")
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrNotRepository, dir, err)
	}
	lines := strings.SplitN(string(out), "\n", 4)
	if len(lines) < 3 {
		return nil, fmt.Errorf("%s: git says %q of the repository", dir, out)
	}
	r.Bare, r.Shallow = lines[0] == "true", lines[1] == "true"
	return r, nil
}

// Name is the last part of the repository's directory, without .git.
func (r *Repository) Name() string {
	abs, err := filepath.Abs(r.dir)
	if err != nil {
		abs = r.dir
	}
	return strings.TrimSuffix(filepath.Base(abs), ".git")
}

func (r *Repository) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.git, append([]string{"-C", r.dir, "-c", "core.quotePath=false", "-c", "log.showSignature=false",
		"-c", "diff.renames=true"}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0")
	return cmd
}

// run returns what a git command prints.
func (r *Repository) run(ctx context.Context, in []byte, args ...string) ([]byte, error) {
	cmd := r.command(ctx, args...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &errOut
	if err := cmd.Run(); err != nil {
		return nil, failure(ctx, args[0], err, errOut.String())
	}
	return out.Bytes(), nil
}

// failure is why a git command has failed, in git's own words.
func failure(ctx context.Context, command string, err error, said string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	said, _, _ = strings.Cut(strings.TrimSpace(said), "\n")
	if said == "" {
		said = err.Error()
	}
	return fmt.Errorf("git %s: %s", command, strings.TrimPrefix(said, "fatal: "))
}

// Branches returns the repository's branches, remote-tracking ones too if
// remotes is set, and HEAD where it is on none. An empty repository has none.
func (r *Repository) Branches(ctx context.Context, remotes bool) ([]Branch, error) {
	args := []string{"for-each-ref", "--format=%(refname)%00%(objecttype)%00%(objectname)%00%(symref)", "refs/heads"}
	if remotes {
		args = append(args, "refs/remotes")
	}
	out, err := r.run(ctx, nil, args...)
	if err != nil {
		return nil, err
	}
	var list []Branch
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\x00")
		if len(f) != 4 || f[1] != "commit" || f[3] != "" {
			continue
		}
		name := strings.TrimPrefix(strings.TrimPrefix(f[0], "refs/heads/"), "refs/remotes/")
		list = append(list, Branch{Ref: f[0], Name: name, Tip: f[2]})
	}
	if _, err := r.run(ctx, nil, "symbolic-ref", "-q", "HEAD"); err != nil && ctx.Err() == nil {
		if tip, err := r.run(ctx, nil, "rev-parse", "--verify", "-q", "HEAD^{commit}"); err == nil {
			list = append(list, Branch{Ref: "HEAD", Name: "HEAD", Tip: strings.TrimSpace(string(tip))})
		}
	}
	return list, nil
}

// trunk returns the branch that commits of several branches count for: the one
// that HEAD is on, else main, master, or the first.
func (r *Repository) trunk(ctx context.Context, branches []Branch) Branch {
	head, _ := r.run(ctx, nil, "symbolic-ref", "-q", "HEAD") // on none: an error
	for _, ref := range []string{strings.TrimSpace(string(head)), "refs/heads/main", "refs/heads/master"} {
		for _, b := range branches {
			if b.Ref == ref {
				return b
			}
		}
	}
	return branches[0]
}

// reached returns the commits that b reaches and those in not do not.
func (r *Repository) reached(ctx context.Context, b Branch, not []string) (map[string]bool, error) {
	in := b.Ref + "\n"
	for _, hash := range not {
		in += "^" + hash + "\n"
	}
	out, err := r.run(ctx, []byte(in), "rev-list", "--stdin")
	if err != nil {
		return nil, err
	}
	set := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		set[strings.TrimSpace(line)] = true
	}
	return set, nil
}

// present returns those of hashes that are commits the repository has.
func (r *Repository) present(ctx context.Context, hashes []string) ([]string, error) {
	if len(hashes) == 0 {
		return nil, nil
	}
	out, err := r.run(ctx, []byte(strings.Join(hashes, "\n")+"\n"), "cat-file", "--batch-check")
	if err != nil {
		return nil, err
	}
	var list []string
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) == 3 && f[1] == "commit" {
			list = append(list, f[0])
		}
	}
	return list, nil
}
