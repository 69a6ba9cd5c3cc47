package pgstore

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// nanoseconds returns the time ns after 1970, UTC.
func nanoseconds(ns int64) time.Time { return time.Unix(0, ns).UTC() }

// clampTime returns t in nanoseconds since 1970, or the end of what 64 bits hold.
func clampTime(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// clamp returns n as a bigint, which holds every position there can be.
func clamp[N ~uint64](n N) int64 { return int64(min(uint64(n), math.MaxInt64)) }

// text reports whether s can be a text of PostgreSQL. What cannot is in no record.
func text(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// uint64Of scans a bigint, null as 0.
type uint64Of uint64

// Scan implements sql.Scanner.
func (u *uint64Of) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*u = 0
	case int64:
		*u = uint64Of(v)
	default:
		return fmt.Errorf("a bigint came as a %T", src)
	}
	return nil
}
