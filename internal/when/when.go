// Package when reads times as people type them: [Parse].
package when

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Syntax says what [Parse] takes, for help texts.
const Syntax = `A TIME is as RFC 3339 writes it (2026-01-02T15:04:05Z), a date (2026-01-02: the
end of that day, UTC unless --tz says otherwise), or a duration ago (2h, 3d, 1w2d).`

// Parse returns the time that s says: RFC 3339, a date, which means the last
// nanosecond of that day in loc, or a duration before now ("90m", "3d", "1w2d12h").
func Parse(s string, now time.Time, loc *time.Location) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t.UTC(), nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, s, loc); err == nil {
		return t.AddDate(0, 0, 1).Add(-1).UTC(), nil
	}
	if d, ok := duration(s); ok {
		return now.Add(-d).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither a time (2026-01-02T15:04:05Z), a date (2026-01-02) nor a duration ago (2h, 3d)", s)
}

// duration reads weeks and days before what package time reads.
func duration(s string) (time.Duration, bool) {
	var total time.Duration
	rest := s
	for _, unit := range []struct {
		letter string
		length time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		number, after, ok := strings.Cut(rest, unit.letter)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return 0, false
		}
		total += time.Duration(n) * unit.length
		rest = after
	}
	if rest == "" {
		return total, s != ""
	}
	d, err := time.ParseDuration(rest)
	return total + d, err == nil && d >= 0
}

// layouts are the forms of a time in a file's rows.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", time.DateOnly,
	"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05 MST",
}

// Row returns the time that a row of a file holds: by layout (as package time
// has it, or "unix" for seconds since 1970), or where that is empty in any of
// the usual forms, a date being its begin. Without a zone of its own it is in loc.
func Row(s, layout string, loc *time.Location) (time.Time, error) {
	switch layout {
	case "":
	case "unix":
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return time.Time{}, fmt.Errorf("%q is not a whole number of seconds", s)
		}
		return time.Unix(n, 0).UTC(), nil
	default:
		t, err := time.ParseInLocation(layout, s, loc)
		if err != nil {
			return time.Time{}, fmt.Errorf("%q is not a time of the form %q", s, layout)
		}
		return t.UTC(), nil
	}
	for _, l := range layouts {
		if t, err := time.ParseInLocation(l, s, loc); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time such as 2026-01-02 15:04:05 (another form needs --time-layout)", s)
}
