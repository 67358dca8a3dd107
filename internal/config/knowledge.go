package config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/astern-dev/astern"
)

// judgeAdvice reports advice that could never be followed.
func (f *file) judgeAdvice(path string, a astern.Advice, drivers []astern.Driver) {
	if !f.reported[join(path, "symptom")] && !slices.Contains(astern.Symptoms, a.Symptom) {
		f.at(join(path, "symptom"), "unknown symptom "+show(string(a.Symptom)), didYouMean(string(a.Symptom), namesOf(astern.Symptoms), "symptoms"))
	}
	if kinds := (scope{drivers: drivers}).kinds(); a.Kind != "" && !slices.Contains(kinds, a.Kind) {
		f.at(join(path, "kind"), "unknown kind "+show(a.Kind), didYouMean(a.Kind, kinds, "kinds"))
	}
	if len(a.Prefer) == 0 && !f.reported[join(path, "prefer")] {
		f.at(join(path, "prefer"), "{} names no way", "write at least one of "+strings.Join(namesOf(astern.Ways), ", "))
	}
	for i, w := range a.Prefer {
		at := join(path, "prefer", strconv.Itoa(i))
		switch {
		case f.reported[at]:
		case !slices.Contains(astern.Ways, w):
			f.at(at, "unknown way "+show(string(w)), didYouMean(string(w), namesOf(astern.Ways), "ways"))
		case slices.Contains(a.Prefer[:i], w):
			f.at(at, "the way "+show(string(w))+" stands twice", "remove one")
		}
	}
	if strings.TrimSpace(a.Because) == "" && !f.reported[join(path, "because")] {
		f.at(join(path, "because"), "{} is empty", "say why, for whoever reads the plan at night")
	}
}

// judgeFlags reports bindings of flags that lead nowhere.
func (f *file) judgeFlags(path string, c Component, env Environment, s scope) {
	for i, use := range c.Flags {
		at := join(path, strconv.Itoa(i))
		if f.reported[at] {
			continue
		}
		f.reference(join(at, "component"), use.Component, s.components, s.componentsKnown, "component")
		if holder, ok := env.Components[use.Component]; ok {
			if d, known := s.driver(holder.Kind); known && d.Switcher == nil {
				f.at(join(at, "component"), show(use.Component)+" is of kind "+holder.Kind+", which holds no flags", "name the component of kind flags")
			}
		}
		if strings.TrimSpace(use.Flag) == "" && !f.reported[join(at, "flag")] {
			f.at(join(at, "flag"), "{} is empty", "")
		}
		if slices.ContainsFunc(c.Flags[:i], func(other astern.FlagUse) bool { return other.Component == use.Component && other.Flag == use.Flag }) {
			f.at(at, "the flag "+show(use.Flag)+" stands twice", "remove one")
		}
		for k, name := range use.Signals {
			if _, ok := c.Signals[name]; !ok {
				f.at(join(at, "signals", strconv.Itoa(k)), "the component has no signal "+show(name), "name signals of the same component")
			}
		}
	}
}

func namesOf[S ~string](all []S) []string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = string(s)
	}
	return out
}
