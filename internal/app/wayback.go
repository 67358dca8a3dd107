package app

import (
	"slices"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/readiness"
)

// AtRisk returns the target that a rollback would take when it is named, where none is ready: at risk, not latched, and not
// newer than what runs; a known-good one first.
func AtRisk(targets []astern.Target, runs astern.Value) (found astern.Target, ok bool) {
	left, since, err := readiness.Leaves(targets, runs)
	if err != nil {
		return found, false
	}
	for _, t := range targets {
		if t.Current || t.Revision == left || t.Latched != "" || t.Readiness != astern.AtRisk || readiness.Later(t, since) {
			continue
		}
		if t.KnownGoodAt != nil {
			return t, true
		}
		if !ok {
			found, ok = t, true
		}
	}
	return found, ok
}

// MayHaveWay reports whether a way back may exist that nobody could see: what runs, or whether a target can be reached, is
// unknown.
func MayHaveWay(targets []astern.Target, runs astern.Value) bool {
	if !runs.Known() { // where all are broken nothing is to be hoped for: there is no such function, say
		return len(targets) == 0 || slices.ContainsFunc(targets, func(t astern.Target) bool { return t.Readiness != astern.Broken })
	}
	if _, _, err := readiness.Leaves(targets, runs); err != nil {
		return true // a person can tell what is left
	}
	for _, t := range targets {
		if !t.Current && t.Latched == "" && t.Readiness == astern.ReadyUnknown {
			return true
		}
	}
	return false
}
