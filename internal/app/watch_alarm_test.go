package app

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/signal/cloudwatch"
	"github.com/astern-dev/astern/internal/watch"
)

// What an alarm says of a deployment, while it is judged and while a fault lasts.
func TestAlarmsJudge(t *testing.T) {
	deployed := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	before, after := deployed.Add(-3*time.Minute), deployed.Add(time.Minute)
	for name, c := range map[string]struct {
		seen    []cloudwatch.AlarmSeen
		fault   time.Time
		verdict watch.Verdict // of the first
		healthy bool
		of      int
		says    string
	}{
		"not asked":                    {nil, time.Time{}, "", false, 2, ""},
		"OK":                           {[]cloudwatch.AlarmSeen{{State: "OK"}, {State: "OK"}}, time.Time{}, watch.NotWorse, true, 2, "is OK"},
		"went off":                     {[]cloudwatch.AlarmSeen{{State: "ALARM", Looks: time.Minute, Since: after, Reason: "7 > 5"}, {State: "OK"}}, time.Time{}, watch.Worse, false, 2, "is in ALARM since 12:01:00Z: 7 > 5"},
		"was off before":               {[]cloudwatch.AlarmSeen{{State: "ALARM", Since: before}, {State: "OK"}}, time.Time{}, watch.Unknown, false, 1, "before v2 was deployed"},
		"all were":                     {[]cloudwatch.AlarmSeen{{State: "ALARM", Since: before}, {State: "ALARM", Since: before}}, time.Time{}, watch.Unknown, false, 0, ""},
		"too little data":              {[]cloudwatch.AlarmSeen{{State: "INSUFFICIENT_DATA", Reason: "no datapoints"}, {State: "OK"}}, time.Time{}, watch.Unknown, false, 2, "too little data: no datapoints"},
		"none such":                    {[]cloudwatch.AlarmSeen{{Region: "eu-central-1"}, {State: "OK"}}, time.Time{}, watch.Unknown, false, 2, "no alarm api-errors in eu-central-1"},
		"denied":                       {[]cloudwatch.AlarmSeen{{Err: errors.New("denied")}, {State: "OK"}}, time.Time{}, watch.Unknown, false, 2, "denied"},
		"a fault, and still off":       {[]cloudwatch.AlarmSeen{{State: "ALARM", Looks: time.Minute, Since: after}, {State: "OK"}}, after, watch.Worse, false, 2, ""},
		"a fault, off a minute before": {[]cloudwatch.AlarmSeen{{State: "OK"}, {State: "ALARM", Since: deployed.Add(-time.Minute)}}, after, watch.NotWorse, false, 2, ""},
		"a fault, one off before":      {[]cloudwatch.AlarmSeen{{State: "OK"}, {State: "ALARM", Since: before}}, after, watch.NotWorse, true, 1, ""},
	} {
		x := &watched{known: watch.NewWatched("test/api"), alarms: c.seen, changedAt: deployed,
			component: astern.Component{Alarms: []astern.Alarm{{Name: "pager", Alarm: "api-errors", Harm: 7}, {Name: "other", Alarm: "api-other"}}}}
		x.known.Begin(&watch.Trial{Deployed: astern.Event{Revision: "v2", At: deployed}})
		x.known.Fault = c.fault
		found := x.alarmFindings()
		if len(found) != len(c.seen) || len(found) > 0 && (found[0].Verdict != c.verdict || !strings.Contains(found[0].Says, c.says)) {
			t.Errorf("%s: %+v", name, found)
		}
		if c.verdict == watch.Worse && (!found[0].Large || found[0].Harm != 7 || !found[0].Began.Equal(after) || found[0].Guarantee == "") {
			t.Errorf("%s: %+v", name, found[0])
		}
		if s := (cloudwatch.AlarmSeen{State: "ALARM", Looks: 5 * time.Minute, Since: after}); x.ofItself(s) {
			t.Errorf("%s: an alarm over five minutes looked at the new release alone", name)
		}
		if s := (cloudwatch.AlarmSeen{State: "ALARM", Looks: time.Minute, Since: deployed.Add(-time.Minute)}); x.before(s) || x.ofItself(s) {
			t.Errorf("%s: an alarm within the slack is neither before nor of the release itself", name)
		}
		if healthy, of := x.healthy(); healthy != c.healthy || of != c.of {
			t.Errorf("%s: healthy %v, of %d", name, healthy, of)
		}
	}
}

// An alarm that stays off after something was done about the fault tells so when it went off anew, or after it had time to look at
// what came after.
func TestAlarmsStillOff(t *testing.T) {
	done := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		since, now time.Time
		still      bool
	}{
		"just done":    {done.Add(-time.Minute), done.Add(time.Minute), false},
		"off anew":     {done.Add(time.Minute), done.Add(2 * time.Minute), true},
		"long after":   {done.Add(-time.Minute), done.Add(alarmSettles), true},
		"long before":  {done.Add(-time.Hour), done.Add(alarmSettles), false},
		"nothing done": {time.Time{}, done, false},
	} {
		x := &watched{known: watch.NewWatched("test/api"), alarms: []cloudwatch.AlarmSeen{{State: "ALARM", Since: c.since}}, changedAt: done.Add(-30 * time.Minute),
			component: astern.Component{Alarms: []astern.Alarm{{Name: "pager", Alarm: "api-errors"}}}}
		if name != "nothing done" {
			x.known.Noticed(done)
		}
		if _, still := x.stillAlarmed(c.now); still != c.still {
			t.Errorf("%s: %v", name, still)
		}
	}
}
