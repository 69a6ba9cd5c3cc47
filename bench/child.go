package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
)

// Work whose memory is measured, or that is killed, runs in a process of its
// own: this program again, told by an environment variable what to do.
const childVariable = "ANNALS_BENCH_CHILD"

// task is what a child does.
type task struct {
	Name    string // "fill", "rebuild", "append"
	Dir     string // the store
	Scratch string // for a second store
	Events  int
	Streams int
	Random  bool // IDs are random rather than ordered by time
	Env     childEnv
}

type childEnv struct {
	Rounds int
	Window int64 // nanoseconds
}

// child starts this program for t.
func child(t task) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	told, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"="+string(told))
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// ask runs t in a child and puts what it found into answer.
func ask(t task, answer any) error {
	cmd, err := child(t)
	if err != nil {
		return err
	}
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s in a process of its own: %w", t.Name, err)
	}
	return json.Unmarshal(out, answer)
}

// serve is the child's main function.
func serve(told string) error {
	var t task
	if err := json.Unmarshal([]byte(told), &t); err != nil {
		return err
	}
	var answer any
	var err error
	switch t.Name {
	case "fill":
		answer, err = fillTask(t)
	case "rebuild":
		answer, err = rebuildTask(t)
	case "append":
		err = appendTask(t)
	default:
		err = fmt.Errorf("unknown task %q", t.Name)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}
