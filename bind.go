package astern

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// hostPort is a host name, an IPv4 address or a bracketed IPv6 address, with or without a port, and nothing that could
// end the host part of a URL.
var hostPort = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?$`)
})

// Values are what placeholders of a check stand for; an empty one has none.
type Values struct {
	Revision string // {revision}
	Member   string // {member}
	Address  string // {address}, of the member
	Version  string // {version}: what the cloud calls the revision, such as the number of a function's version
}

// Bind returns a copy of the check with its placeholders replaced in all its strings, and with Member
// set. An element of an argv stays one element. It returns an Invalid error when a placeholder is used for which no
// value is given, when a value holds a character that could change the meaning of the string it is put into, when a
// check that is made for each member gets none, and when the URL that results is none.
func (c Check) Bind(v Values) (Check, error) {
	fail := func(format string, args ...any) error {
		err := Errorf(Invalid, format, args...)
		err.Doing = "binding check " + c.Name + " of " + c.Address
		return err
	}
	switch {
	case v.Revision != "" && !ValidRevision(v.Revision):
		return c, fail("%q is not a revision name", v.Revision)
	case v.Version != "" && !ValidRevision(v.Version):
		return c, fail("%q is not a version", v.Version)
	case v.Member != "" && !ValidMember(v.Member):
		return c, fail("%q is not a member name", v.Member)
	case v.Address != "" && !validAddress(v.Address):
		return c, fail("%q is not HOST or HOST:PORT", v.Address)
	case c.Each && v.Member == "":
		return c, fail("it is made for each member, and none is given")
	}
	b := binding{values: []struct{ placeholder, value string }{
		{"{revision}", v.Revision}, {"{member}", v.Member}, {"{address}", v.Address}, {"{version}", v.Version}}}
	out := b.check(c)
	out.Member = v.Member
	if b.missing != "" {
		return c, fail("it uses %s, which has no value here", b.missing)
	}
	if out.HTTP != nil {
		if u, err := url.Parse(out.HTTP.URL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return c, fail("%q does not become a URL of the form http://HOST/PATH", c.HTTP.URL)
		}
	}
	return out, nil
}

func validAddress(s string) bool {
	m := hostPort().FindStringSubmatch(s)
	if m == nil || len(s) > 260 {
		return false
	}
	if m[1] == "" {
		return true
	}
	port, err := strconv.Atoi(m[1])
	return err == nil && port >= 1 && port <= 65535
}

// Uses reports whether a string of the check holds the placeholder.
func (c Check) Uses(placeholder string) bool {
	b := binding{values: []struct{ placeholder, value string }{{placeholder, ""}}}
	b.check(c)
	return b.missing != ""
}

// binding replaces placeholders in one pass, so that a value is never searched for placeholders itself.
type binding struct {
	values  []struct{ placeholder, value string }
	missing string // first placeholder that was used and has no value
}

func (b *binding) text(s string) string {
	var pairs []string
	for _, v := range b.values {
		if v.value == "" && strings.Contains(s, v.placeholder) && b.missing == "" {
			b.missing = v.placeholder
		}
		pairs = append(pairs, v.placeholder, v.value)
	}
	return strings.NewReplacer(pairs...).Replace(s)
}

func (b *binding) table(m map[string]string) map[string]string {
	if m == nil {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[b.text(k)] = b.text(v)
	}
	return out
}

// check returns a bound copy that shares nothing with c.
func (b *binding) check(c Check) Check {
	c.Host = b.text(c.Host)
	if c.HTTP != nil {
		h := *c.HTTP
		h.URL, h.Body, h.Contains = b.text(h.URL), b.text(h.Body), b.text(h.Contains)
		h.Headers, h.HeaderEquals, h.JSONEquals = b.table(h.Headers), b.table(h.HeaderEquals), b.table(h.JSONEquals)
		h.SecretHeaders, h.Status = maps.Clone(h.SecretHeaders), slices.Clone(h.Status)
		c.HTTP = &h
	}
	if c.TCP != nil {
		c.TCP = &TCPCheck{Address: b.text(c.TCP.Address)}
	}
	if c.Command != nil {
		cmd := CommandCheck{FailOn: slices.Clone(c.Command.FailOn), Env: b.table(c.Command.Env)}
		for _, a := range c.Command.Argv {
			cmd.Argv = append(cmd.Argv, b.text(a))
		}
		c.Command = &cmd
	}
	return c
}
