package config

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/astern-dev/astern"
)

// Defaults of a check.
const (
	defaultTimeout  = Duration(5 * time.Second)
	defaultInterval = Duration(time.Second)
)

// translate turns the document into the root's types, in the order of the file. It can't fail: what it is given has
// been judged, and the result of a document with problems is used for no more than finding further ones.
func (f *file) translate(doc *Document, folder string) astern.System {
	system := astern.System{Name: doc.System, Folder: folder, AllowedSigners: doc.AllowedSigners, RevokedSigners: doc.RevokedSigners,
		AuditCopy: doc.Audit.Copy, AuditCommand: doc.Audit.Command, Knowledge: doc.Knowledge}
	for _, name := range f.root.get("notify").keys() {
		system.Channels = append(system.Channels, channelOf(name, doc.Notify[name]))
	}
	for _, name := range f.root.get("environments").keys() {
		e := doc.Environments[name]
		env := astern.Environment{
			Name:       name,
			Compatible: e.Compatible,
		}
		tree := f.root.get("environments").get(name)
		env.Policy = e.Policy.policy(tree.get("policy"))
		for _, host := range tree.get("hosts").keys() {
			env.Hosts = append(env.Hosts, astern.Host{Name: host, SSH: e.Hosts[host].SSH})
		}
		for _, c := range tree.get("components").keys() {
			env.Components = append(env.Components, component(env, c, e.Components[c], tree.get("components").get(c), folder))
		}
		system.Environments = append(system.Environments, env)
	}
	return system
}

func component(env astern.Environment, name string, c Component, tree *value, folder string) astern.Component {
	out := astern.Component{
		Environment: env.Name,
		Name:        name,
		Kind:        c.Kind,
		DependsOn:   c.DependsOn,
		Settings:    settings(tree.get("with")),
		Objectives: astern.Objectives{
			RTOSeconds:   c.Objectives.RTO.seconds(),
			RPOSeconds:   c.Objectives.RPO.optional(),
			ProofSeconds: c.Objectives.Proof.seconds(),
		},
		Ready:     c.Ready,
		Validate:  c.Validate,
		Checklist: c.Checklist,
		Flags:     c.Flags,
		Hosts:     env.Hosts,
		Folder:    folder,
	}
	for _, key := range tree.get("checks").keys() {
		out.Checks = append(out.Checks, check(out.Address(), key, c.Checks[key]))
	}
	with := declaredIn(out.Settings)
	for _, key := range tree.get("signals").keys() {
		if s := c.Signals[key]; s.Alarm != nil {
			out.Alarms = append(out.Alarms, alarmOf(out.Address(), key, with, *s.Alarm))
		} else {
			out.Signals = append(out.Signals, signalOf(out.Address(), key, c.Kind, with, s))
		}
	}
	out.Logs = logsOf(c.Kind, with, c.Logs)
	return out
}

// settings returns the JSON of `with`, {} when there is none, so that drivers always have something to decode.
func settings(with *value) json.RawMessage {
	if with == nil || with.kind != object {
		return json.RawMessage("{}")
	}
	b, err := json.Marshal(with.plain())
	if err != nil { // plain returns nothing but what JSON has
		return json.RawMessage("{}")
	}
	return b
}

func check(address, name string, c Check) astern.Check {
	out := astern.Check{
		Name:            name,
		Address:         address,
		TCP:             c.TCP,
		Command:         c.Command,
		Effects:         c.Effects,
		Host:            c.Host,
		Each:            c.Each,
		Share:           c.Share,
		TimeoutSeconds:  secondsOr(c.Timeout, defaultTimeout),
		Attempts:        1,
		IntervalSeconds: secondsOr(c.Interval, defaultInterval),
	}
	if c.Attempts != nil {
		out.Attempts = *c.Attempts
	}
	if out.Effects == "" {
		out.Effects = astern.EffectsNone
		if c.Command != nil {
			out.Effects = astern.EffectsSome
		}
	}
	if h := c.HTTP; h != nil {
		out.HTTP = &astern.HTTPCheck{
			URL: h.URL, Method: h.Method, Body: h.Body, Status: h.Status,
			HeaderEquals: h.HeaderEquals, JSONEquals: h.JSONEquals, Contains: h.Contains,
		}
		for name, v := range h.Headers {
			if v.Secret != nil {
				put(&out.HTTP.SecretHeaders, name, *v.Secret)
			} else {
				put(&out.HTTP.Headers, name, v.Plain)
			}
		}
	}
	return out
}

// put sets a key of a map that may not exist yet.
func put[V any](m *map[string]V, key string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = v
}

func secondsOr(d *Duration, otherwise Duration) float64 {
	if d == nil {
		d = &otherwise
	}
	return time.Duration(*d).Seconds()
}

// askDrivers lets each driver judge the settings of its components, as far as they fit the settings' type and the hosts
// that they may name are known.
func (f *file) askDrivers(system astern.System, drivers []astern.Driver) {
	s := scope{drivers: drivers}
	taken := map[string]astern.Component{} // by kind and claim
	for _, env := range system.Environments {
		for _, c := range env.Components {
			path := join("environments", env.Name, "components", c.Name)
			d, ok := s.driver(c.Kind)
			if !ok || d.Validator == nil || f.more || f.reported[path] || f.reported[join(path, "kind")] ||
				f.broken(join(path, "with")) || f.reported[join("environments", env.Name, "hosts")] {
				continue
			}
			for _, p := range d.Validator.Validate(c) {
				at := join(path, "with")
				if p.Path != "" {
					at += "/" + p.Path
				}
				f.at(at, p.What, p.Hint)
			}
			f.occupy(taken, d, c)
		}
	}
}

// occupy reports what the component has in common with one of another environment.
func (f *file) occupy(taken map[string]astern.Component, d astern.Driver, c astern.Component) {
	if d.Occupier == nil {
		return
	}
	for _, place := range d.Occupier.Occupies(c) {
		key := c.Kind + " " + place
		other, ok := taken[key]
		if !ok {
			taken[key] = c
		} else if other.Environment != c.Environment {
			f.at(join("environments", c.Environment, "components", c.Name, "with"),
				fmt.Sprintf("%s is that of %s, too", place, other.Address()), "give each environment a place of its own")
			return
		}
	}
}
