package cli

import (
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/config"
)

// parseTime reads a moment as a person types it: RFC 3339, a local date and time, a local time of day (of yesterday when
// it is yet to come today), or how long ago.
func parseTime(s string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return past(t, s, now)
		}
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		t, err := time.ParseInLocation(layout, s, now.Location())
		if err != nil {
			continue
		}
		t = time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location())
		if t.After(now) {
			t = t.AddDate(0, 0, -1)
		}
		return t, nil
	}
	ago, before := strings.CutSuffix(s, " ago")
	if !before {
		ago, before = strings.CutPrefix(s, "-")
	}
	if d, err := parseDuration(ago); before && err == nil {
		return now.Add(-d), nil
	}
	return time.Time{}, astern.Errorf(astern.Invalid, "%s is no time", strconv.Quote(s)).
		WithHint("write 2006-01-02T15:04:05Z, '2006-01-02 15:04', 15:04, or '10m ago'")
}

// laterTime reads a moment that is yet to come: a date (which begins at midnight UTC, as the dates of the clouds do), what
// comingTime reads, or how far ahead.
func laterTime(s string, now time.Time) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, s)
	if ahead, in := strings.CutPrefix(s, "in "); err != nil && in {
		d, err := parseDuration(ahead)
		if err != nil {
			return t, err
		}
		return now.Add(d), nil
	}
	if err != nil {
		if t, err = comingTime(s, now.Location()); err != nil {
			return t, astern.Errorf(astern.Invalid, "%s is no time", strconv.Quote(s)).WithHint("write 2006-01-02, '2006-01-02 15:04', 2006-01-02T15:04:05Z or 'in 12d'")
		}
	}
	if !t.After(now) {
		return t, astern.Errorf(astern.Invalid, "%s is over: what was then, astern history and astern ledger know", strconv.Quote(s))
	}
	return t, nil
}

func past(t time.Time, s string, now time.Time) (time.Time, error) {
	if t.After(now) {
		return t, astern.Errorf(astern.Invalid, "%s lies in the future: nobody can go back there", strconv.Quote(s))
	}
	return t, nil
}

// parseDuration reads a Go duration, or one in days.
func parseDuration(s string) (time.Duration, error) {
	var d config.Duration
	if err := d.UnmarshalText([]byte(s)); err != nil {
		return 0, astern.Errorf(astern.Invalid, "%s is no duration", strconv.Quote(s)).WithHint("write 500ms, 30s, 5m, 1h30m or 90d")
	}
	return time.Duration(d), nil
}

// duration is the value of a flag, rounded up to whole seconds.
type duration struct {
	seconds int64
	set     bool
}

// Set reads the flag.
func (d *duration) Set(s string) error {
	v, err := parseDuration(s)
	if err != nil {
		return err
	}
	d.seconds, d.set = int64((v+time.Second-1)/time.Second), true
	return nil
}

// String writes the value.
func (d *duration) String() string {
	if d == nil || !d.set {
		return ""
	}
	return (time.Duration(d.seconds) * time.Second).String()
}

// Type names the value in the help.
func (d *duration) Type() string { return "duration" }
