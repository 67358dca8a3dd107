package watch_test

import (
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/watch"
)

// TestSufficient: a flag is the cheaper way only where the fault may be in what it switches off; else it goes back.
func TestSufficient(t *testing.T) {
	put := func(s *watch.Situation, flags ...watch.Way) { s.Ways = append(flags, s.Ways...) }
	by := func(percent float64, w watch.Way) watch.Way {
		w.Reach = &percent
		return w
	}
	off := func(flag string, signals ...string) watch.Way {
		return watch.Way{Text: flag + " off", Seconds: 1, Signals: signals}
	}
	for name, c := range map[string]struct {
		change func(*watch.Situation)
		way    string
		// against is what is said of the first way.
		against string
	}{
		"one, and nothing is said of it": {func(s *watch.Situation) { put(s, off("express")) }, "express off", ""},
		"its signal is worse":            {func(s *watch.Situation) { put(s, off("express", "errors")) }, "express off", ""},
		"one of its signals is worse":    {func(s *watch.Situation) { put(s, off("express", "latency", "errors")) }, "express off", ""},
		"its signal is not worse": {func(s *watch.Situation) { put(s, off("express", "latency")) }, "shop back to v1",
			"the fault is not in it: latency would be worse"},
		"nothing is known of its signal": {func(s *watch.Situation) {
			s.Findings[1].Verdict, s.Findings[1].Says = watch.Unknown, "no sample for 2 min"
			put(s, off("express", "latency"))
		}, "shop back to v1", "whether the fault is in it can't be told: latency: no sample for 2 min"},
		"nobody says which of two": {func(s *watch.Situation) { put(s, off("express"), off("gifts")) }, "shop back to v1",
			"it may as well be gifts off: nothing says which of them"},
		"two show in what is worse": {func(s *watch.Situation) {
			put(s, off("express", "errors"), off("gifts", "errors"))
		}, "shop back to v1", "it may as well be gifts off"},
		"the other one is said to show in it": {func(s *watch.Situation) {
			put(s, off("express"), off("gifts", "errors"))
		}, "gifts off", "nothing says that the fault is in it, and errors, where gifts off shows, is worse"},
		"the other one is out of the question": {func(s *watch.Situation) {
			put(s, off("express"), off("gifts", "latency"))
		}, "express off", ""},
		"the other one is off already": {func(s *watch.Situation) {
			gifts := off("gifts")
			gifts.Against, gifts.Off = "gifts is disabled already", true
			put(s, off("express"), gifts)
		}, "express off", ""},
		"the other one can't be switched now": {func(s *watch.Situation) {
			gifts := off("gifts")
			gifts.Against = "a deployment is under way"
			put(s, off("express"), gifts)
		}, "shop back to v1", "it may as well be gifts off"},
		"the other one has the same name": {func(s *watch.Situation) { put(s, off("express"), off("express")) },
			"shop back to v1", "it may as well be express off"},
		"nobody can tell of the other one": {func(s *watch.Situation) {
			s.Findings[1].Verdict = watch.Unknown
			put(s, off("express"), off("gifts", "latency"))
		}, "shop back to v1", "it may as well be gifts off"},
		"nobody can tell of the other one, and this one is told": {func(s *watch.Situation) {
			s.Findings[1].Verdict = watch.Unknown
			put(s, off("express", "errors"), off("gifts", "latency"))
		}, "express off", ""},
		"nobody gets it, and it is slow": {func(s *watch.Situation) {
			s.Findings[0].Kind = astern.SignalLatency
			put(s, by(0, off("express")))
		}, "shop back to v1", "nobody gets it as it is"},
		"nobody gets the other one": {func(s *watch.Situation) {
			put(s, off("express"), by(0, off("gifts")))
		}, "express off", ""},
		"few get it, and its own signal says how bad it is": {func(s *watch.Situation) {
			s.Findings = append(s.Findings, watch.Finding{Signal: "all-errors", Kind: astern.SignalErrors, Verdict: watch.NotWorse})
			put(s, by(1, off("express", "errors")))
		}, "express off", ""},
		"few get it, and it names the one signal that counts all": {func(s *watch.Situation) {
			put(s, by(1, off("express", "errors")))
		}, "shop back to v1", "1 % get it, and errors is worse by 4.1 %"},
		"the other one is named, and is not alone in it": {func(s *watch.Situation) {
			s.Findings = append(s.Findings, watch.Finding{Signal: "gift-errors", Kind: astern.SignalErrors, Verdict: watch.Worse, Began: ago(4), Controlled: true, Harm: 80})
			put(s, off("express"), by(1, off("gifts", "gift-errors")))
		}, "shop back to v1", "nothing says that the fault is in it, and gift-errors"},
		"the other one was off before": {func(s *watch.Situation) {
			gifts := off("gifts")
			gifts.Off, gifts.Changed = true, ago(60)
			put(s, off("express"), gifts)
		}, "express off", ""},
		"few get it, and instances fail their checks": {func(s *watch.Situation) {
			s.Findings[0].Signal = watch.OwnChecks
			put(s, by(1, off("express")))
		}, "express off", ""},
		"too few get it": {func(s *watch.Situation) {
			put(s, by(2, off("express")))
		}, "shop back to v1", "2 % get it, and errors is worse by 4.1 %: off would not be enough"},
		"enough get it": {func(s *watch.Situation) {
			put(s, by(2.1, off("express")))
		}, "express off", ""},
		"how many are slow is not measured": {func(s *watch.Situation) {
			s.Findings[0].Kind = astern.SignalLatency
			put(s, by(1, off("express")))
		}, "express off", ""},
	} {
		s := bad()
		s.Findings[0].Kind, s.Findings[0].Harm = astern.SignalErrors, 4.1
		c.change(&s)
		d := watch.Judge(s).Decision
		if d.Act != astern.ActAutomatic || d.Way != c.way || !strings.Contains(d.Ways[0].Against, c.against) || (c.against == "") != (d.Ways[0].Against == "") {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// TestSwitchedMeanwhile: who switches a flag off while the fault lasts is not overtaken by another remedy, until it can be seen that it
// was none.
func TestSwitchedMeanwhile(t *testing.T) {
	none := 0.0
	for name, c := range map[string]struct {
		way watch.Way
		act astern.Act
	}{
		"just now":         {watch.Way{Text: "gifts off", Off: true, Changed: ago(3)}, astern.ActHold},
		"to none by share": {watch.Way{Text: "gifts off", Reach: &none, Changed: ago(3)}, astern.ActHold},
		"long ago":         {watch.Way{Text: "gifts off", Off: true, Changed: ago(6)}, astern.ActAutomatic},
		"just before":      {watch.Way{Text: "gifts off", Off: true, Changed: ago(9).Add(-time.Second)}, astern.ActAutomatic},
		"not off":          {watch.Way{Text: "gifts off", Changed: ago(3)}, astern.ActAutomatic},
		"nobody knows":     {watch.Way{Text: "gifts off", Off: true}, astern.ActAutomatic},
	} {
		s := bad()
		s.Findings[0].Began, s.Changes[1].At = ago(9), ago(10)
		s.Ways = append(s.Ways, c.way)
		d := watch.Judge(s).Decision
		if d.Act != c.act || c.act == astern.ActHold && !strings.Contains(d.Because, "gifts off: it was switched off at 03:09:00Z, after the fault began") {
			t.Errorf("%s: %+v", name, d)
		}
	}
}
