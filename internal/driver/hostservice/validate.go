package hostservice

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// validator is the driver's Validator.
type validator struct{}

// Validate returns every problem of the component's settings.
func (validator) Validate(c astern.Component) []astern.Problem {
	_, problems := read(c)
	return problems
}

// Occupies names the release root on each of its hosts: the lock in it keeps plans of one environment apart, and two
// environments would take each other's links for their own.
func (validator) Occupies(c astern.Component) []string {
	sp, problems := read(c)
	if len(problems) > 0 {
		return nil
	}
	var out []string
	for _, p := range sp.places {
		where := "this machine"
		if h, ok := c.Host(p.host); ok && h.SSH != nil {
			where = h.SSH.Address
		}
		if claim := sp.Root + " on " + where; !slices.Contains(out, claim) {
			out = append(out, claim)
		}
	}
	return out
}

// judge returns what is wrong with decoded settings.
func judge(sp spec) []astern.Problem {
	var out []astern.Problem
	add := func(p, hint, format string, args ...any) {
		out = append(out, astern.Problem{Path: p, What: fmt.Sprintf(format, args...), Hint: hint})
	}
	judgePaths(sp, add)
	judgeInstances(sp, add)
	judgeWays(sp, add)
	judgeLength("uptime", sp.Uptime, add)
	judgeLength("timeout", sp.Timeout, add)
	return out
}

// judgeLength refuses what a plan, which counts milliseconds, would take for none.
func judgeLength(name string, d Duration, add adder) {
	if length := time.Duration(d); length > 0 && length < time.Millisecond {
		add(name, "write 1ms or more, or leave it out", "%s is less than a millisecond", length)
	}
}

type adder func(path, hint, format string, args ...any)

func judgePaths(sp spec, add adder) {
	root := sp.Root
	if !path.IsAbs(root) {
		for _, p := range sp.places {
			if p.host != host.Local {
				add("root", "write the absolute folder on the host", "%q is relative, but %s is on another machine", root, p.name)
				break
			}
		}
		root = path.Join("/", sp.component.Folder, root)
	}
	if sp.Root == "" || !goodAbsolute(path.Clean(root)) || strings.Contains(sp.Root, "{") {
		add("root", "write a folder such as /srv/shop", "%q is no folder that can hold releases", sp.Root)
	}
	if !goodBelow(sp.Releases) || strings.Contains(sp.Releases, "{") {
		add("releases", "write a folder below the root, such as releases", "%q is no plain path below the root", sp.Releases)
	}
	if !goodBelow(sp.Link) || strings.Contains(strings.ReplaceAll(sp.Link, "{instance}", ""), "{") {
		add("link", "write a path below the root, such as current or links/{instance}", "%q is no plain path below the root", sp.Link)
	}
	if sp.Link == sp.Releases || strings.HasPrefix(sp.Link, sp.Releases+"/") {
		add("link", "put the link beside the folder of the releases", "%q lies in the folder of the releases", sp.Link)
	}
	if sp.PIDFile != "" && (!goodBelow(sp.PIDFile) || strings.Contains(strings.ReplaceAll(sp.PIDFile, "{instance}", ""), "{")) {
		add("pid_file", "write a path below the root, such as run/{instance}.pid", "%q is no plain path below the root", sp.PIDFile)
	}
	if sp.PIDFile != "" && !strings.Contains(sp.PIDFile, "{instance}") && len(hosts(sp.places)) < len(sp.places) {
		add("pid_file", "put {instance} into its name", "%q is one file for several instances of a host", sp.PIDFile)
	}
	if sp.Source != "" && (!strings.Contains(sp.Source, "{revision}") || strings.ContainsAny(sp.Source, "\x00\n*?[")) {
		add("source", "write a folder such as dist/{revision}", "%q does not hold {revision}", sp.Source)
	}
	if sp.Retention != nil && sp.Retention.Keep < 1 {
		add("retention/keep", "keep at least 1", "%d keeps nothing", sp.Retention.Keep)
	}
}

