package hostservice

import (
	"fmt"
	"math"
	"net"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// crew is whom a lane's steps are for: every member of a fleet, by the pattern {member}, or the members named.
type crew struct {
	members []place
	pattern bool
}

// subject returns how the member is written in titles and paths.
func (c crew) subject() string {
	if c.pattern {
		return "{member}"
	}
	return c.members[0].name
}

// suffix makes the ids of steps outside a fleet differ.
func (c crew) suffix() string {
	if c.pattern {
		return ""
	}
	return "-" + idOf(c.members[0].name)
}

// lane returns one member's steps.
func (j *journey) lane(c crew) []astern.Step {
	out := j.before(make([]astern.Step, 0, j.most()), c)
	if j.swap {
		out = append(out, j.swapStep(c, "swap"+c.suffix()))
	}
	return j.after(out, c)
}

// most is the most steps that a lane has.
func (j *journey) most() int {
	const most = 4 // out of traffic, the swap, the restart, and into traffic
	return most + len(j.sp.component.Ready)
}

// sharedLane returns the steps of members one after another; the link of a host is swapped with its first member.
func (j *journey) sharedLane(members []place, swapped map[string]bool) []astern.Step {
	var out []astern.Step
	for _, p := range members {
		c := crew{members: []place{p}}
		out = j.before(out, c)
		if !swapped[p.host] {
			swapped[p.host] = true
			out = append(out, j.swapStep(crew{members: on(j.sp.places, p.host)}, "swap-"+idOf(p.host)))
		}
		out = j.after(out, c)
	}
	return out
}

// before adds what comes before the swap.
func (j *journey) before(to []astern.Step, c crew) []astern.Step {
	if j.sp.Commands == nil || j.sp.Commands.Drain == nil {
		return to
	}
	return append(to, j.commandStep(c, verbDrain, "take %s out of traffic", j.sp.Commands.Drain, astern.UndoInverse))
}

// after adds what follows the swap: the restart, the checks that a member must pass, and the way back into traffic.
func (j *journey) after(to []astern.Step, c crew) []astern.Step {
	out := append(to, j.restartStep(c))
	for _, name := range j.sp.component.Ready {
		out = append(out, j.readyStep(c, name))
	}
	if j.sp.Commands != nil && j.sp.Commands.Undrain != nil {
		out = append(out, j.commandStep(c, verbUndrain, "put %s back into traffic", j.sp.Commands.Undrain, astern.UndoNone))
	}
	return out
}

// step returns a step with what all steps of the driver share: where everything is, and how a process is seen.
func (j *journey) step(c crew, id, verb string) astern.Step {
	if j.o.Sketch {
		return astern.Step{ID: id, Address: j.sp.component.Address(), Kind: Kind, Verb: verb, Undo: astern.UndoNone}
	}
	places := make([]string, len(c.members))
	for i, p := range c.members {
		places[i] = strings.TrimSpace(p.name + " " + p.host + " " + p.address)
	}
	args := map[string]astern.Arg{
		"root": astern.Text(j.sp.Root), "releases": astern.Text(j.sp.releases), "link": astern.Text(j.sp.link),
		"revision": astern.Text(j.t.Revision), "places": astern.List(places...),
		"timeout_ms": astern.Int(j.sp.timeout.Milliseconds()),
	}
	switch {
	case j.sp.Systemd != nil:
		args["unit"], args["user_unit"] = astern.Text(j.sp.Systemd.Unit), astern.Bool(j.sp.Systemd.User)
	case j.sp.Commands != nil && j.sp.Commands.Status != nil:
		args["status"] = astern.List(j.sp.Commands.Status...)
	case j.sp.pidFile != "":
		args["pid_file"] = astern.Text(j.sp.pidFile)
	}
	if !c.pattern && verb != verbSwap && verb != verbCopy {
		args["instance"] = astern.Text(c.members[0].name)
	}
	return astern.Step{ID: id, Address: j.sp.component.Address(), Kind: Kind, Verb: verb, Args: args, Undo: astern.UndoNone,
		Attempts: 3, TimeoutSeconds: seconds(2*j.sp.timeout + j.sp.uptime), SettleSeconds: j.settle(c), HoldSeconds: 60}
}

// settle is how long "not found" may be too early: a command that was sent may take a moment until it is running.
func (j *journey) settle(c crew) int64 {
	for _, p := range c.members {
		if p.host != host.Local {
			return 5
		}
	}
	return 1
}

func seconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }

