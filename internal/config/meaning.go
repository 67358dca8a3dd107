package config

import (
	"fmt"
	"maps"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/pattern"
)

// formatVersion is the version of astern.yaml that this astern reads.
const formatVersion = 1

// rule is what a name must be, and how to say so.
type rule struct {
	valid   func(string) bool
	letters string
}

var (
	simpleName = rule{astern.ValidName, "lower-case letters, digits and -"} // systems, environments, components
	memberName = rule{astern.ValidMember, "letters, digits and . _ -"}      // hosts, checks
)

// newer reports a file that was made for a newer astern; what else this one thinks of it would mislead.
func (f *file) newer(version int) bool {
	if version <= formatVersion {
		return false
	}
	f.problems, f.reported = nil, map[string]bool{}
	f.at("version", fmt.Sprintf("the file is made for a newer astern: its version is %d, this astern reads %d", version, formatVersion),
		"install a newer astern")
	return true
}

// judge reports what the document's values mean together: names that lead nowhere, cycles, rules that can't hold.
func (f *file) judge(doc *Document, drivers []astern.Driver) {
	if doc.Version != formatVersion {
		f.at("version", fmt.Sprintf("{} must be %d", formatVersion), fmt.Sprintf("write version: %d", formatVersion))
	}
	if !simpleName.valid(doc.System) && f.root.get("system") != nil {
		f.badName("system", doc.System, simpleName)
	}
	switch a := doc.Audit; {
	case a.Copy != "" && len(a.Command) > 0:
		f.at("audit", "{} names both copy and command", "name one second place")
	case len(a.Command) > 0 && a.Command[0] == "":
		f.at("audit/command", "{} names no program", "")
	}
	if len(doc.Environments) == 0 {
		f.at("environments", "{} names no environment", "declare one, such as production")
	}
	for i, a := range doc.Knowledge {
		f.judgeAdvice(join("knowledge", strconv.Itoa(i)), a, drivers)
	}
	for _, name := range f.root.get("notify").keys() {
		f.judgeChannel(join("notify", name), name, doc.Notify[name])
	}
	for _, name := range f.root.get("environments").keys() {
		f.judgeEnvironment(join("environments", name), name, doc.Environments[name], drivers)
	}
}

func (f *file) judgeEnvironment(path, name string, env Environment, drivers []astern.Driver) {
	f.checkName(path, name, simpleName)
	f.judgePolicy(join(path, "policy"), env.Policy)
	if first := env.Policy.First; first == name {
		f.at(join(path, "policy", "first"), "{} names its own environment", "name the one in which it is proven first")
	} else if names := f.root.get("environments").keys(); first != "" && !slices.Contains(names, first) {
		f.at(join(path, "policy", "first"), "{} names no environment: "+show(first), didYouMean(first, names, "environments"))
	}
	for host, h := range env.Hosts {
		f.checkName(join(path, "hosts", host), host, memberName)
		if h.SSH != nil {
			f.judgeSSH(join(path, "hosts", host, "ssh"), *h.SSH)
		}
	}
	if len(env.Components) == 0 {
		f.at(join(path, "components"), "{} of "+show(name)+" names no component", "")
	}
	scope := scope{
		components: slices.Sorted(maps.Keys(env.Components)),
		hosts:      slices.Sorted(maps.Keys(env.Hosts)),
		drivers:    drivers,
	}
	// A list of names that could not be read must not make each reference to it a problem of its own.
	scope.hostsKnown = !f.reported[join(path, "hosts")]
	scope.componentsKnown = !f.reported[join(path, "components")]
	for c, component := range env.Components {
		f.judgeComponent(join(path, "components", c), c, component, scope)
		f.judgeFlags(join(path, "components", c, "flags"), component, env, scope)
	}
	f.findCycles(join(path, "components"), env.Components)
	for i, rule := range env.Compatible {
		f.judgeRule(join(path, "compatible", strconv.Itoa(i)), rule, scope)
	}
}

// scope is what names in an environment may refer to.
type scope struct {
	components, hosts           []string
	componentsKnown, hostsKnown bool
	drivers                     []astern.Driver
}

