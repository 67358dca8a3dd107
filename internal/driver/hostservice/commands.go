package hostservice

import (
	"slices"
	"strings"
)

// expand replaces the placeholders of a command's arguments.
func expand(argv []string, p place, root, link string) []string {
	if argv == nil {
		return nil
	}
	if !slices.ContainsFunc(argv, func(a string) bool { return strings.Contains(a, "{") }) {
		return slices.Clone(argv) // most have none, and a replacer is costly to make
	}
	r := strings.NewReplacer("{instance}", p.name, "{address}", p.address, "{root}", root, "{link}", forInstance(link, p.name))
	out := make([]string, len(argv))
	for i, a := range argv {
		out[i] = r.Replace(a)
	}
	return out
}

// way returns how the instance's process is seen.
func (sp spec) way(p place) way {
	w := way{dir: sp.Root, env: environment(p, sp.Root, "", "")}
	switch {
	case sp.Systemd != nil:
		w.unit, w.user = forInstance(sp.Systemd.Unit, p.name), sp.Systemd.User
	case sp.Commands != nil && sp.Commands.Status != nil:
		w.status = expand(sp.Commands.Status, p, sp.Root, sp.link)
	case sp.pidFile != "":
		w.pidFile = forInstance(sp.pidFile, p.name)
	}
	return w
}

// environment returns what the user's commands are told.
func environment(p place, root, revision, token string) map[string]string {
	env := map[string]string{"ASTERN_INSTANCE": p.name, "ASTERN_ADDRESS": p.address, "ASTERN_ROOT": root}
	if revision != "" {
		env["ASTERN_REVISION"] = revision
	}
	if token != "" {
		env["ASTERN_TOKEN"] = token
	}
	return env
}