func (j *journey) swapStep(c crew, id string) astern.Step {
	s := j.step(c, id, verbSwap)
	s.Estimate = astern.Estimate{MedianSeconds: 1}
	if j.o.Sketch {
		return s
	}
	if !c.pattern {
		s.Args["host"] = astern.Text(c.members[0].host)
	}
	s.Title = fmt.Sprintf("point the link of %s to %s", c.subject(), j.t.Revision)
	if !c.pattern && !j.sp.ownLinks() {
		s.Title = fmt.Sprintf("point the link on %s to %s", c.members[0].host, j.t.Revision)
	}
	s.Undo = astern.UndoInverse
	var from []string
	seen := map[string]bool{}
	for _, p := range c.members {
		link, _ := j.s.Get(p.name + "/link")
		if link.Text == "" {
			s.Undo, s.UndoBecause = astern.UndoImpossible, p.name+" had no release before, so there is none to go back to"
		}
		if !seen[link.Text] {
			seen[link.Text] = true
			from = append(from, link.Text)
		}
	}
	s.Args["from"] = astern.List(from...)
	s.Args["hash"] = astern.Text(j.hash)
	s.SettleSeconds = 0 // a late swap finds the lock's fence, or the link as it wants it
	for _, p := range c.members {
		name := p.name
		if c.pattern {
			name = "{member}"
		}
		s.Sets = append(s.Sets, astern.Set{Path: name + "/link", Value: astern.Text(j.t.Revision)})
		if c.pattern {
			break
		}
	}
	s.Command, s.Commands = j.typed(c, func(p place) string {
		link := forInstance(j.sp.link, p.name)
		return fmt.Sprintf("ln -s %s %s && mv -T %s %s", host.Quote(target(link, j.sp.releases, j.t.Revision)),
			host.Quote(link+".new"), host.Quote(link+".new"), host.Quote(link))
	})
	return s
}

// target returns the text of a link to a release: relative, so that the root may be moved.
func target(link, releases, revision string) string {
	up := ""
	for dir := path.Dir(link); ; dir = path.Dir(dir) {
		if rest, ok := strings.CutPrefix(releases+"/"+revision, strings.TrimSuffix(dir, "/")+"/"); ok {
			return up + rest
		}
		up += "../"
	}
}

func (j *journey) restartStep(c crew) astern.Step {
	s := j.step(c, "restart"+c.suffix(), verbRestart)
	s.Estimate = astern.Estimate{MedianSeconds: 1 + j.sp.uptime.Seconds()}
	if j.o.Sketch {
		return s
	}
	s.Title = fmt.Sprintf("restart %s", c.subject())
	s.Args["uptime_ms"] = astern.Int(j.sp.uptime.Milliseconds())
	if cmds := j.sp.Commands; cmds != nil {
		for name, argv := range map[string][]string{"restart": cmds.Restart, "start": cmds.Start, "stop": cmds.Stop} {
			if argv != nil && j.sp.Systemd == nil {
				s.Args[name] = astern.List(argv...)
			}
		}
	}
	s.Command, s.Commands = j.typed(c, func(p place) string {
		if j.sp.Systemd != nil {
			return host.QuoteAll(systemctl(j.sp.Systemd.User, forInstance(j.sp.Systemd.Unit, p.name))...)
		}
		if j.sp.Commands.Restart != nil {
			return j.inRoot(p, j.sp.Commands.Restart)
		}
		return j.inRoot(p, j.sp.Commands.Stop, j.sp.Commands.Start)
	})
	return s
}

func systemctl(user bool, unit string) []string {
	if user {
		return []string{"systemctl", "--user", "restart", unit}
	}
	return []string{"systemctl", "restart", unit}
}

// inRoot returns the line that runs the commands in the root, one after another, as astern does.
func (j *journey) inRoot(p place, commands ...[]string) string {
	line := "cd " + host.Quote(j.sp.Root)
	env := "ASTERN_INSTANCE=" + host.Quote(p.name) + " ASTERN_REVISION=" + host.Quote(j.t.Revision) +
		" ASTERN_ROOT=" + host.Quote(j.sp.Root) + " ASTERN_ADDRESS=" + host.Quote(p.address)
	for _, argv := range commands {
		line += " && " + env + " " + host.QuoteAll(expand(argv, p, j.sp.Root, j.sp.link)...)
	}
	return line
}

func (j *journey) commandStep(c crew, verb, title string, argv []string, undo astern.Undo) astern.Step {
	s := j.step(c, verb+c.suffix(), verb)
	s.Estimate = astern.Estimate{MedianSeconds: 2}
	if j.o.Sketch {
		return s
	}
	s.Title = fmt.Sprintf(title, c.subject())
	s.Args["command"] = astern.List(argv...)
	s.Undo = undo
	s.TimeoutSeconds = seconds(j.sp.timeout)
	s.Command, s.Commands = j.typed(c, func(p place) string { return j.inRoot(p, argv) })
	return s
}