func (s scope) kinds() []string {
	out := make([]string, len(s.drivers))
	for i, d := range s.drivers {
		out[i] = d.Kind
	}
	return out
}

func (s scope) driver(kind string) (astern.Driver, bool) {
	i := slices.IndexFunc(s.drivers, func(d astern.Driver) bool { return d.Kind == kind })
	if i < 0 {
		return astern.Driver{}, false
	}
	return s.drivers[i], true
}

// checkName reports a key that is no good name.
func (f *file) checkName(path, name string, r rule) {
	if !r.valid(name) {
		f.badName(path, name, r)
	}
}

func (f *file) badName(path, name string, r rule) {
	suggestion := ""
	better := strings.Trim(strings.NewReplacer("_", "-", " ", "-", ".", "-", "/", "-").Replace(strings.ToLower(name)), "-")
	if better != name && r.valid(better) {
		suggestion = fmt.Sprintf("did you mean %q?", better)
	}
	what := fmt.Sprintf("%s is no name: use at most 63 %s, and a letter or digit first", show(name), r.letters)
	if path == "system" { // a value; all other names are keys
		f.at(path, what, suggestion)
		return
	}
	f.atKey(path, what, suggestion)
}

func (f *file) judgePolicy(path string, p Policy) {
	for key, n := range map[string]int{"approvals": p.Approvals, "approvals_on_loss": p.ApprovalsOnLoss} {
		if n < 0 {
			f.at(join(path, key), fmt.Sprintf("{} can't be negative: %d", n), "write 0 for none")
		}
	}
	f.wholeSeconds(join(path, "watch"), p.Watch)
	f.wholeSeconds(join(path, "plan_age"), p.PlanAge)
	f.wholeSeconds(join(path, "approval_age"), p.ApprovalAge)
	f.wholeSeconds(join(path, "automatic", "cool_down"), p.Automatic.CoolDown)
	f.judgeLevel(join(path, "judge"), p.Judge)
	if p.BreakGlass != nil {
		f.wholeSeconds(join(path, "break_glass", "review"), p.BreakGlass.Review)
	}
	for i, s := range p.Severities {
		at := join(path, "severities", strconv.Itoa(i))
		f.wholeSeconds(join(at, "respond"), s.Respond)
		for j, r := range s.Call {
			f.wholeSeconds(join(at, "call", strconv.Itoa(j), "wait"), &r.Wait)
		}
	}
	for i, z := range p.Freezes {
		f.wholeSeconds(join(path, "freezes", strconv.Itoa(i), "lasts"), &z.Lasts)
	}
	if p.ApprovalAge != nil && *p.ApprovalAge == 0 {
		f.at(join(path, "approval_age"), "{} is 0: no approval would ever count", "leave it out for as long as the plan")
	}
	if p.PlanAge != nil && *p.PlanAge == 0 {
		f.at(join(path, "plan_age"), "{} is 0: no plan could ever be applied", "leave it out for 24h")
	}
}

func (f *file) wholeSeconds(path string, d *Duration) {
	if d != nil && !d.wholeSeconds() {
		f.at(path, "{} must be whole seconds", "")
	}
}

func (f *file) judgeSSH(path string, s astern.SSH) {
	address := s.Address
	if !strings.Contains(address, ":") || strings.Count(address, ":") > 1 && !strings.HasPrefix(address, "[") {
		address = net.JoinHostPort(strings.Trim(address, "[]"), "22")
	}
	if !goodAddress(address) {
		f.at(join(path, "address"), "{} is no host or host:port: "+show(s.Address), "")
	}
	if s.Passphrase != nil && s.KeyFile == "" {
		f.at(join(path, "passphrase"), "{} has no key_file that it opens", "")
	}
}

// goodAddress reports whether s is host:port.
func goodAddress(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || strings.ContainsAny(host, " \t\n/@'\"$`\\") || strings.HasPrefix(host, "-") {
		return false
	}
	n, err := strconv.Atoi(port)
	return err == nil && n >= 1 && n <= 65535
}

