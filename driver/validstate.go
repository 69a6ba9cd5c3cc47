package driver

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The most that a [State] takes.
const (
	maxStateKey   = 1024
	maxStateValue = 64 << 20
)

// ValidateState returns the *[InvalidError] or *[LimitError] for which a
// [State] must refuse key and value, nil if there is none.
func ValidateState(key string, value []byte) error {
	switch {
	case key == "":
		return &InvalidError{-1, "state key", "it is empty"}
	case !utf8.ValidString(key):
		return &InvalidError{-1, "state key", fmt.Sprintf("%q is not valid UTF-8", key)}
	case strings.IndexByte(key, 0) >= 0:
		return &InvalidError{-1, "state key", fmt.Sprintf("%q has a NUL", key)}
	case len(key) > maxStateKey:
		return &LimitError{-1, "bytes in state key", maxStateKey, len(key)}
	case len(value) > maxStateValue:
		return &LimitError{-1, "bytes in state value", maxStateValue, len(value)}
	}
	return nil
}
