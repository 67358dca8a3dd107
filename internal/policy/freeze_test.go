package policy

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/astern-dev/astern"
)

func TestFreezes(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	in := func(s string) time.Time {
		at, err := time.ParseInLocation("2006-01-02 15:04:05", s, berlin)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	utc := func(s string) time.Time {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	weekend := astern.Freeze{Schedule: "0 18 * * 5", Zone: "Europe/Berlin", LastsSeconds: 62 * 3600}
	night := astern.Freeze{Schedule: "30 2 * * *", Zone: "Europe/Berlin", LastsSeconds: 1800}
	work := astern.Freeze{Schedule: "0 0 * * 1-5", Zone: "Europe/Berlin", LastsSeconds: 86400}
	for name, c := range map[string]struct {
		freeze      astern.Freeze
		at          time.Time
		from, until time.Time // zero when none holds
	}{
		"before":                           {weekend, in("2026-11-20 17:59:59"), time.Time{}, time.Time{}},
		"at its beginning":                 {weekend, in("2026-11-20 18:00:00"), in("2026-11-20 18:00:00"), in("2026-11-23 08:00:00")},
		"within":                           {weekend, in("2026-11-22 03:00:00"), in("2026-11-20 18:00:00"), in("2026-11-23 08:00:00")},
		"at its end":                       {weekend, in("2026-11-23 08:00:00"), time.Time{}, time.Time{}},
		"spring, an hour less":             {weekend, in("2026-03-29 12:00:00"), in("2026-03-27 18:00:00"), utc("2026-03-30T06:00:00Z")},
		"autumn, an hour more":             {weekend, utc("2026-10-26T06:59:59Z"), in("2026-10-23 18:00:00"), utc("2026-10-26T07:00:00Z")},
		"a beginning that is skipped":      {night, utc("2026-03-29T01:00:00Z"), time.Time{}, time.Time{}}, // begins and ends as the clock springs
		"the night before":                 {night, utc("2026-03-28T01:31:00Z"), utc("2026-03-28T01:30:00Z"), utc("2026-03-28T02:00:00Z")},
		"a beginning that comes twice":     {night, utc("2026-10-25T00:30:00Z"), utc("2026-10-25T00:30:00Z"), utc("2026-10-25T02:00:00Z")},
		"between its two beginnings":       {night, utc("2026-10-25T01:15:00Z"), utc("2026-10-25T00:30:00Z"), utc("2026-10-25T02:00:00Z")},
		"days that follow each other":      {work, in("2026-11-18 12:00:00"), in("2026-11-18 00:00:00"), in("2026-11-21 00:00:00")},
		"skipped, and longer than the gap": {astern.Freeze{Schedule: "30 2 * * *", Zone: "Europe/Berlin", LastsSeconds: 7200}, utc("2026-03-29T01:00:00Z"), utc("2026-03-29T01:00:00Z"), utc("2026-03-29T02:30:00Z")},
	} {
		s, err := parse(c.freeze)
		if err != nil {
			t.Fatal(err)
		}
		from, until, ok := s.window(c.at)
		if ok == c.from.IsZero() || ok && (!from.Equal(c.from) || !until.Equal(c.until)) {
			t.Errorf("%s: %v, %v to %v, want %v to %v", name, ok, from, until, c.from, c.until)
		}
	}
}

// TestMoments: in every zone and at every time, the moments at which a wall shows a time do show it, or are the change over it;
// none is outside of them, and later walls come no earlier.
func TestMoments(t *testing.T) {
	zones := []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "Asia/Kathmandu", "UTC", "America/St_Johns"}
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		s := schedule{zone: zone}
		at := time.Unix(rapid.Int64Range(1_500_000_000, 1_900_000_000).Draw(t, "minute")/60*60, 0)
		wall := s.wall(at)
		first, last := s.moments(wall)
		if at.Before(first) || at.After(last) || !s.wall(first).Equal(wall) || !s.wall(last).Equal(wall) {
			t.Fatalf("%s on the wall in %s: %v to %v, and it shows it at %v", wall, zone, first, last, at)
		}
		some := wall.Add(time.Duration(rapid.IntRange(-7200, 7200).Draw(t, "off")) * time.Second)
		if f, _ := s.moments(some); f.Before(first) && some.After(wall) || f.After(first) && some.Before(wall) {
			t.Fatalf("%s comes at %v, and %s at %v", some, f, wall, first)
		}
	})
}