func (f *file) judgeComponent(path, name string, c Component, s scope) {
	f.checkName(path, name, simpleName)
	f.judgeKind(path, c, s)
	f.references(join(path, "depends_on"), c.DependsOn, s.components, s.componentsKnown, "component")
	for i, on := range c.DependsOn {
		if on == name {
			f.at(join(path, "depends_on", strconv.Itoa(i)), show(name)+" depends on itself", "remove it")
		}
	}
	f.wholeSeconds(join(path, "objectives", "rto"), c.Objectives.RTO)
	f.wholeSeconds(join(path, "objectives", "rpo"), c.Objectives.RPO)
	f.wholeSeconds(join(path, "objectives", "proof"), c.Objectives.Proof)
	if p := c.Objectives.Proof; p != nil && *p == 0 {
		f.at(join(path, "objectives", "proof"), "{} is 0: no proof would ever count", "leave it out for 90d")
	}

	checks, known := slices.Sorted(maps.Keys(c.Checks)), !f.reported[join(path, "checks")]
	for check, ch := range c.Checks {
		f.checkName(join(path, "checks", check), check, memberName)
		f.judgeCheck(join(path, "checks", check), ch, s)
	}
	f.references(join(path, "ready"), c.Ready, checks, known, "check")
	for i, name := range c.Ready {
		if ch, ok := c.Checks[name]; ok && (ch.Effects == "some" || ch.Effects == "" && ch.Command != nil) {
			f.at(join(path, "ready", strconv.Itoa(i)), "check "+show(name)+" has effects, and waiting makes it again and again",
				"say `effects: none` in the check if it has none, or make it part of validate only")
		}
	}
	f.references(join(path, "validate"), c.Validate, checks, known, "check")
	f.judgeChecklist(join(path, "checklist"), c.Checklist, checks, known)
	for signal, sig := range c.Signals {
		f.checkName(join(path, "signals", signal), signal, memberName)
		f.judgeSignal(join(path, "signals", signal), c.Kind, sig)
	}
	if c.Logs != nil {
		f.judgeLogs(join(path, "logs"), c.Kind, *c.Logs)
	}
}

// judgeKind looks up the kind and decodes the component's settings into the type that the kind's driver has for them.
func (f *file) judgeKind(path string, c Component, s scope) {
	if c.Kind == "" && f.reported[join(path, "kind")] {
		return
	}
	driver, ok := s.driver(c.Kind)
	if !ok {
		f.at(join(path, "kind"), "unknown kind "+show(c.Kind), didYouMean(c.Kind, s.kinds(), "kinds"))
		return
	}
	with := join(path, "with")
	v := f.locate(with)
	switch {
	case driver.Settings == nil && len(c.With) > 0:
		f.at(with, "a "+c.Kind+" takes no settings", "remove with")
	case driver.Settings == nil || f.reported[with]:
	case v.found:
		f.decode(with, v.value, newSettings(driver))
	default: // the settings' own required keys say whether they may be left out
		f.decode(with, &value{kind: object, index: map[string]int{}}, newSettings(driver))
	}
}

// newSettings returns a settable zero value of the driver's settings.
func newSettings(d astern.Driver) reflect.Value {
	t := reflect.TypeOf(d.Settings)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return reflect.New(t).Elem()
}

// references reports names that lead nowhere or stand twice.
func (f *file) references(path string, names, candidates []string, known bool, what string) {
	seen := make(map[string]bool, len(names))
	for i, n := range names {
		at := join(path, strconv.Itoa(i))
		switch {
		case n == "" && f.reported[at]:
		case seen[n]:
			f.at(at, fmt.Sprintf("%s %s stands twice", what, show(n)), "remove one")
		default:
			f.reference(at, n, candidates, known, what)
		}
		seen[n] = true
	}
}

// reference reports a name that is not among the candidates, which are sorted.
func (f *file) reference(path, name string, candidates []string, known bool, what string) {
	if _, ok := slices.BinarySearch(candidates, name); known && !ok && !f.more {
		f.at(path, fmt.Sprintf("there is no %s %s", what, show(name)), didYouMean(name, candidates, what+"s"))
	}
}

