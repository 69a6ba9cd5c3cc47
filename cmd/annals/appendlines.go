package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/feed"
	"github.com/annals-db/annals/internal/wire"
)

// appendLines appends an event for each line of standard input.
func (a *app) appendLines(cmd *cobra.Command, f *appendFlags) error {
	for _, name := range []string{"tag", "meta", "id", "occurred", "expect-version"} {
		if cmd.Flags().Changed(name) {
			return usagef("--%s is for an event given as arguments; a line says it in its own fields", name)
		}
	}
	if len(f.noneMatch) > 0 && !f.atomic {
		return usagef("--if-none-match with lines needs --atomic: all of them or none")
	}
	if isTerminal(a.in) {
		a.note("Reading events from the terminal, one JSON object a line; Ctrl-D ends.")
	}
	if f.atomic {
		return a.appendAtomic(cmd, f)
	}
	log, err := a.open(toWrite)
	if err != nil {
		return err
	}
	defer log.Close()
	l := lineAppender{app: a, printer: a.printer(receiptHeaders...), keepGoing: f.keepGoing}
	err = feed.Run(cmd.Context(), log, &feed.Options{Window: 4096, Idle: l.idle}, func(fd *feed.Feeder[input]) error {
		return l.produce(interruptible(cmd.Context(), a.in), fd)
	}, l.answered)
	if flushErr := l.printer.finish(); flushErr != nil && err == nil {
		err = flushErr
	}
	if err == nil {
		err = l.refused
	}
	if errors.Is(err, errInterrupted) {
		err = fmt.Errorf("%w after %s; each that is durable has its receipt", err, count(l.taken, "event"))
	}
	return err
}

// appendAtomic appends all lines as one batch.
func (a *app) appendAtomic(cmd *cobra.Command, f *appendFlags) error {
	batch, err := readAll(cmd.Context(), a.in)
	if err != nil {
		return err
	}
	if len(batch.Events) == 0 {
		return nil
	}
	more, err := f.conditions(cmd, "")
	if err != nil {
		return err
	}
	batch.Conditions = append(batch.Conditions, more...)
	if err := driver.Validate(&batch, driver.DefaultLimits); err != nil {
		return err
	}
	log, err := a.open(toWrite)
	if err != nil {
		return err
	}
	defer log.Close()
	receipt, err := log.Append(cmd.Context(), batch)
	if err != nil {
		return err
	}
	return a.receipts(&receipt, batch.Events)
}

// input is a line under way.
type input struct {
	line  int
	event driver.Event
}

// lineAppender answers the lines of standard input.
type lineAppender struct {
	app       *app
	printer   *printer
	keepGoing bool
	refused   error // the first line that was
	taken     int
	writing   error // of standard output
}

// produce reads and submits lines.
func (l *lineAppender) produce(in io.Reader, f *feed.Feeder[input]) error {
	parser := wire.NewParser()
	for line, err := range wire.Lines(in) {
		if err != nil {
			return err
		}
		event, err := parser.Input(line.Text, line.Number)
		if err != nil {
			return err
		}
		if err := submit(f, line.Number, &event); err != nil {
			return err
		}
	}
	return nil
}

func submit(f *feed.Feeder[input], n int, in *wire.Input) (err error) {
	if in.ID == (driver.ID{}) {
		if in.ID, err = uuid.NewV7(); err != nil {
			return err
		}
	}
	return f.Submit(input{n, in.Event}, driver.Batch{Events: []driver.Event{in.Event}, Conditions: in.Conditions()})
}

// answered prints the answer to one line.
func (l *lineAppender) answered(in input, r driver.Receipt, err error) error {
	if err != nil {
		if as[*driver.InvalidError](err) || as[*driver.LimitError](err) {
			err = namedError{plain(err).Error(), err}
		}
		err = fmt.Errorf("line %d: %w", in.line, err)
		l.printer.add(refusal(in.line, err))
		if l.refused == nil {
			l.refused = err
		}
		if l.keepGoing && !errors.Is(err, driver.ErrUnavailable) && !errors.Is(err, driver.ErrReadOnly) && !errors.Is(err, driver.ErrOutcomeUnknown) {
			return nil
		}
		return err
	}
	l.taken++
	l.printer.add(receiptItem(&r, 0, &in.event))
	return l.writing
}

// idle shows the answers there are before the next is waited for.
func (l *lineAppender) idle() {
	if l.app.format == formatLines {
		if err := l.printer.flush(); err != nil && l.writing == nil {
			l.writing = fmt.Errorf("standard output: %w", err)
		}
	}
}

// namedError says something of an error in other words.
type namedError struct {
	text string
	error
}

func (e namedError) Error() string { return e.text }
func (e namedError) Unwrap() error { return e.error }

// refusal is the answer to a line that was refused.
func refusal(line int, err error) item {
	var answer struct {
		Error struct {
			Line    int    `json:"line"`
			Kind    string `json:"kind"`
			Message string `json:"message"`
		} `json:"error"`
	}
	k := kindOf(err)
	answer.Error.Line, answer.Error.Kind, answer.Error.Message = line, k.Name, err.Error()
	text, _ := json.Marshal(answer) // strings and a number cannot fail
	return item{text, []string{"", "", "", k.Name, err.Error()}}
}