// readyStep waits until the check passes for the member.
func (j *journey) readyStep(c crew, name string) astern.Step {
	id, check := name, astern.Check{}
	for _, k := range j.sp.component.Checks {
		if k.Name == name {
			check = k
		}
	}
	if !c.pattern && check.Each {
		id = name + "@" + c.members[0].name
	}
	s := astern.Step{ID: "ready-" + idOf(name) + c.suffix(), Address: j.sp.component.Address(), Kind: "check", Verb: "wait",
		Title: fmt.Sprintf("wait until check %s of %s passes", name, c.subject()), Args: map[string]astern.Arg{"check": astern.Text(id)},
		Undo: astern.UndoNone, Estimate: astern.Estimate{MedianSeconds: 2}, Attempts: 1,
		TimeoutSeconds: seconds(2 * j.sp.timeout), HoldSeconds: 60}
	s.Command, s.Commands = j.typedCheck(c, check)
	return s
}

// typedCheck returns what a person would type to make the check.
func (j *journey) typedCheck(c crew, k astern.Check) (string, map[string]string) {
	fill := func(p place, s string) string {
		return strings.NewReplacer("{revision}", j.t.Revision, "{member}", p.name, "{address}", p.address).Replace(s)
	}
	timeout := strconv.Itoa(int(math.Ceil(max(k.TimeoutSeconds, 1))))
	line := func(p place) string {
		switch {
		case k.HTTP != nil:
			return host.QuoteAll("curl", "--fail", "--max-time", timeout, fill(p, k.HTTP.URL))
		case k.TCP != nil:
			h, port, err := net.SplitHostPort(fill(p, k.TCP.Address))
			if err == nil {
				return host.QuoteAll("nc", "-z", "-w", timeout, h, port)
			}
		case k.Command != nil:
			words := make([]string, len(k.Command.Argv))
			for i, w := range k.Command.Argv {
				words[i] = fill(p, w)
			}
			return host.QuoteAll(words...)
		}
		return host.QuoteAll("astern", "check", j.sp.component.Name)
	}
	return c.typed(line, func(place) []string { return nil })
}

// typed returns what a person would type on this machine: the line itself, or over SSH.
func (j *journey) typed(c crew, line func(place) string) (string, map[string]string) {
	return c.typed(line, func(p place) []string { return j.sp.reach(p.host) })
}

// anyMember stands for the member while a line is quoted: a name needs no quotes, so neither shall {member}.
const anyMember = "any-member-of-the-fleet"

// typed returns the members' lines: one with {member} in it that gives most of them, and those of the others.
func (c crew) typed(line func(place) string, reach func(place) []string) (string, map[string]string) {
	type group struct {
		text  string
		names []string
	}
	var groups []group
next:
	for _, p := range c.members {
		subject := p
		if c.pattern {
			subject.name = anyMember
		}
		text := line(subject)
		if words := reach(p); words != nil {
			text = host.QuoteAll(append(words, text)...)
		}
		text = strings.ReplaceAll(text, anyMember, "{member}")
		for i := range groups {
			if groups[i].text == text {
				groups[i].names = append(groups[i].names, p.name)
				continue next
			}
		}
		groups = append(groups, group{text, []string{p.name}})
	}
	if !c.pattern {
		return groups[0].text, nil
	}
	most := 0
	for i := range groups {
		if len(groups[i].names) > len(groups[most].names) {
			most = i
		}
	}
	var others map[string]string
	for i, g := range groups {
		for _, name := range g.names {
			if i != most {
				if others == nil {
					others = map[string]string{}
				}
				others[name] = astern.MemberPath(g.text, name)
			}
		}
	}
	return groups[most].text, others
}

// copyStep copies the release to a host that lacks it.
func (j *journey) copyStep(name string) astern.Step {
	members := on(j.moving, name)
	s := j.step(crew{members: members}, "copy-"+idOf(name), verbCopy)
	s.Estimate = astern.Estimate{MedianSeconds: 10}
	if j.o.Sketch {
		return s
	}
	from := forRevision(j.sp.source, j.t.Revision)
	s.Title = fmt.Sprintf("copy %s to %s", j.t.Revision, name)
	s.Args["host"] = astern.Text(name)
	s.Args["source"], s.Args["hash"] = astern.Text(from), astern.Text(j.hash)
	s.Args["timeout_ms"] = astern.Int(10 * j.sp.timeout.Milliseconds())
	s.TimeoutSeconds = seconds(10 * j.sp.timeout)
	for _, p := range members {
		s.Sets = append(s.Sets, astern.Set{Path: p.name + "/release/" + j.t.Revision, Value: astern.Text(j.hash)})
	}
	there := "mkdir -p " + host.Quote(j.sp.releases+"/"+j.t.Revision) + " && tar -x -f - -C " + host.Quote(j.sp.releases+"/"+j.t.Revision)
	if words := j.sp.reach(name); words != nil {
		there = host.QuoteAll(append(words, there)...)
	} else {
		there = "(" + there + ")"
	}
	s.Command = "tar -c -f - -C " + host.Quote(from) + " . | " + there
	return s
}
