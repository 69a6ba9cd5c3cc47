package when_test

import (
	"testing"
	"time"

	"github.com/annals-db/annals/internal/when"
)

func TestParse(t *testing.T) {
	now := time.Date(2026, 7, 8, 12, 0, 0, 0, time.UTC)
	berlin := time.FixedZone("CEST", 2*3600)
	for s, want := range map[string]string{
		"2026-01-02T03:04:05Z":          "2026-01-02T03:04:05Z",
		"2026-01-02T03:04:05.123+02:00": "2026-01-02T01:04:05.123Z",
		"2011-06-30":                    "2011-06-30T21:59:59.999999999Z",
		"2h":                            "2026-07-08T10:00:00Z",
		"3d":                            "2026-07-05T12:00:00Z",
		"1w2d12h":                       "2026-06-29T00:00:00Z",
		"90m":                           "2026-07-08T10:30:00Z",
		"0s":                            "2026-07-08T12:00:00Z",
	} {
		got, err := when.Parse(s, now, berlin)
		if err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("%s: got %v, %v, want %s", s, got, err, want)
		}
	}
	for _, bad := range []string{"", "yesterday", "-2h", "3", "2011-06-31", "d", "2011-06-30 10:00", "1d2w"} {
		if got, err := when.Parse(bad, now, berlin); err == nil {
			t.Errorf("%q was read as %v", bad, got)
		}
	}
}

func TestRow(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	for _, c := range [][3]string{
		{"2010-12-01 08:26:00", "", "2010-12-01T07:26:00Z"},
		{"2010-12-01T08:26:00Z", "", "2010-12-01T08:26:00Z"},
		{"2010-12-01", "", "2010-11-30T23:00:00Z"},
		{"1/12/2010 8:26", "2/1/2006 15:04", "2010-12-01T07:26:00Z"},
		{"1291191960", "unix", "2010-12-01T08:26:00Z"},
	} {
		got, err := when.Row(c[0], c[1], berlin)
		if err != nil || got.Format(time.RFC3339Nano) != c[2] {
			t.Errorf("%s as %q: got %v, %v", c[0], c[1], got, err)
		}
	}
	for _, bad := range [][2]string{{"", ""}, {"soon", ""}, {"2010-12-01", "2/1/2006"}, {"x", "unix"}} {
		if got, err := when.Row(bad[0], bad[1], berlin); err == nil {
			t.Errorf("%q was read as %v", bad, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("1w2d3h")
	f.Add("2011-06-30")
	f.Fuzz(func(t *testing.T, s string) { _, _ = when.Parse(s, time.Now(), time.UTC) })
}
