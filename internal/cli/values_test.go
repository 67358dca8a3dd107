package cli

import (
	"testing"
	"time"

	"github.com/astern-dev/astern"
)

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	now := time.Date(2026, 3, 10, 14, 30, 0, 0, zone)
	for in, want := range map[string]time.Time{
		"2026-03-01T14:02:00Z":      time.Date(2026, 3, 1, 14, 2, 0, 0, time.UTC),
		"2026-03-01T14:02:00.5Z":    time.Date(2026, 3, 1, 14, 2, 0, 5e8, time.UTC),
		"2026-03-01T14:02:00+02:00": time.Date(2026, 3, 1, 12, 2, 0, 0, time.UTC),
		"2026-03-01 14:02":          time.Date(2026, 3, 1, 14, 2, 0, 0, zone),
		"2026-03-01 14:02:03":       time.Date(2026, 3, 1, 14, 2, 3, 0, zone),
		"14:02":                     time.Date(2026, 3, 10, 14, 2, 0, 0, zone),
		"14:02:03":                  time.Date(2026, 3, 10, 14, 2, 3, 0, zone),
		"14:31":                     time.Date(2026, 3, 9, 14, 31, 0, 0, zone), // yesterday
		"10m ago":                   now.Add(-10 * time.Minute),
		"-1h30m":                    now.Add(-90 * time.Minute),
		"2d ago":                    now.Add(-48 * time.Hour),
	} {
		got, err := parseTime(in, now)
		if err != nil || !got.Equal(want) {
			t.Errorf("parseTime(%q) = %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "noon", "25:00", "10m", "--10m", "ago", "2027-01-01", "2026-03-10 14:31", "2026-02-30 10:00"} {
		if got, err := parseTime(in, now); astern.CodeOf(err) != astern.Invalid {
			t.Errorf("parseTime(%q) = %v, %v, want an invalid one", in, got, err)
		}
	}
}

func TestDurationFlag(t *testing.T) {
	for in, want := range map[string]int64{"0": 0, "1s": 1, "500ms": 1, "5m": 300, "1h30m": 5400, "90d": 7776000} {
		var d duration
		if err := d.Set(in); err != nil || d.seconds != want || !d.set {
			t.Errorf("Set(%q) = %+v, %v, want %d s", in, d, err, want)
		}
	}
	for _, in := range []string{"", "5", "-5m", "soon", "1w"} {
		var d duration
		if err := d.Set(in); err == nil || d.set {
			t.Errorf("Set(%q) was taken", in)
		}
	}
}

func TestNames(t *testing.T) {
	for in, want := range map[string]string{"Shop": "shop", "my shop!": "my-shop", "-_-": "system", "": "system", "straße": "stra-e"} {
		if got := nameOf(in, "system"); got != want {
			t.Errorf("nameOf(%q) = %q, want %q", in, got, want)
		}
	}
}
