package config

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/pattern"
)

// judgeCheck reports what is wrong with a check as a whole and with each text of it.
func (f *file) judgeCheck(path string, c Check, s scope) {
	if f.reported[path] {
		return
	}
	var given []string
	for _, key := range []string{"http", "tcp", "command"} {
		if f.locate(join(path, key)).found {
			given = append(given, key)
		}
	}
	switch {
	case len(given) == 0:
		f.at(path, "{} says neither http nor tcp nor command", "give the check one of them")
	case len(given) > 1:
		f.at(path, "{} has several of http, tcp and command: "+strings.Join(given, ", "), "make a check of each")
	}
	if c.Effects != "" && c.Effects != astern.EffectsNone && c.Effects != astern.EffectsSome {
		f.at(join(path, "effects"), "{} must be none or some", didYouMean(string(c.Effects), []string{"none", "some"}, ""))
	}
	if c.Host != "" {
		f.reference(join(path, "host"), c.Host, s.hosts, s.hostsKnown, "host")
		if c.Command == nil && len(given) == 1 {
			f.at(join(path, "host"), "{} is for commands: http and tcp are asked from the machine that astern runs on", "remove it")
		}
	}
	if c.Timeout != nil && *c.Timeout == 0 {
		f.at(join(path, "timeout"), "{} must be more than 0", "leave it out for 5s")
	}
	if c.Attempts != nil && *c.Attempts < 1 {
		f.at(join(path, "attempts"), "{} must be at least 1", "")
	}
	for _, t := range textsOf(path, c) {
		f.judgePlaceholders(t, c.Each)
	}
	switch {
	case c.Share && c.Each:
		f.at(join(path, "share"), "{} is for checks of the whole: what is made for each member is made while a share of them bakes anyway", "remove it")
	case c.Share && !asksRevision(c):
		f.at(join(path, "share"), "{} needs {revision} or {version} in what is asked, or the answer may come from the other revision", "name it in the URL, in a header, in the body or in the command, or remove share")
	}
	if c.HTTP != nil {
		f.judgeHTTP(join(path, "http"), *c.HTTP)
	}
	if c.TCP != nil && c.TCP.Address != "" && !goodAddress(bound(c.TCP.Address, "host:1", "x")) && !goodAddress(bound(c.TCP.Address, "host", "1")) {
		f.at(join(path, "tcp", "address"), "{} is no host:port: "+show(c.TCP.Address), "")
	}
	if c.Command != nil {
		f.judgeCommand(join(path, "command"), *c.Command)
	}
}

// checkText is a string of a check that placeholders may stand in. In loose ones braces may mean something else, too.
type checkText struct {
	path, text string
	loose      bool
}

// textsOf lists the strings of a check.
func textsOf(path string, c Check) []checkText {
	var out []checkText
	add := func(text string, segments ...string) {
		out = append(out, checkText{path: join(path, segments...), text: text})
	}
	each := func(m map[string]string, segments ...string) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			add(m[k], append(slices.Clone(segments), k)...)
		}
	}
	if h := c.HTTP; h != nil {
		add(h.URL, "http", "url")
		for k, v := range h.Headers {
			add(v.Plain, "http", "headers", k)
		}
		each(h.HeaderEquals, "http", "header_equals")
		each(h.JSONEquals, "http", "json_equals")
		out = append(out, checkText{join(path, "http", "body"), h.Body, true}, checkText{join(path, "http", "contains"), h.Contains, true})
	}
	if c.TCP != nil {
		add(c.TCP.Address, "tcp", "address")
	}
	if c.Command != nil {
		for i, a := range c.Command.Argv {
			add(a, "command", "argv", strconv.Itoa(i))
		}
		each(c.Command.Env, "command", "env")
	}
	return out
}

var (
	placeholder  = pattern.New(`\$?\{[A-Za-z][A-Za-z0-9_-]*\}`)
	placeholders = []string{"revision", "member", "address", "version"}
)

