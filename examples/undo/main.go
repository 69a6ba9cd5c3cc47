// Command undo is a task list in the terminal that several users work on at
// once, each with undo and redo. It keeps the list in the store whose URL is
// given, or else in memory:
//
//	go run ./examples/undo file:/tmp/tasks
//	> as ann
//	> add buy milk
//	> undo
//
// "help" lists what can be typed.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/stores"
	"github.com/annals-db/annals/undo"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "undo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	url := "mem:"
	if len(args) > 0 {
		url = args[0]
	}
	log, err := stores.Open(ctx, url, nil)
	if err != nil {
		return err
	}
	defer log.Close()
	s := session{ctx: ctx, out: out, db: annals.New(log, nil), user: "guest"}
	for lines := bufio.NewScanner(in); ; {
		fmt.Fprintf(out, "%s> ", s.user)
		if !lines.Scan() {
			fmt.Fprintln(out)
			return lines.Err()
		}
		command, rest, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		if command == "quit" {
			fmt.Fprintln(out)
			return nil
		}
		if err := s.do(command, strings.TrimSpace(rest)); err != nil {
			fmt.Fprintln(out, err)
		}
	}
}

// session is what is typed, by one user after the other.
type session struct {
	ctx  context.Context
	out  io.Writer
	db   *annals.DB
	user string
}

const (
	id   = "shared"
	help = `as NAME            go on as this user
add TEXT           add a task
done N             tick a task
rename N TEXT      give it another text
drop N             take it off the list
vote N             vote for it
undo, redo         your own last action, whatever others have done since
revert VERSION     the list as it was at a version, by new events
list, history      what there is, and what was done
quit`
)

func (s *session) do(command, rest string) error {
	ctx := annals.WithActor(s.ctx, s.user)
	var err error
	switch command {
	case "":
		return nil
	case "help":
		fmt.Fprintln(s.out, help)
		return nil
	case "as":
		if rest == "" {
			return errors.New("as whom?")
		}
		s.user = rest
		return nil
	case "list":
		return s.list()
	case "history":
		return s.history()
	case "undo":
		_, err = Undo.Undo(ctx, s.db, id)
	case "redo":
		_, err = Undo.Redo(ctx, s.db, id)
	case "revert":
		version, parseErr := strconv.ParseUint(rest, 10, 64)
		if parseErr != nil {
			return errors.New("revert to which version?")
		}
		_, err = Undo.Revert(ctx, s.db, id, version)
	default:
		err = s.change(ctx, command, rest)
	}
	var depends *undo.DependsError
	switch {
	case errors.As(err, &depends):
		return fmt.Errorf("refused: %s has changed that since (%s, version %d)", depends.Actor, depends.Type, depends.Version)
	case errors.Is(err, undo.ErrNothing), errors.Is(err, annals.ErrNotFound) && (command == "undo" || command == "redo"):
		return fmt.Errorf("nothing to %s", command)
	case err != nil:
		return err
	}
	return s.list()
}

// change does what is typed to the list, which comes to be with its first task.
func (s *session) change(ctx context.Context, command, rest string) error {
	number, text, _ := strings.Cut(rest, " ")
	change := func(l *List) error {
		if command == "add" {
			if rest == "" {
				return errors.New("add what?")
			}
			return l.Add(rest)
		}
		event, known := map[string]func(n int) any{
			"done":   func(n int) any { return TaskDone{n} },
			"rename": func(n int) any { return TaskRenamed{n, strings.TrimSpace(text)} },
			"drop":   func(n int) any { return TaskDropped{n} },
			"vote":   func(n int) any { return TaskVoted{n, 1} },
		}[command]
		if !known {
			return fmt.Errorf("%q? help lists what can be typed", command)
		}
		n, err := l.find(number)
		if err != nil {
			return err
		}
		return l.Record(event(n))
	}
	_, err := Lists.Update(ctx, s.db, id, change)
	if errors.Is(err, annals.ErrNotFound) {
		_, err = Lists.Add(ctx, s.db, id, change)
	}
	return err
}

func (s *session) list() error {
	l, err := Lists.Load(s.db.View(s.ctx), id)
	if errors.Is(err, annals.ErrNotFound) || err == nil && len(l.Tasks) == 0 {
		fmt.Fprintln(s.out, "  nothing to do")
		return nil
	}
	if err != nil {
		return err
	}
	for _, n := range l.numbers() {
		t := l.Tasks[n]
		tick := " "
		if t.Done {
			tick = "x"
		}
		votes := ""
		if t.Votes != 0 {
			votes = fmt.Sprintf(" (%+d)", t.Votes)
		}
		fmt.Fprintf(s.out, "  [%s] %d %s%s\n", tick, n, t.Text, votes)
	}
	return nil
}

func (s *session) history() error {
	actions, err := Undo.Actions(s.ctx, s.db, id)
	if errors.Is(err, annals.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, a := range actions {
		state := ""
		if a.Undone {
			state = ", undone"
		}
		what := strings.Join(a.Types, ", ")
		if a.Kind != "" {
			what = a.Kind
		}
		fmt.Fprintf(s.out, "  %d %s: %s%s\n", a.Batch, a.Actor, what, state)
	}
	return nil
}
