package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/internal/gitlog"
)

func (a *app) importGitCommand() *cobra.Command {
	var o gitlog.Options
	cmd := &cobra.Command{
		Use:   "git REPOSITORY",
		Short: "Load the history of a git repository as events",
		Long: `Append an event for every change in the history of a git repository: a stream
file-PATH for every path, and branch-NAME for every branch. REPOSITORY is a
directory, bare or not. Run again, it adds what is new.

A commit is a batch: Committed in the stream of its branch, and FileAdded,
FileModified, FileModeChanged, FileTypeChanged, FileRenamed (and FileMovedAway in
the stream of the old path), FileCopied or FileDeleted for every path it changed.
The actor is the author, occurred is the author's time, reason is the first line of
the message. A commit is caused by its first parent, a file's event by its commit. A
merge changes the paths that somebody had to resolve. A branch that has moved gets
BranchMoved.

In a stream's name, percent signs, control characters and bytes that are not UTF-8
are escaped as in a URL: %0A.`,
		Example: `  annals import git .
  annals log file-README.md
  annals blame file-README.md
  annals import git ~/src/linux --prefix linux --time`,
		Args: between(1, 1, "one REPOSITORY"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.importGit(cmd, args[0], &o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Prefix, "prefix", "", "stands before the names: file-PREFIX/PATH, so that several repositories fit one log")
	flags.BoolVar(&o.Remotes, "remotes", false, "remote-tracking branches too")
	flags.BoolVar(&o.Times, "time", false, "set the log's own time to that of the commits, so that --as-of works on them; the log must end before they begin")
	return cmd
}

func (a *app) importGit(cmd *cobra.Command, dir string, o *gitlog.Options) error {
	if strings.ContainsAny(o.Prefix, "/\x00") || gitlog.Escape(o.Prefix) != o.Prefix {
		return usagef("--prefix: %q has a character that a name cannot have", o.Prefix)
	}
	r, err := gitlog.Open(cmd.Context(), dir)
	if is(gitlog.ErrNotRepository)(err) {
		return usage(err)
	}
	if err != nil {
		return err
	}
	log, err := a.open(toWrite)
	if err != nil {
		return err
	}
	defer log.Close()
	bar := a.progress("importing", "commits", -1)
	o.Progress = func(commits int) { bar.set(int64(commits), -1) }
	begin := a.now()
	s, err := gitlog.Import(cmd.Context(), log, r, o)
	bar.finish()
	sum := summary{s.Commits, s.Added, s.Known, 0, uint64(s.First), uint64(s.Last), s.Disk, a.now().Sub(begin)}
	if err != nil {
		return a.brokenOff("up to commit "+first(s.LastCommit, "none"), sum, err)
	}
	if text := r.Describe(s); text != "" {
		a.note("%s", text)
	}
	return a.summary("commits", sum)
}
