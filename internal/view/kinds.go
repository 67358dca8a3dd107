package view

import (
	"io"
	"strings"

	"github.com/astern-dev/astern"
)

// KindsReport is the table of what each kind can do.
type KindsReport struct {
	Kinds []KindLine `json:"kinds"`
}

// KindLine is one kind: its abilities and its verbs.
type KindLine struct {
	Kind      string            `json:"kind"`
	Abilities []string          `json:"abilities"`
	Verbs     []astern.VerbInfo `json:"verbs"`
}

// MarshalJSON adds kind and version.
func (r KindsReport) MarshalJSON() ([]byte, error) {
	type plain KindsReport
	return document("Kinds", plain(r))
}

// KindOf lists the abilities of a driver: a nil one is an ability that the kind does not have.
func KindOf(d astern.Driver) KindLine {
	k := KindLine{Kind: d.Kind, Abilities: []string{}, Verbs: d.Verbs}
	for _, a := range []struct {
		has  bool
		name string
	}{{d.Observer != nil, "observe"}, {d.Router != nil, "route"}, {d.Actor != nil, "act"},
		{d.Validator != nil, "validate"}, {d.Discoverer != nil, "discover"}, {d.Permitter != nil, "permissions"}} {
		if a.has {
			k.Abilities = append(k.Abilities, a.name)
		}
	}
	return k
}

// Kinds writes each kind's abilities and a table of its verbs.
func Kinds(w io.Writer, st Style, r KindsReport) error {
	p := newPrinter(st)
	for i, k := range r.Kinds {
		if i > 0 {
			p.blank()
		}
		p.line(strong(k.Kind), "  can ", orNothing(strings.Join(k.Abilities, ", ")))
		var rows []row
		for _, v := range k.Verbs {
			undo := tx(string(v.Undo))
			if v.Undo == astern.UndoImpossible {
				undo = tx(bad("✗ impossible"))
			}
			exclusion := tx(string(v.Exclusion))
			if v.Exclusion == astern.Window {
				exclusion = tx(warn("window"))
			}
			rows = append(rows, cells(v.Verb, v.What, undo, exclusion, orDash(v.Found)))
		}
		if len(rows) > 0 {
			p.table(2, []column{{head: "VERB"}, {head: "WHAT", wrap: true}, {head: "UNDO"}, {head: "EXCLUSION"}, {head: "FOUND BY"}}, rows)
		}
	}
	if st.Verbose && len(r.Kinds) > 0 {
		p.blank()
		p.line(dim("conditional: the call itself is refused when somebody else was there; window: a small time remains between question and call. " +
			"Found by: how its effect is found after a crash."))
	}
	return p.flush(w)
}
