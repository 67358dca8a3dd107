package hostservice

import (
	"context"
	"fmt"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// need is what a swap and a restart of one instance will need.
type need struct {
	name, link string
	port       string      // on which it listens, "" when that is not known
	commands   [][2]string // what for, and the first word of the command
	unit       string
	user       bool // a unit of the login's own systemd
}

// hindrance is something that was found in the way. The record is broken, risk, listens or space.
type hindrance struct{ record, name, why string }

// needs returns what the instances of a host will need. Commands that lie in the release itself are left out: the hash
// of the release covers them.
func (sp spec) needs(places []place) []need {
	out := make([]need, len(places))
	for i, p := range places {
		n := need{name: p.name, link: forInstance(sp.link, p.name)}
		if _, port, err := net.SplitHostPort(p.address); err == nil {
			if k, err := strconv.Atoi(port); err == nil && k > 0 && k <= 65535 {
				n.port = port
			}
		}
		add := func(what string, argv []string) {
			if argv == nil {
				return
			}
			name := expand(argv[:1], p, sp.Root, sp.link)[0]
			full := name
			if !path.IsAbs(full) {
				full = path.Join(sp.Root, full)
			}
			if !strings.Contains(name, "/") || !within(n.link, full) && !within(sp.releases, full) {
				n.commands = append(n.commands, [2]string{what, name})
			}
		}
		if sp.Systemd != nil {
			n.unit, n.user = forInstance(sp.Systemd.Unit, p.name), sp.Systemd.User
			add("restart", []string{"systemctl"})
		}
		if c := sp.Commands; c != nil {
			if c.Restart != nil {
				add("restart", c.Restart)
			} else {
				add("stop", c.Stop)
				add("start", c.Start)
			}
			add("see", c.Status)
			add("drain", c.Drain)
			add("undrain", c.Undrain)
		}
		out[i] = n
	}
	return out
}

// able asks by the script.
func (r scripted) able(ctx context.Context, root string, needs []need) ([]hindrance, error) {
	args := []string{root}
	for _, n := range needs {
		args = append(args, "in", n.name, n.link, n.port)
		for _, c := range n.commands {
			args = append(args, "run", c[0], c[1])
		}
		if n.unit != "" {
			args = append(args, "unit", scopeOf(n.user), n.unit)
		}
	}
	all, err := ask(ctx, r, "looking for what would hinder a restart in "+root, readTimeout, script("able", args...))
	if err != nil {
		return nil, err
	}
	out := make([]hindrance, len(all))
	for i, f := range all {
		out[i] = hindrance{f[0], f[1], oneLine(f[2])}
	}
	return out, nil
}

func scopeOf(user bool) string {
	if user {
		return "user"
	}
	return "system"
}

// What is left of a disk that is as good as full, and of one that soon will be: a swap writes a link and some lines, a
// start what the service logs. Without a free block these may still fit into the last one; without an inode no link can be made.
const (
	fullBytes, scarceBytes = 64 << 10, 16 << 20
	fullFiles, scarceFiles = 8, 64
)

// roomy judges the free blocks, their size, the free inodes and all inodes of a disk; no inodes at all means that the
// file system does not count them.
func roomy(root, space string) (h hindrance, ok bool) {
	var blocks, size, free, all uint64
	if n, err := fmt.Sscan(space, &blocks, &size, &free, &all); err != nil || n != 4 {
		return h, false
	}
	switch left := blocks * size; {
	case left < fullBytes:
		return hindrance{"risk", "", fmt.Sprintf("the disk of %s is full: %d KiB are left", root, left>>10)}, true
	case all > 0 && free < fullFiles:
		return hindrance{"broken", "", fmt.Sprintf("the disk of %s can't hold more files: %d are left", root, free)}, true
	case left < scarceBytes:
		return hindrance{"risk", "", fmt.Sprintf("the disk of %s is nearly full: %d KiB are left", root, left>>10)}, true
	case all > 0 && free < scarceFiles:
		return hindrance{"risk", "", fmt.Sprintf("the disk of %s can hold only %d more files", root, free)}, true
	}
	return h, false
}

// The words before a reason in the value of MEMBER/hindered.
const (
	hinderedBroken = "broken: "
	hinderedRisk   = "at risk: "
)

// hindered notes for each member what is in the way of a swap or a restart of it; nothing when nothing is.
func (v *hostView) hindered(found []hindrance, err error, processes []process) {
	for i, p := range v.places {
		if err != nil {
			v.unknown(p.name+"/hindered", err.Error())
			continue
		}
		var lines []string
		add := func(words, why string) {
			if line := words + oneLine(why); !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
		for _, h := range found {
			if h.record == "space" {
				var ok bool
				if h, ok = roomy(v.sp.Root, h.why); !ok {
					continue
				}
			}
			switch proc := processes[i]; {
			case h.name != "" && h.name != p.name:
			case h.record == "broken":
				add(hinderedBroken, h.why)
			case h.record == "risk":
				add(hinderedRisk, h.why)
			case h.record == "listens" && proc.identity == "" && !proc.unknown && !proc.starting:
				add(hinderedRisk, fmt.Sprintf("%s does not run, but something else listens on its port %s", p.name, h.why))
			}
		}
		if proc := processes[i]; proc.unknown && proc.why != cannotSee {
			add(hinderedRisk, "whether "+p.name+" runs can't be told, nor whether it was restarted: "+proc.why)
		}
		if len(lines) > 0 {
			v.known(p.name+"/hindered", strings.Join(lines, "\n"))
		}
	}
}

// hindrances are evidence for every target of the component: what is in the way of one is in the way of all.
func (v view) hindrances(name string, add adds) {
	told := map[string]bool{}
	places := v.onHosts[name]
	if listed, ok := v.s.Get(places[0].name + "/releases"); ok && !listed.Known() {
		return // that nothing was seen there is said once
	}
	for _, p := range places {
		if link, ok := v.s.Get(p.name + "/link"); ok && !link.Known() {
			add(astern.ReadyUnknown, link.At, "where the link of %s leads is unknown: %s", p.name, link.Unknown)
		}
		val, ok := v.s.Get(p.name + "/hindered")
		if ok && !val.Known() && !told[val.Unknown] {
			told[val.Unknown] = true
			add(astern.AtRisk, val.At, "what may hinder a restart of %s could not be asked: %s", p.name, val.Unknown)
		}
		for line := range strings.SplitSeq(val.Text, "\n") {
			r, why := astern.AtRisk, strings.TrimPrefix(line, hinderedRisk)
			if rest, ok := strings.CutPrefix(line, hinderedBroken); ok {
				r, why = astern.Broken, rest
			}
			if why != "" && !told[line] {
				told[line] = true
				add(r, val.At, "on %s: %s", name, why)
			}
		}
	}
}

// adds takes evidence; a zero time is that of the whole observation.
type adds func(r astern.Readiness, at time.Time, format string, args ...any)
