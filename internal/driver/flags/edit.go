package flags

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/astern-dev/astern"
)

// edit is a change of a document, ready: which bytes become what.
type edit struct {
	splices []splice
	// jq is the same as a filter that a person can type.
	jq    string
	title string
	// notes are what a person should know who reads the plan.
	notes []string
	// off is the variant that nobody but the off side gets, "" where none is named; segment is whom the change is for.
	off string
}

type splice struct {
	start, end int
	text       string
}

// change makes the change of one flag. What it does not understand it refuses: a flag that is half off is worse than one
// that is on.
func (d *document) change(c astern.FlagChange) (edit, error) {
	f, ok := d.flags[c.Flag]
	if !ok {
		return edit{}, astern.Errorf(astern.NotFound, "there is no flag %q", oneLine(c.Flag)).WithHint("%s", d.nearest())
	}
	if c.Percent != nil && (*c.Percent < 0 || *c.Percent > 100) {
		return edit{}, astern.Errorf(astern.Invalid, "%d %% is not between 0 and 100", *c.Percent)
	}
	if c.Serve != "" && (c.Segment != "" || c.Percent != nil) {
		return edit{}, astern.Errorf(astern.Invalid, "a variant for everybody has no segment and no percentage")
	}
	switch {
	case c.Serve != "":
		return d.serve(c, f)
	case c.Segment == "" && (c.Percent == nil || *c.Percent == 0):
		return d.disable(c, f)
	case f.member("state").text == "DISABLED":
		return edit{}, nothing("%s is disabled already, everywhere", c.Flag)
	}
	return d.lower(c, f)
}

// apply returns the document's text with the edit, read again and valid.
func (d *document) apply(e edit) ([]byte, error) {
	slices.SortFunc(e.splices, func(a, b splice) int { return a.start - b.start })
	var out bytes.Buffer
	at := 0
	for _, s := range e.splices {
		out.Write(d.text[at:s.start])
		out.WriteString(s.text)
		at = s.end
	}
	out.Write(d.text[at:])
	if _, err := read(out.Bytes()); err != nil {
		return nil, astern.Errorf(astern.Internal, "the changed file would not be valid: %w", err).WithHint("nothing was changed; this is a bug of astern: please report it")
	}
	return out.Bytes(), nil
}

// nothing refuses a change that would change nothing.
func nothing(format string, args ...any) error {
	return astern.Errorf(astern.Refused, "%w: "+format, append([]any{astern.ErrNothingToDo}, args...)...)
}

// nearest names the flags that there are.
func (d *document) nearest() string {
	if len(d.names) == 0 {
		return "the file holds no flag"
	}
	shown := d.names[:min(len(d.names), 12)]
	more := ""
	if len(d.names) > len(shown) {
		more = fmt.Sprintf(" and %d more", len(d.names)-len(shown))
	}
	return oneLine("the file holds " + strings.Join(shown, ", ") + more)
}

// jqFlag is the flag as a path of jq.
func (d *document) jqFlag(name string) string {
	if d.list {
		return "(.flags[] | select(.key == " + encode(name) + "))"
	}
	return ".flags[" + encode(name) + "]"
}

// encode writes a text as JSON.
func encode(s string) string {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return strings.TrimSuffix(out.String(), "\n")
}

func (d *document) disable(c astern.FlagChange, f *node) (edit, error) {
	state := f.member("state")
	if state.text == "DISABLED" {
		return edit{}, nothing("%s is disabled already", c.Flag)
	}
	return edit{splices: []splice{{state.start, state.end, `"DISABLED"`}}, jq: d.jqFlag(c.Flag) + `.state = "DISABLED"`,
		title: "disable " + c.Flag + " everywhere",
		notes: []string{"applications take the default in their own code for " + c.Flag + "; where that is not what is wanted: --serve VARIANT"}}, nil
}

// serve gives everybody one variant: it becomes the default, and the targeting is emptied.
func (d *document) serve(c astern.FlagChange, f *node) (edit, error) {
	variants := f.member("variants")
	if variants.member(c.Serve) == nil {
		var names []string
		for _, v := range variants.items {
			names = append(names, v.key)
		}
		return edit{}, astern.Errorf(astern.NotFound, "%s has no variant %q", c.Flag, oneLine(c.Serve)).WithHint("%s", oneLine("its variants are "+strings.Join(names, ", ")))
	}
	e := edit{title: fmt.Sprintf("serve %s of %s to everybody", c.Serve, c.Flag), off: c.Serve}
	var filters []string
	set := func(key, want string) {
		now := f.member(key)
		switch {
		case now == nil && key == "targeting", now != nil && string(d.text[now.start:now.end]) == want:
			return
		case now == nil: // written as the state is, and before it
			state := f.member("state")
			e.splices = append(e.splices, splice{state.keyStart, state.keyStart, encode(key) + ": " + want + "," + d.before(state)})
		default:
			e.splices = append(e.splices, splice{now.start, now.end, want})
		}
		filters = append(filters, d.jqFlag(c.Flag)+"."+key+" = "+want)
	}
	set("state", `"ENABLED"`)
	set("defaultVariant", encode(c.Serve))
	if t := f.member("targeting"); t != nil && len(t.items) > 0 {
		set("targeting", "{}")
		e.notes = []string{"the targeting of " + c.Flag + " is emptied; the state before is kept, and undo brings it back"}
	}
	if len(e.splices) == 0 {
		return edit{}, nothing("everybody gets %s of %s already", c.Serve, c.Flag)
	}
	e.jq = strings.Join(filters, " | ")
	return e, nil
}

// before returns the white space that stands before a member's key.
func (d *document) before(n *node) string {
	from := n.keyStart
	for from > 0 && strings.IndexByte(" \t\r\n", d.text[from-1]) >= 0 {
		from--
	}
	return string(d.text[from:n.keyStart])
}

// offVariant returns the flag's variant that means off: its one false, or the one that is named off.
func offVariant(f *node) string {
	var off []string
	for _, v := range f.member("variants").items {
		if v.kind == kindOther && v.text == "false" {
			off = append(off, v.key)
		}
	}
	if len(off) == 1 {
		return off[0]
	}
	if f.member("variants").member("off") != nil {
		return "off"
	}
	return ""
}
