package view

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// plural returns "1 row", "2 rows".
func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + one + "s"
}

// count writes a number with a space between thousands.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return sign + s
}

// seconds writes a duration: "0.4 s", "48 s", "2 min 10 s", "3 h 5 min", "2 d 4 h".
func seconds(s float64) string {
	switch {
	case math.IsNaN(s) || s < 0:
		return "unknown"
	case s < 9.95 && math.Abs(s-math.Round(s)) >= 0.05:
		return strconv.FormatFloat(s, 'f', 1, 64) + " s"
	}
	n := int64(math.Round(math.Min(s, 1e12)))
	two := func(a int64, au string, b int64, bu string) string {
		if b == 0 {
			return fmt.Sprintf("%s %s", count(a), au)
		}
		return fmt.Sprintf("%s %s %d %s", count(a), au, b, bu)
	}
	switch {
	case n < 60:
		return fmt.Sprintf("%d s", n)
	case n < 3600:
		return two(n/60, "min", n%60, "s")
	case n < 86400:
		return two(n/3600, "h", n%3600/60, "min")
	}
	return two(n/86400, "d", n%86400/3600, "h")
}

// coarse writes a duration in its largest unit.
func coarse(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int64(d/time.Second))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int64(d/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int64(d/time.Hour))
	}
	return count(int64(d/(24*time.Hour))) + " d"
}

// age writes how long ago, or in how long, something is: "12 s ago", "in 3 d", "now".
func (st Style) age(t time.Time) string {
	switch d := st.Now.Sub(t); {
	case t.IsZero():
		return "-"
	case d >= time.Second:
		return coarse(d) + " ago"
	case d <= -time.Second:
		return "in " + coarse(-d)
	}
	return "now"
}

func (st Style) ageOf(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return st.age(*t)
}

// when writes a moment with its zone; clock only its time of day; date its day and time without the zone.
func (st Style) when(t time.Time) string {
	return t.In(st.Now.Location()).Format("2006-01-02 15:04:05 MST")
}

func (st Style) clock(t time.Time) string { return t.In(st.Now.Location()).Format("15:04:05") }

func (st Style) date(t time.Time) string {
	return t.In(st.Now.Location()).Format("2006-01-02 15:04:05")
}

func (st Style) zone() string { return st.Now.Format("MST") }

// estimate writes "~2 min (9 runs, 1 min 40 s to 3 min)" or "~1 min (guess)".
func estimate(e astern.Estimate) string {
	short := estimateShort(e)
	if e.Runs < 2 || e.HighSeconds <= e.LowSeconds {
		return short
	}
	return strings.TrimSuffix(short, ")") + ", " + seconds(e.LowSeconds) + " to " + seconds(e.HighSeconds) + ")"
}

// estimateShort writes the estimate without its spread.
func estimateShort(e astern.Estimate) string {
	switch {
	case e.Runs == 0 && e.MedianSeconds == 0:
		return "unknown"
	case e.Runs == 0:
		return "~" + seconds(e.MedianSeconds) + " (guess)"
	}
	return "~" + seconds(e.MedianSeconds) + " (" + plural(int64(e.Runs), "run") + ")"
}

// thenWatched adds to how long a way takes how long it is watched at its end.
func thenWatched(time string, watch int64) string {
	if watch <= 0 || time == "unknown" {
		return time
	}
	return time + " + " + seconds(float64(watch)) + " watch"
}

// lossWords writes what is lost: "nothing", or "1 204 rows, 11 min of writes".
func lossWords(loss []astern.Loss) string {
	var out []string
	for _, l := range loss {
		if l.Count != 0 {
			out = append(out, amount(l))
		}
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, ", ")
}

func amount(l astern.Loss) string {
	switch l.Unit {
	case "bytes":
		return byteSize(l.Count)
	case "seconds":
		return seconds(float64(l.Count)) + " of writes"
	}
	if l.Count == 1 {
		return "1 " + strings.TrimSuffix(l.Unit, "s")
	}
	return count(l.Count) + " " + l.Unit
}

func byteSize(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), "B"
	for _, u := range []string{"kB", "MB", "GB", "TB", "PB", "EB"} {
		if v < 999.95 {
			break
		}
		v, unit = v/1000, u
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + unit
}

// lossText writes "loses nothing" or, as a warning, "loses 1 204 rows".
func lossText(loss []astern.Loss) span {
	if w := lossWords(loss); w != "nothing" {
		return warn("loses " + w)
	}
	return span{"loses nothing", rolePlain}
}

// readiness writes symbol, word and colour. Whatever is not one of the three known words is unknown.
func readiness(r astern.Readiness) span {
	switch r {
	case astern.Ready:
		return good("✓ ready")
	case astern.AtRisk:
		return warn("! at risk")
	case astern.Broken:
		return bad("✗ broken")
	}
	return warn("? unknown")
}

// verdict writes symbol, word and colour of a check's verdict.
func verdict(v astern.Verdict) span {
	switch v {
	case astern.Pass:
		return good("✓ pass")
	case astern.Fail:
		return bad("✗ fail")
	}
	return warn("? unknown")
}

// approvals writes "none" or "2 more people".
func approvals(n int) string {
	switch n {
	case 0:
		return "none needed"
	case 1:
		return "1 other person"
	}
	return fmt.Sprintf("%d other people", n)
}

// door writes what closes a way, and when: "with the next deployment (retention keeps 5 releases)".
func (st Style) door(d astern.Door) string {
	when := ""
	switch {
	case d.At != nil && d.At.Before(st.Now):
		when = "closed " + st.age(*d.At)
	case d.At != nil:
		when = st.age(*d.At)
	case d.Deployments == 1 && d.Pushes:
		when = "with the next image pushed"
	case d.Pushes:
		when = fmt.Sprintf("after %d more images pushed", d.Deployments)
	case d.Deployments == 1:
		when = "with the next deployment"
	case d.Deployments > 1:
		when = fmt.Sprintf("after %d more deployments", d.Deployments)
	}
	switch {
	case when == "":
		return d.What
	case d.What == "":
		return when
	}
	return when + " (" + d.What + ")"
}

// short leaves out the environment of an address where it goes without saying.
func short(environment, address string) string {
	if environment == "" {
		return address
	}
	return strings.TrimPrefix(address, environment+"/")
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// list joins names, the first few of many: "a, b, c and 9 997 more".
func list(names []string, limit int) string {
	if limit <= 0 || len(names) <= limit+1 {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:limit], ", ") + " and " + count(int64(len(names)-limit)) + " more"
}