// asksRevision reports whether the check's question names the revision or its version, and not only the answer that it wants.
func asksRevision(c Check) bool {
	if c.HTTP != nil {
		question := *c.HTTP
		question.HeaderEquals, question.JSONEquals, question.Contains = nil, nil, ""
		c.HTTP = &question
	}
	return slices.ContainsFunc(textsOf("", c), func(t checkText) bool {
		return strings.Contains(t.text, "{revision}") || strings.Contains(t.text, "{version}")
	})
}

// judgePlaceholders reports placeholders that nothing will be put in for. ${…} is none.
func (f *file) judgePlaceholders(t checkText, each bool) {
	for _, p := range placeholder.FindAllString(t.text, -1) {
		name := strings.Trim(p, "{}")
		switch {
		case strings.HasPrefix(p, "$"):
		case !slices.Contains(placeholders, name):
			if t.loose && nearest(name, placeholders) == "" {
				continue
			}
			suggestion := "known placeholders: {revision}, {member}, {address}, {version}; braces meant as they are take a space: { " + name + " }"
			if near := nearest(name, placeholders); near != "" {
				suggestion = fmt.Sprintf("did you mean {%s}?", near)
			} else if name == "instance" {
				suggestion = "did you mean {member}?"
			}
			f.at(t.path, "unknown placeholder "+p, suggestion)
		case name == "version" && each:
			f.at(t.path, p+" is what the cloud calls the revision of the whole", "make the check once, not for each member")
		case name != "revision" && name != "version" && !each:
			f.at(t.path, p+" is known only in a check that is made for each member", "add each: true")
		}
	}
}

// bound puts in something for each placeholder: address for {address}, other for the rest.
func bound(s, address, other string) string {
	return placeholder.ReplaceAllStringFunc(s, func(p string) string {
		if p == "{address}" {
			return address
		}
		return other
	})
}

var (
	headerName = pattern.New("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
	method     = pattern.New(`^[A-Z]+$`)
	user       = pattern.New(`//[^/]*@`) // a name, and perhaps a password, in a URL
)

func (f *file) judgeHTTP(path string, h HTTP) {
	if user.MatchString(h.URL) {
		f.hide(f.locate(join(path, "url")).value)
	}
	switch u, err := url.Parse(bound(h.URL, "host", "1")); {
	case f.reported[join(path, "url")]:
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		f.at(join(path, "url"), "{} must be a URL that begins with http:// or https://", "")
	case u.User != nil:
		f.at(join(path, "url"), "{} holds a user name: it would be shown with every result",
			"send it as a header: {Authorization: {env: NAME}}")
	}
	if h.Method != "" && !method.MatchString(h.Method) {
		f.at(join(path, "method"), "{} must be an HTTP method in capitals", didYouMean(h.Method, []string{"GET", "HEAD", "POST", "PUT", "DELETE"}, ""))
	}
	for i, code := range h.Status {
		if at := join(path, "status", strconv.Itoa(i)); code < 100 || code > 599 {
			f.at(at, "{} must be a status code from 100 to 599", "")
		}
	}
	for name, v := range h.Headers {
		at := join(path, "headers", name)
		if !headerName.MatchString(name) {
			f.atKey(at, show(name)+" is no name of a header", "")
		} else if strings.ContainsAny(v.Plain, "\r\n\x00") {
			f.atKey(at, "the value of "+show(name)+" holds a line break", "")
		}
	}
}

func (f *file) judgeCommand(path string, c astern.CommandCheck) {
	if argv := join(path, "argv"); !f.broken(argv) {
		if len(c.Argv) == 0 || c.Argv[0] == "" {
			f.at(argv, "{} names no command", "write a list: [./smoke.sh, --fast]")
		}
	}
	for i, code := range c.FailOn {
		if code < 1 || code > 255 {
			f.at(join(path, "fail_on", strconv.Itoa(i)), "{} must be an exit code from 1 to 255", "")
		}
	}
	for name := range c.Env {
		if !variable.MatchString(name) {
			f.atKey(join(path, "env", name), show(name)+" is not the name of an environment variable", "")
		}
	}
}
