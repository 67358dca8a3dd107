package policy

import (
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // the zones, where the machine has none

	"github.com/robfig/cron/v3"

	"github.com/astern-dev/astern"
)

// longestFreeze bounds one window, and windows that follow each other without a gap.
const longestFreeze = 92 * 24 * time.Hour

// scheduleLetters are what a schedule may hold. Without "=" no zone gets in, which has a field of its own and which the
// parser reads in ways of its own (it panics on "TZ=0").
const scheduleLetters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ*,/- "

// schedule is when windows begin, by a clock on the wall. The clock is kept as UTC, which has neither summer nor winter:
// every time of the wall comes exactly once. What a change of the clock does to it is settled only when it becomes a moment
// (see begins and ends).
type schedule struct {
	next func(wall time.Time) time.Time
	zone *time.Location
	last time.Duration
}

func parse(f astern.Freeze) (schedule, error) {
	fail := func(format string, args ...any) (schedule, error) {
		return schedule{}, astern.Errorf(astern.Invalid, format, args...)
	}
	if strings.ContainsFunc(f.Schedule, func(r rune) bool { return !strings.ContainsRune(scheduleLetters, r) }) {
		return fail("the schedule %q is not five fields: minute, hour, day of the month, month, day of the week", f.Schedule)
	}
	parsed, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(f.Schedule)
	if err != nil {
		return fail("the schedule %q is not understood: %w", f.Schedule, err)
	}
	if f.Zone == "" || f.Zone == "Local" {
		return fail("a freeze needs the zone by whose clock it begins")
	}
	zone, err := time.LoadLocation(f.Zone)
	if err != nil {
		return fail("there is no zone %q", f.Zone)
	}
	last := time.Duration(f.LastsSeconds) * time.Second
	if last < time.Minute || last > longestFreeze {
		return fail("a freeze lasts between a minute and 92 days, not %s", last)
	}
	return schedule{parsed.Next, zone, last}, nil
}

// wall returns what the clock on the wall of the zone shows, as a time in UTC.
func (s schedule) wall(at time.Time) time.Time {
	l := at.In(s.zone)
	return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), l.Nanosecond(), time.UTC)
}

// moments returns the first and the last moment at which the clock on the wall shows that time. They differ when the clock is
// set back over it. When it is set forward over it, both are the moment of the change: the next time that there is.
func (s schedule) moments(wall time.Time) (first, last time.Time) {
	// Zones are at most 14 hours from UTC, and no change of the clock is as long as a day.
	lo, hi := wall.Add(-26*time.Hour), wall.Add(26*time.Hour)
	before, after := offset(lo, s.zone), offset(hi, s.zone)
	a, b := wall.Add(-before), wall.Add(-after)
	aFits, bFits := s.wall(a).Equal(wall), s.wall(b).Equal(wall)
	switch {
	case aFits && bFits && b.Before(a):
		return b.In(s.zone), a.In(s.zone)
	case aFits && bFits:
		return a.In(s.zone), b.In(s.zone)
	case aFits:
		return a.In(s.zone), a.In(s.zone)
	case bFits:
		return b.In(s.zone), b.In(s.zone)
	}
	// The wall never shows it: find the change between the two.
	for lo, hi = earlier(a, b), later(a, b); hi.Sub(lo) > time.Second; {
		mid := lo.Add(hi.Sub(lo) / 2).Truncate(time.Second)
		if !mid.After(lo) {
			break
		}
		if s.wall(mid).Before(wall) {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi.In(s.zone), hi.In(s.zone)
}

func offset(at time.Time, zone *time.Location) time.Duration {
	_, seconds := at.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// window returns the window that holds at the moment, until the end of those that follow it without a gap.
func (s schedule) window(at time.Time) (from, until time.Time, ok bool) {
	// Begin so early that no window can hold which began before; a change of the clock may shift it by hours.
	for start := s.next(s.wall(at).Add(-s.last - 26*time.Hour)); !start.IsZero(); start = s.next(start) {
		first, _ := s.moments(start)
		_, end := s.moments(start.Add(s.last))
		switch {
		case ok && first.After(until), !ok && first.After(at):
			return from, until, ok
		case ok:
			until = later(until, end)
		case at.Before(end):
			from, until, ok = first, end, true
		}
		if ok && until.Sub(from) > longestFreeze+26*time.Hour {
			return from, until, true
		}
	}
	return from, until, ok
}

// Frozen returns the freezes that hold for the matter at the moment, each with whether the matter's severity pierces it.
func Frozen(p astern.Policy, m Matter, at time.Time) ([]astern.FreezeNow, error) {
	var out []astern.FreezeNow
	for _, f := range p.Freezes {
		if len(f.Components) > 0 && len(m.Components) > 0 && !slices.ContainsFunc(m.Components, func(c string) bool { return slices.Contains(f.Components, c) }) {
			continue
		}
		s, err := parse(f)
		if err != nil {
			return nil, err
		}
		from, until, ok := s.window(at)
		if !ok {
			continue
		}
		now := astern.FreezeNow{Name: f.Name, From: from, Until: until, Zone: f.Zone, Because: f.Because}
		now.Pierced, now.Why, err = pierces(p, f, m.Severity)
		if err != nil {
			return nil, err
		}
		out = append(out, now)
	}
	return out, nil
}

// pierces says whether the severity may go through the freeze, and why.
func pierces(p astern.Policy, f astern.Freeze, severity string) (bool, string, error) {
	if f.PiercedBy == "" {
		return false, "no severity may pierce it", nil
	}
	_, from, err := Severity(p, f.PiercedBy)
	if err != nil {
		return false, "", err
	}
	switch _, rank, err := Severity(p, severity); {
	case severity == "":
		return false, f.PiercedBy + " and worse may pierce it, and the plan answers no incident", nil
	case err != nil:
		return false, "", err
	case rank < from:
		return false, f.PiercedBy + " and worse may pierce it, and " + severity + " is milder", nil
	}
	return true, f.PiercedBy + " and worse may pierce it", nil
}

// endless says what is wrong with when a freeze holds: it never does, begins anew before it ends, or never ends. It looks at
// eight years, in which every date comes, or at the first two thousand windows.
func (s schedule) endless() string {
	begin := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Add(-time.Second)
	start := s.next(begin)
	if start.IsZero() {
		return "never begins"
	}
	from := start
	for range 2_000 {
		next := s.next(start)
		if next.IsZero() || next.Year() > 2032 {
			return ""
		}
		end := start.Add(s.last)
		switch {
		case next.Before(end):
			return "begins anew before it has ended"
		case next.After(end):
			from = next
		case next.Add(s.last).Sub(from) > longestFreeze:
			return "never ends: one window follows the other without a gap"
		}
		start = next
	}
	if start.Sub(from) > start.Sub(begin)/2 { // so many windows, and hardly a gap
		return "never ends: one window follows the other without a gap"
	}
	return ""
}
