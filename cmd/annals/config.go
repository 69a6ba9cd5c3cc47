package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/annals-db/annals/projection/declared"
)

// config is the configuration file.
type config struct {
	Store       string                          `json:"store"`
	Output      string                          `json:"output"`
	Zone        string                          `json:"tz"`
	Projections map[string]declared.Declaration `json:"projections"`
	Relays      map[string]relayDeclaration     `json:"relays"`

	name string // of the file, "" if there is none
}

// configError says what is wrong with the configuration file.
type configError struct {
	where string // the file, and the line where that is known
	err   error
}

func (e *configError) Error() string { return "configuration " + e.where + ": " + e.err.Error() }

func (e *configError) Unwrap() error { return e.err }

// configFile returns the file that the flag or the environment names, which
// must be there, or the user's, which need not be.
func configFile(flag string) (name string, named bool) {
	if name := first(flag, os.Getenv("ANNALS_CONFIG")); name != "" {
		return name, true
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", false // there is no such place, so there is no file
	}
	return filepath.Join(dir, "annals", "annals.json"), false
}

// readConfig reads the configuration file.
func readConfig(flag string) (config, error) {
	var c config
	name, named := configFile(flag)
	if name == "" {
		return c, nil
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("configuration: %w", err)
	}
	if err := json.Unmarshal(text, &c, json.RejectUnknownMembers(true)); err != nil {
		return c, explainConfig(name, text, err)
	}
	c.name = name
	return c, nil
}

// explainConfig returns err with the line it is about.
func explainConfig(name string, text []byte, err error) error {
	offset, pointer := int64(-1), jsontext.Pointer("")
	var form *jsontext.SyntacticError
	var meaning *json.SemanticError
	if errors.As(err, &meaning) {
		offset, pointer = meaning.ByteOffset, meaning.JSONPointer
		switch {
		case errors.Is(err, json.ErrUnknownName):
			err = errors.New("there is no such field")
		case meaning.Err != nil:
			err = meaning.Err
		default:
			err = fmt.Errorf("a %s is not what it takes", meaning.JSONKind)
		}
	} else if errors.As(err, &form) {
		offset, pointer, err = form.ByteOffset, form.JSONPointer, form.Err
	}
	if offset >= 0 && offset <= int64(len(text)) {
		name = fmt.Sprintf("%s, line %d", name, 1+bytes.Count(text[:offset], []byte("\n")))
	}
	if pointer != "" {
		err = fmt.Errorf("%s: %w", strings.Join(slices.Collect(pointer.Tokens()), "."), err)
	}
	return &configError{name, err}
}

// versions returns the versions of a declared projection.
func (c *config) versions(name string) ([]*declared.Version, error) {
	d, ok := c.Projections[name]
	if !ok {
		return nil, usagef("there is no projection %q in %s", name, first(c.name, "the configuration, which is missing"))
	}
	all, err := d.Versions(name, filepath.Dir(c.name))
	if err != nil {
		return nil, &configError{c.name, err}
	}
	return all, nil
}
