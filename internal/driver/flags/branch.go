package flags

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/astern-dev/astern"
)

// branch is one way through a flag's targeting: whom it is for, and what they get.
type branch struct {
	condition *node // nil for everybody else
	result    *node
	path      string // of the result, for jq, below the targeting
}

// lower changes the share of one branch of the targeting.
func (d *document) lower(c astern.FlagChange, f *node) (edit, error) {
	percent := 0
	if c.Percent != nil {
		percent = *c.Percent
	}
	e := edit{off: offVariant(f), title: c.String()}
	if e.off == "" {
		return edit{}, astern.Errorf(astern.Refused, "which variant of %s means off can't be told: none is false alone, and none is named off", c.Flag).
			WithHint("switch it off everywhere, or serve one variant: --serve VARIANT")
	}
	at, err := d.find(c, f, &e)
	if err != nil {
		return edit{}, err
	}
	path := d.jqFlag(c.Flag) + ".targeting" + at.path
	if users := d.references(at.result); len(users) > 0 || at.result.member("$ref") != nil {
		return edit{}, d.shared(c, f)
	}
	if at.result.kind == kindString || at.result.kind == kindOther {
		err := d.lowerPlain(c, &e, at.result, path, percent)
		return e, err
	}
	weights := at.result.member("fractional")
	if weights == nil || len(at.result.items) != 1 || weights.kind != kindList {
		return edit{}, astern.Errorf(astern.Refused, "what %s gets of %s is neither a variant nor a fractional distribution: %s",
			whom(c), c.Flag, d.quoted(at.result)).WithHint("change the file yourself, or switch the flag off everywhere")
	}
	err = d.lowerWeights(c, &e, f, weights, at.result, path, percent)
	return e, err
}

func whom(c astern.FlagChange) string {
	if c.Segment == "" {
		return "everybody"
	}
	return c.Segment
}

// quoted shows a part of the file in an error.
func (d *document) quoted(n *node) string {
	text := strings.Join(strings.Fields(string(d.text[n.start:n.end])), " ")
	if len(text) > 80 {
		text = text[:80] + "…"
	}
	return oneLine(text)
}

// shared refuses to change a rule that others use as well, and names them.
func (d *document) shared(c astern.FlagChange, f *node) error {
	rules := d.references(f.member("targeting"))
	var users []string
	for _, name := range d.names {
		if slices.ContainsFunc(d.references(d.flags[name].member("targeting")), func(r string) bool { return slices.Contains(rules, r) }) && name != c.Flag {
			users = append(users, name)
		}
	}
	others := "no other flag"
	if len(users) > 0 {
		others = strings.Join(users[:min(len(users), 12)], ", ")
	}
	return astern.Errorf(astern.Refused, "%s takes its rule from $evaluators (%s), which is used by %s as well", c.Flag,
		oneLine(strings.Join(rules, ", ")), oneLine(others)).WithHint("switch the flag off everywhere, or serve one variant: --serve VARIANT")
}