func judgeInstances(sp spec, add adder) {
	if len(sp.Instances) == 0 {
		add("instances", "name at least one: {name: shop-1}", "names no instance")
	}
	seen := map[string]string{}
	for i, in := range sp.Instances {
		at := fmt.Sprintf("instances/%d", i)
		if !goodName(in.Name) {
			add(at+"/name", "use letters, digits, dot, - and _, beginning with a letter or digit", "%q is no name of an instance", in.Name)
		}
		if in.Name == "source" {
			add(at+"/name", "give it another name", "source is where releases are copied from, and no instance")
		}
		if other, twice := seen[idOf(in.Name)]; twice {
			what := fmt.Sprintf("%q stands twice", in.Name)
			if other != in.Name {
				what = fmt.Sprintf("%q and %q are too much alike", other, in.Name)
			}
			add(at+"/name", "give each instance a name of its own", "%s", what)
		}
		seen[idOf(in.Name)] = in.Name
		if _, ok := sp.component.Host(in.Host); in.Host != "" && in.Host != host.Local && !ok {
			add(at+"/host", "declare it below hosts of the environment", "%q is no host of %s", in.Host, sp.component.Environment)
		}
		if in.Address != "" && !addressShape.MatchString(in.Address) {
			add(at+"/address", "write host:port", "%q is no address", in.Address)
		}
	}
	if h, ok := sp.component.Host(host.Local); ok && h.SSH != nil {
		add("instances", "give that host another name", "%q is the machine that astern runs on, and the environment has another host of that name", host.Local)
	}
}

func judgeWays(sp spec, add adder) {
	c := sp.Commands
	switch {
	case sp.Systemd != nil && c != nil && (c.Start != nil || c.Stop != nil || c.Restart != nil || c.Status != nil):
		add("commands", "keep systemd, or the commands start, stop, restart and status", "both systemd and commands say how an instance is restarted")
	case sp.Systemd == nil && (c == nil || c.Restart == nil && c.Start == nil):
		add("commands", "declare commands {start, stop} or {restart}, or systemd {unit}", "nothing says how an instance is restarted")
	case sp.Systemd == nil && c.Restart == nil && c.Stop == nil:
		add("commands/stop", "declare stop as well, or restart", "an instance can be started, but not stopped")
	}
	if sp.Systemd != nil {
		if !unitShape.MatchString(sp.Systemd.Unit) {
			add("systemd/unit", "write a unit's name such as shop@{instance}.service", "%q is no name of a unit", sp.Systemd.Unit)
		}
		if !strings.Contains(sp.Systemd.Unit, "{instance}") && len(hosts(sp.places)) < len(sp.places) {
			add("systemd/unit", "put {instance} into its name", "%q is one unit for several instances of a host", sp.Systemd.Unit)
		}
	}
	if c == nil {
		return
	}
	for _, named := range []struct {
		name string
		argv []string
	}{{"start", c.Start}, {"stop", c.Stop}, {"restart", c.Restart}, {"status", c.Status}, {"drain", c.Drain}, {"undrain", c.Undrain}} {
		if named.argv == nil {
			continue
		}
		if len(named.argv) == 0 || named.argv[0] == "" || strings.Contains(named.argv[0], "=") {
			add("commands/"+named.name, "write [command, argument, …]", "names no command")
		}
		for i, a := range named.argv {
			if word := unknownPlaceholder(a); word != "" {
				add(fmt.Sprintf("commands/%s/%d", named.name, i), "known are {instance}, {address}, {root} and {link}", "%s is no placeholder of a command", word)
			}
		}
	}
	if (c.Drain == nil) != (c.Undrain == nil) {
		add("commands", "declare both drain and undrain, or none", "an instance would be drained and not put back, or the reverse")
	}
}

// unknownPlaceholder returns the first {word} that is no placeholder of a command, "" when there is none.
func unknownPlaceholder(s string) string {
	for _, word := range placeholderShape.FindAllString(s, -1) {
		switch word {
		case "{instance}", "{address}", "{root}", "{link}":
		default:
			return word
		}
	}
	return ""
}

// idOf returns a name as part of a step's id.
func idOf(name string) string { return notInIDs.Replace(name) }

var notInIDs = strings.NewReplacer(".", "_", "+", "_", "@", "_")
