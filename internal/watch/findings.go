package watch

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/detect"
)

// Findings returns what is known of each signal that was declared, in their order.
func (w *Watched) Findings(signals []astern.Signal) []Finding {
	p := w.panels()
	if p == nil {
		var out []Finding
		for _, s := range signals {
			out = append(out, Finding{Signal: s.Name, Verdict: Unknown, Says: "its past is not known yet"})
		}
		return out
	}
	found := p.verdicts()
	out := make([]Finding, len(signals))
	for i, s := range signals {
		if out[i] = p.finding(s, found); w.Trial == nil { // nothing new runs: the judge's words are those of a trial
			out[i].Says = strings.ReplaceAll(out[i].Says, " on the new revision", "")
		}
	}
	return out
}

// panels returns those that judge now, nil when none do.
func (w *Watched) panels() *Panels {
	if w.Trial != nil {
		return &w.Trial.Panels
	}
	return w.Quiet
}

// judged is the verdict of one panel on one signal.
type judged struct {
	detect.Verdict
	controlled, large bool
}

// verdicts are those that say most of each signal: worse beside others, worse than the worst of the past, worse than usual,
// and else what is known of the comparison that is made now.
func (p *Panels) verdicts() map[string]judged {
	out := map[string]judged{}
	now := []*detect.Panel{p.Alone, p.Beside}
	if p.Controlled {
		slices.Reverse(now)
	}
	add := func(panel *detect.Panel, onlyWorse bool, j judged) {
		if panel == nil || onlyWorse && !panel.Worse() {
			return
		}
		for _, v := range panel.Verdict().Signals {
			if _, ok := out[v.Signal]; ok || onlyWorse && v.State != detect.Worse {
				continue
			}
			j.Verdict = v
			out[v.Signal] = j
		}
	}
	add(p.Beside, true, judged{controlled: true})
	add(p.Alone, true, judged{large: true})
	add(p.Small, true, judged{})
	add(now[0], false, judged{controlled: p.Controlled})
	return out
}

func (p *Panels) finding(s astern.Signal, found map[string]judged) Finding {
	f := Finding{Signal: s.Name, Kind: s.Kind, Verdict: Unknown}
	v, ok := found[s.Name]
	if ok {
		f.Says, f.Guarantee, f.EValue = v.Sentence, v.Guarantee, v.EValue
		f.Controlled, f.Large, f.Began = v.controlled, v.large, v.Since
		if f.Controlled && p.Levels.Calibrated != "" {
			f.Guarantee = p.Levels.Calibrated
		}
		f.Harm = max(0, cmp.Or(v.Now, v.Effect)) * 100
	}
	missing := p.Missing[s.Name]
	switch {
	case ok && v.State == detect.Worse:
		f.Verdict = Worse
	case missing != "":
		f.Says = missing
	case ok && v.State == detect.NotWorse:
		f.Verdict = NotWorse
	case !ok:
		f.Says = cmp.Or(p.Cannot[s.Name], "no sample yet")
	}
	return f
}

// Healthy reports whether every signal that can be judged is known not to be worse: since the fault was noticed, where there
// is one. Of says how many those are.
func (w *Watched) Healthy(signals []astern.Signal) (healthy bool, of int) {
	p := w.panels()
	if w.After != nil {
		p = w.After
	}
	if p == nil || worse(p) {
		return false, 0
	}
	found := p.verdicts()
	for _, s := range signals {
		f := p.finding(s, found)
		if _, cannot := p.Cannot[f.Signal]; cannot && f.Verdict == Unknown {
			continue
		}
		if of++; f.Verdict != NotWorse {
			return false, of
		}
	}
	return of > 0, of
}

// Calm reports whether nothing speaks for worse, in at least that much time that was counted of every signal that can be judged,
// since the fault was noticed: less than to know that nothing is worse, where too little comes or too little is known of before.
func (w *Watched) Calm(signals []astern.Signal, least time.Duration) bool {
	p := w.panels()
	if w.After != nil {
		p = w.After
	}
	if p == nil || worse(p) {
		return false
	}
	panel := p.Alone
	if p.Controlled {
		panel = p.Beside
	}
	if panel == nil {
		return false
	}
	for _, j := range panel.Judges {
		if j.Seconds < least.Seconds() || j.Missing != "" || j.Value() > 1 {
			return false
		}
	}
	return true
}

// Present reports whether the last sample of a signal that is worse was one.
func (w *Watched) Present(signals []astern.Signal) bool {
	p := w.panels()
	if p == nil {
		return false
	}
	return slices.ContainsFunc(w.Findings(signals), func(f Finding) bool { return f.Verdict == Worse && p.Missing[f.Signal] == "" })
}

// Blind reports whether the last sample of every signal was none.
func (w *Watched) Blind(signals []astern.Signal) bool {
	p := w.panels()
	if p == nil || len(signals) == 0 {
		return false
	}
	return !slices.ContainsFunc(signals, func(s astern.Signal) bool { return p.Missing[s.Name] == "" })
}

// StillWorse returns what is worse since something was done about the fault; ok is false while nothing is known to be.
func (w *Watched) StillWorse(signals []astern.Signal) (f Finding, ok bool) {
	p := w.After
	if p == nil {
		p = w.panels()
	}
	if p == nil || !worse(p) {
		return f, false
	}
	found := p.verdicts()
	for _, s := range signals {
		if f = p.finding(s, found); f.Verdict == Worse {
			return f, true
		}
	}
	return Finding{}, false
}

// Cannot returns the signals that can't be judged, a line each.
func (w *Watched) Cannot() []string {
	var out []string
	if p := w.panels(); p != nil {
		for _, name := range slices.Sorted(maps.Keys(p.Cannot)) {
			out = append(out, name+": "+p.Cannot[name])
		}
	}
	return out
}

// judgeOf returns who makes the present comparison of a signal; nil when nobody does.
func (w *Watched) judgeOf(name string) *detect.Judge {
	p := w.panels()
	if p == nil {
		return nil
	}
	panel := p.Alone
	if p.Controlled {
		panel = p.Beside
	}
	if panel == nil {
		return nil
	}
	i := slices.IndexFunc(panel.Judges, func(j *detect.Judge) bool { return j.Rule.Name == name })
	if i < 0 {
		return nil
	}
	return panel.Judges[i]
}