// find returns the branch that the change is about.
func (d *document) find(c astern.FlagChange, f *node, e *edit) (branch, error) {
	targeting := f.member("targeting")
	if targeting == nil || len(targeting.items) == 0 {
		return branch{}, astern.Errorf(astern.Refused, "%s has no targeting: nobody is treated apart", c.Flag).
			WithHint("switch it off everywhere, or serve one variant: --serve VARIANT")
	}
	if targeting.member("$ref") != nil {
		return branch{}, d.shared(c, f)
	}
	if c.Segment == "" {
		if targeting.member("fractional") == nil {
			return branch{}, astern.Errorf(astern.Refused, "%s does not share out all by one percentage: its targeting is %s", c.Flag, d.quoted(targeting)).
				WithHint("name the segment: --segment PROPERTY=VALUE")
		}
		return branch{result: targeting}, nil
	}
	property, value, ok := strings.Cut(c.Segment, "=")
	if !ok || property == "" || value == "" {
		return branch{}, astern.Errorf(astern.Invalid, "%q is no segment", oneLine(c.Segment)).WithHint("write PROPERTY=VALUE, such as city=berlin")
	}
	ways, err := d.branches(targeting)
	if err != nil {
		return branch{}, astern.Errorf(astern.Refused, "the targeting of %s can't be followed: %w", c.Flag, err).
			WithHint("switch it off everywhere, or serve one variant: --serve VARIANT")
	}
	var known []string
	for i, w := range ways {
		if w.condition == nil {
			continue
		}
		if isFor(w.condition, property, value) {
			if i > 0 {
				e.notes = append(e.notes, fmt.Sprintf("%s of %s asked before this one, and not changed: whom they are for keeps what he gets", count(i, "branch is", "branches are"), c.Flag))
			}
			return w, nil
		}
		if mentions(w.condition, property, value) {
			return branch{}, astern.Errorf(astern.Refused, "the branch of %s for %s is for others as well, or not for all of them: %s", c.Flag, c.Segment, d.quoted(w.condition)).
				WithHint(`give %s a branch of its own: {"==": [{"var": "%s"}, "%s"]}`, oneLine(c.Segment), oneLine(property), oneLine(value))
		}
		known = append(known, d.quoted(w.condition))
	}
	return branch{}, astern.Errorf(astern.NotFound, "%s has no branch for %s", c.Flag, oneLine(c.Segment)).
		WithHint("%s", oneLine("its branches are for "+strings.Join(known, ", ")))
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// branches lists the ways through nested ifs, the first first. JsonLogic's if takes conditions and results in turn, and
// at last what everybody else gets.
func (d *document) branches(n *node) ([]branch, error) {
	var out []branch
	path := ""
	for {
		args := n.member("if")
		if args == nil || len(n.items) != 1 || args.kind != kindList {
			return nil, fmt.Errorf("%s is no if", d.quoted(n))
		}
		i := 0
		for ; i+1 < len(args.items); i += 2 {
			out = append(out, branch{args.items[i], args.items[i+1], fmt.Sprintf("%s.if[%d]", path, i+1)})
		}
		if i == len(args.items) {
			return out, nil
		}
		last := args.items[i]
		path = fmt.Sprintf("%s.if[%d]", path, i)
		if last.member("if") == nil {
			return append(out, branch{nil, last, path}), nil
		}
		n = last
	}
}

// isVar reports whether a node is the value of that property of the context.
func isVar(n *node, property string) bool {
	v := n.member("var")
	if v == nil || len(n.items) != 1 {
		return false
	}
	if v.kind == kindList && len(v.items) == 1 {
		v = v.items[0]
	}
	return v.kind == kindString && v.text == property
}

func isValue(n *node, value string) bool {
	return n.kind != kindObject && n.kind != kindList && n.text == value
}

// isFor reports whether a condition says exactly that the property has the value.
func isFor(n *node, property, value string) bool {
	if n.kind != kindObject || len(n.items) != 1 {
		return false
	}
	args := n.items[0]
	if args.kind != kindList || len(args.items) != 2 {
		return false
	}
	a, b := args.items[0], args.items[1]
	switch n.items[0].key {
	case "==", "===":
		return isVar(a, property) && isValue(b, value) || isVar(b, property) && isValue(a, value)
	case "in": // a list of one
		return isVar(a, property) && b.kind == kindList && len(b.items) == 1 && isValue(b.items[0], value)
	}
	return false
}

// mentions reports whether a condition has anything to do with the segment: it then is not understood, but not passed
// over either.
func mentions(n *node, property, value string) bool {
	var hasProperty, hasValue, hasReference bool
	for left := []*node{n}; len(left) > 0; {
		next := left[len(left)-1]
		left = append(left[:len(left)-1], next.items...)
		hasProperty = hasProperty || isVar(next, property)
		hasValue = hasValue || isValue(next, value)
		hasReference = hasReference || next.key == "$ref"
	}
	return hasProperty && hasValue || hasReference
}

// lowerPlain changes a branch that gives one variant to all of the segment.
func (d *document) lowerPlain(c astern.FlagChange, e *edit, result *node, path string, percent int) error {
	switch {
	case result.text == e.off || result.text == "null":
		return nothing("%s does not get %s as it is", whom(c), c.Flag)
	case percent == 100:
		return nothing("all of %s get %s", whom(c), c.Flag)
	case percent > 0:
		return astern.Errorf(astern.Refused, "all of %s get %s, and nothing says how to share them out", whom(c), c.Flag).
			WithHint("take it from all of them: --percent 0")
	}
	e.splices = []splice{{result.start, result.end, encode(e.off)}}
	e.jq = path + " = " + encode(e.off)
	return nil
}

// share is one entry of a fractional distribution. A weight that is not written is 1.
type share struct {
	variant string
	entry   *node
	index   int
	weight  int64
}

// shares reads a fractional distribution; what is computed is not understood.
func (d *document) shares(f, list *node) ([]share, error) {
	var out []share
	for i, entry := range list.items {
		if i == 0 && entry.kind != kindList {
			continue // what the share is drawn by
		}
		s := share{entry: entry, index: i, weight: 1}
		if entry.kind != kindList || len(entry.items) == 0 || entry.items[0].kind != kindString || f.member("variants").member(entry.items[0].text) == nil {
			return nil, fmt.Errorf("%s is no variant with its weight", d.quoted(entry))
		}
		s.variant = entry.items[0].text
		if len(entry.items) > 1 {
			n, err := strconv.ParseInt(entry.items[1].text, 10, 32)
			if entry.items[1].kind != kindNumber || err != nil || n < 0 {
				return nil, fmt.Errorf("the weight %s is computed or no whole number", d.quoted(entry.items[1]))
			}
			s.weight = n
		}
		out = append(out, s)
	}
	return out, nil
}

// lowerWeights changes the weights of a fractional distribution so that the share of all but the off variant is the
// percentage. The order of the entries stays: whoever is still in was in before, for flagd draws by position.
func (d *document) lowerWeights(c astern.FlagChange, e *edit, f, list, whole *node, path string, percent int) error {
	refuse := func(format string, args ...any) error {
		return astern.Errorf(astern.Refused, "the share of %s in %s can't be changed: "+format, append([]any{whom(c), c.Flag}, args...)...).
			WithHint("take it from all of them: --percent 0; or switch the flag off everywhere")
	}
	all, err := d.shares(f, list)
	if err != nil && percent > 0 {
		return refuse("%w", err)
	}
	var total, off int64
	var on, offs []share
	for _, s := range all {
		total += s.weight
		if s.variant == e.off {
			off, offs = off+s.weight, append(offs, s)
		} else {
			on = append(on, s)
		}
	}
	want := int64(percent)
	switch {
	case err == nil && total == 0:
		return refuse("its weights add up to nothing")
	case err == nil && (total-off)*100 == want*total:
		return nothing("%s of %s already get %s", fmt.Sprintf("%d %%", percent), whom(c), c.Flag)
	case err == nil && (total-off)*100 < want*total:
		return refuse("%d %% is more than the %s %% that get it now", percent, strconv.FormatFloat(float64(total-off)*100/float64(total), 'f', -1, 64))
	case percent == 0 && (err != nil || len(offs) != 1): // nothing of the distribution is left
		e.splices, e.jq = []splice{{whole.start, whole.end, encode(e.off)}}, path+" = "+encode(e.off)
		return nil
	case len(offs) != 1 || len(on) != 1 && percent > 0:
		return refuse("it shares out more than one variant beside %s, or %s not once", e.off, e.off)
	}
	onWeight, offWeight := want, 100-want
	if total*want%100 == 0 {
		onWeight = total * want / 100
		offWeight = total - onWeight
	}
	path += ".fractional"
	var filters []string
	weigh := func(s share, weight int64) {
		text := strconv.FormatInt(weight, 10)
		filters = append(filters, fmt.Sprintf("%s[%d][1] = %s", path, s.index, text))
		if len(s.entry.items) > 1 {
			w := s.entry.items[1]
			e.splices = append(e.splices, splice{w.start, w.end, text})
			return
		}
		e.splices = append(e.splices, splice{s.entry.items[0].end, s.entry.items[0].end, ", " + text})
	}
	for _, s := range on {
		weigh(s, onWeight)
	}
	weigh(offs[0], offWeight)
	e.jq = strings.Join(filters, " | ")
	return nil
}
