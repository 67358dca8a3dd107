// Package check proves health or the lack of it: it binds declared checks to a revision and a member, runs them (HTTP,
// TCP, command) and answers with a verdict and one line of evidence, and it is the driver of the step kind "check".
//
// How an answer, or the lack of one, becomes a verdict:
//
//   - what was asked for came back: pass
//   - something else came back (a wrong status, header or body, not HTTP at all): fail
//   - the service is down (connection refused or reset) or hangs (the connection opened, then no answer in time): fail
//   - the service could not be reached or not be believed (no such name, no route, no connection in time, a TLS
//     certificate that does not verify, a command that could not be run): unknown, which is never taken for a pass
package check

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/astern-dev/astern"
)

var (
	revisionName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$`)
	memberName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	// hostPort is a host name, an IPv4 address or a bracketed IPv6 address, with or without a port, and nothing that could
	// end the host part of a URL.
	hostPort = regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?$`)
)

// Bind returns a copy of the check with {revision}, {member} and {address} replaced in all its strings, and with Member
// set. An element of an argv stays one element. It returns an Invalid error when a placeholder is used for which no
// value is given, when a value holds a character that could change the meaning of the string it is put into, when a
// check that is made for each member gets none, and when the URL that results is none.
func Bind(c astern.Check, revision, member, address string) (astern.Check, error) {
	fail := func(format string, args ...any) error {
		err := astern.Errorf(astern.Invalid, format, args...)
		err.Doing = "binding check " + c.Name + " of " + c.Address
		return err
	}
	switch {
	case revision != "" && (!revisionName.MatchString(revision) || strings.Contains(revision, "..")):
		return c, fail("%q is not a revision name", revision)
	case member != "" && !memberName.MatchString(member):
		return c, fail("%q is not a member name", member)
	case address != "" && !validAddress(address):
		return c, fail("%q is not HOST or HOST:PORT", address)
	case c.Each && member == "":
		return c, fail("it is made for each member, and none is given")
	}
	b := binding{values: []struct{ placeholder, value string }{
		{"{revision}", revision}, {"{member}", member}, {"{address}", address}}}
	out := b.check(c)
	out.Member = member
	if b.missing != "" {
		return c, fail("it uses %s, which has no value here", b.missing)
	}
	if out.HTTP != nil {
		if u, err := url.Parse(out.HTTP.URL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return c, fail("%q is not a URL of the form http://HOST/PATH", redactedURL(out.HTTP.URL))
		}
	}
	return out, nil
}

func validAddress(s string) bool {
	m := hostPort.FindStringSubmatch(s)
	if m == nil || len(s) > 260 {
		return false
	}
	if m[1] == "" {
		return true
	}
	port, err := strconv.Atoi(m[1])
	return err == nil && port >= 1 && port <= 65535
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

// url binds a URL. In its query a plus sign would be read as a space, so there a revision's is escaped.
func (b *binding) url(s string) string {
	path, query, ok := strings.Cut(s, "?")
	if !ok {
		return b.text(s)
	}
	escaped := &binding{values: slices.Clone(b.values), missing: b.missing}
	for i := range escaped.values {
		escaped.values[i].value = strings.ReplaceAll(escaped.values[i].value, "+", "%2B")
	}
	path, query = b.text(path), escaped.text(query)
	if b.missing == "" {
		b.missing = escaped.missing
	}
	return path + "?" + query
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
func (b *binding) check(c astern.Check) astern.Check {
	c.Host = b.text(c.Host)
	if c.HTTP != nil {
		h := *c.HTTP
		h.URL, h.Body, h.Contains = b.url(h.URL), b.text(h.Body), b.text(h.Contains)
		h.Headers, h.HeaderEquals, h.JSONEquals = b.table(h.Headers), b.table(h.HeaderEquals), b.table(h.JSONEquals)
		h.SecretHeaders, h.Status = maps.Clone(h.SecretHeaders), slices.Clone(h.Status)
		c.HTTP = &h
	}
	if c.TCP != nil {
		c.TCP = &astern.TCPCheck{Address: b.text(c.TCP.Address)}
	}
	if c.Command != nil {
		cmd := astern.CommandCheck{FailOn: slices.Clone(c.Command.FailOn), Env: b.table(c.Command.Env)}
		for _, a := range c.Command.Argv {
			cmd.Argv = append(cmd.Argv, b.text(a))
		}
		c.Command = &cmd
	}
	return c
}

// redactedURL returns the URL without the password it may hold.
func redactedURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "(unreadable URL)"
	}
	return u.Redacted()
}