func TestFrozen(t *testing.T) {
	p := team()
	p.Freezes = append(p.Freezes, astern.Freeze{Name: "never", Schedule: "0 0 * * 0", Zone: "UTC", LastsSeconds: 86400, Components: []string{"stock"}})
	for _, c := range []struct {
		m    Matter
		want string
	}{
		{Matter{Components: []string{"shop"}}, "weekend false"}, {Matter{Severity: "SEV-1", Components: []string{"shop"}}, "weekend false"},
		{Matter{Severity: "SEV-2", Components: []string{"shop"}}, "weekend true"}, {Matter{Severity: "SEV-4", Components: []string{"shop", "stock"}}, "weekend true, never false"},
	} {
		now, err := Frozen(p, c.m, sunday)
		var got []string
		for _, f := range now {
			got = append(got, f.Name+map[bool]string{true: " true", false: " false"}[f.Pierced])
		}
		if err != nil || strings.Join(got, ", ") != c.want {
			t.Errorf("%+v: %v, %v", c.m, got, err)
		}
	}
	if _, err := Frozen(p, Matter{Severity: "SEV-8"}, sunday); err == nil {
		t.Error("a severity that is not there pierces")
	}
}

func TestBadSchedules(t *testing.T) {
	for text, why := range map[string]string{
		"": "not understood", "0 18 * *": "not understood", "TZ=0 0 18 * * 5": "not five fields", "CRON_TZ=UTC 0 18 * * 5": "not five fields", "@daily": "not five fields",
		"61 * * * *": "not understood", "*/0 * * * *": "not understood", "0 0 30 2 *": "never begins", "* * * * *": "never ends", "0 */12 * * *": "begins anew",
		"0 0 0 0 0 0": "not understood", "99999999999999999999 * * * *": "not understood",
	} {
		f := astern.Freeze{Name: "x", Schedule: text, Zone: "UTC", LastsSeconds: 86400}
		if text == "* * * * *" {
			f.LastsSeconds = 60
		}
		s, err := parse(f)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = s.endless()
		}
		if !strings.Contains(got, why) {
			t.Errorf("%q: %s, want %s", text, got, why)
		}
	}
	for _, f := range []astern.Freeze{{Schedule: "0 0 * * 0", LastsSeconds: 60}, {Schedule: "0 0 * * 0", Zone: "Mars/Olympus", LastsSeconds: 60}, {Schedule: "0 0 * * 0", Zone: "Local", LastsSeconds: 60},
		{Schedule: "0 0 * * 0", Zone: "../../etc/passwd", LastsSeconds: 60}, {Schedule: "0 0 * * 0", Zone: "UTC"}, {Schedule: "0 0 1 1 *", Zone: "UTC", LastsSeconds: 93 * 86400}} {
		if _, err := parse(f); astern.CodeOf(err) != astern.Invalid {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

// FuzzSchedule: no schedule makes it fall over or go on for ever.
func FuzzSchedule(f *testing.F) {
	for _, s := range []string{"0 18 * * 5", "TZ=0", "*/5 1-3,7 * jan-mar MON", "0 0 29 2 *", "? ? ? ? ?", "1-0 * * * *"} {
		f.Add(s, "Europe/Berlin", int64(3600))
	}
	f.Fuzz(func(t *testing.T, text, zone string, seconds int64) {
		s, err := parse(astern.Freeze{Schedule: text, Zone: zone, LastsSeconds: seconds})
		if err != nil || s.endless() != "" {
			return
		}
		if from, until, ok := s.window(sunday); ok && (sunday.Before(from) || !sunday.Before(until)) {
			t.Fatalf("%v is not within %v to %v", sunday, from, until)
		}
	})
}
