package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// config is the configuration file.
type config struct {
	Store  string `json:"store"`
	Output string `json:"output"`
	Zone   string `json:"tz"`
}

// readConfig reads the file that the flag or the environment names, which must
// be there, or the user's, which need not be.
func readConfig(flag string) (config, error) {
	var c config
	name := first(flag, os.Getenv("ANNALS_CONFIG"))
	named := name != ""
	if !named {
		dir, err := os.UserConfigDir()
		if err != nil {
			return c, nil // there is no such place, so there is no file
		}
		name = filepath.Join(dir, "annals", "annals.json")
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("configuration: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("configuration %s: %w", name, err)
	}
	return c, nil
}