func (f *file) judgeChecklist(path string, items []astern.ChecklistItem, checks []string, known bool) {
	seen := map[string]bool{}
	for i, item := range items {
		at := join(path, strconv.Itoa(i))
		switch near := nearest(item.Item, astern.TenPoints); {
		case f.reported[at] || f.reported[join(at, "item")]:
		case item.Item == "":
			f.at(join(at, "item"), "{} is empty", "")
		case seen[item.Item]:
			f.at(join(at, "item"), "the item "+show(item.Item)+" stands twice", "remove one")
		case near != "" && near != item.Item:
			f.at(join(at, "item"), show(item.Item)+" is nearly one of the ten points", fmt.Sprintf("did you mean %q?", near))
		}
		seen[item.Item] = true
		if item.Check != "" {
			f.reference(join(at, "check"), item.Check, checks, known, "check")
		}
	}
}

// findCycles reports each cycle of depends_on once, where it closes.
func (f *file) findCycles(path string, components map[string]Component) {
	const visiting, done = 1, 2
	state := map[string]int{}
	var way []string
	var visit func(name string)
	visit = func(name string) {
		state[name], way = visiting, append(way, name)
		for i, on := range components[name].DependsOn {
			if _, ok := components[on]; !ok || on == name {
				continue
			}
			switch state[on] {
			case visiting:
				if f.more { // a way may be long
					continue
				}
				cycle := append(slices.Clone(way[slices.Index(way, on):]), on)
				if len(cycle) > 20 {
					cycle = slices.Replace(cycle, 10, len(cycle)-9, "...")
				}
				f.at(join(path, name, "depends_on", strconv.Itoa(i)),
					"components depend on each other in a cycle: "+strings.Join(cycle, " -> "), "remove one of these dependencies")
			case done:
			default:
				visit(on)
			}
		}
		state[name], way = done, way[:len(way)-1]
	}
	for _, name := range f.locate(path).value.keys() {
		if state[name] == 0 {
			visit(name)
		}
	}
}

func (f *file) judgeRule(path string, rule astern.Compatibility, s scope) {
	if rule.When.Component == rule.Needs.Component && rule.When.Component != "" {
		f.at(join(path, "needs", "component"), "a rule needs two different components", "")
	}
	for key, r := range map[string]astern.RevisionRange{"when": rule.When, "needs": rule.Needs} {
		at := join(path, key)
		if f.reported[at] {
			continue
		}
		f.reference(join(at, "component"), r.Component, s.components, s.componentsKnown, "component")
		if what, suggestion := judgeRange(r.Range); what != "" {
			f.at(join(at, "range"), what, suggestion)
		}
	}
}

func goodRevision(s string) bool { return astern.ValidRevision(s) }

var comparison = pattern.New(`^(>=|<=|>|<|=)(.*)$`)

// judgeRange says what is wrong with a range of revisions: comparisons of semantic versions that must all hold, or one
// exact revision.
func judgeRange(s string) (what, suggestion string) {
	fields := strings.Fields(s)
	if len(fields) == 0 {
		return "the range is empty", `write comparisons such as ">=v1.2.0 <v2", or an exact revision`
	}
	if len(fields) == 1 && !comparison.MatchString(s) {
		if !goodRevision(s) {
			return "the range " + show(s) + " is no revision and no comparison", `write comparisons such as ">=v1.2.0 <v2"`
		}
		return "", ""
	}
	for i, field := range fields {
		m := comparison.FindStringSubmatch(field)
		switch {
		case m == nil:
			return fmt.Sprintf("%s in the range %s is no comparison", show(field), show(s)), "write >=, >, <=, < or = before each version"
		case m[2] == "" && i+1 < len(fields):
			return "a space after " + m[1] + " in the range " + show(s), fmt.Sprintf("write %q", m[1]+fields[i+1])
		case semver.IsValid("v" + strings.TrimPrefix(m[2], "v")):
		case m[1] == "=" && goodRevision(m[2]):
		default:
			return show(m[2]) + " is no semantic version", "write versions as v1.2.3"
		}
	}
	return "", ""
}
