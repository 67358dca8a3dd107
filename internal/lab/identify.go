package lab

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// homeRegion is where calls belong that name no region.
const homeRegion = "us-east-1"

// identify fills in which operation of which service a request is, from what the protocols of AWS carry: the scope of
// the credentials, X-Amz-Target, Action, the path of RPCv2, or method, path, parameters and headers. Operation stays ""
// when no model has the request, and Service is then what it is signed for: moto serves more than the lab has models of.
//
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
// https://smithy.io/2.0/aws/protocols/index.html
func (m *modelSet) identify(c *Call) {
	signing := scope(c)
	c.Input = map[string]any{}
	if target := c.Header.Get("X-Amz-Target"); target != "" {
		c.protocol = "json"
		if dot := strings.LastIndexByte(target, '.'); dot >= 0 {
			m.named(c, signing, m.byTarget[target[:dot]], target[dot+1:])
		}
		c.readJSON(nil)
		return
	}
	if at := segments(c.Path); len(at) == 4 && at[0] == "service" && at[2] == "operation" { // RPCv2 CBOR; its body is not read
		c.protocol = "cbor"
		m.named(c, signing, m.byTarget[at[1]], at[3])
		return
	}
	if form := formOf(c); form.Get("Action") != "" {
		c.protocol = "query"
		m.queried(c, signing, form)
		return
	}
	candidates := m.bySigning[signing]
	if signing == "" { // what is not signed is a reader of a public bucket
		candidates = m.bySigning["s3"]
	}
	c.Service, c.protocol = signing, "rest-json"
	if len(candidates) > 0 {
		c.Service, c.protocol = candidates[0].Name, candidates[0].Protocol
	}
	var best *operation
	var labels map[string]string
	most := -1
	for _, s := range candidates {
		for i := range s.Operations {
			if fit, l := s.Operations[i].match(c); fit > most {
				most, best, labels, c.Service, c.protocol = fit, &s.Operations[i], l, s.Name, s.Protocol
			}
		}
	}
	if best != nil {
		c.Operation = best.Name
		best.read(c, labels)
	}
}

// named fills in an operation that the request names itself. Of a service without model only that name is known.
func (m *modelSet) named(c *Call, signing string, s *service, operation string) {
	c.Service = signing
	if s == nil {
		return
	}
	c.Service = s.Name
	if s.byName[operation] != nil {
		c.Operation = operation
	}
}

// queried fills in a call of the query protocol. AssumeRoleWithWebIdentity and its like are not signed: their version
// tells the service.
func (m *modelSet) queried(c *Call, signing string, form url.Values) {
	action := form.Get("Action")
	candidates := m.bySigning[signing]
	if signing == "" {
		for _, s := range m.byName {
			if s.Protocol == "query" && s.Version == form.Get("Version") && s.byName[action] != nil {
				candidates = append(candidates, s)
			}
		}
	}
	if len(candidates) > 0 {
		m.named(c, signing, candidates[0], action)
	} else {
		c.Service = signing
	}
	for name, values := range form {
		if name != "Action" && name != "Version" {
			c.Input[name] = values[0]
		}
	}
}

// scope reads the credentials of a request, from its header or, when it is presigned, its parameters. It returns the
// name that the service signs with.
func scope(c *Call) (signing string) {
	c.Region = homeRegion
	credential := c.Query.Get("X-Amz-Credential")
	if _, after, ok := strings.Cut(c.Header.Get("Authorization"), "Credential="); ok {
		credential, _, _ = strings.Cut(after, ",")
	}
	parts := strings.Split(strings.TrimSpace(credential), "/") // key/date/region/service/aws4_request; SigV4a has no region
	switch {
	case len(parts) >= 5:
		c.AccessKey, c.Region, signing = parts[0], parts[2], parts[3]
	case len(parts) == 4:
		c.AccessKey, signing = parts[0], parts[2]
	}
	return signing
}

// formOf is the form in the body, or in the parameters when there is no body.
func formOf(c *Call) url.Values {
	if len(c.Body) == 0 {
		return c.Query
	}
	if !strings.HasPrefix(c.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil
	}
	form, err := url.ParseQuery(string(c.Body))
	if err != nil {
		return nil
	}
	return form
}

// match returns how well a request fits, -1 for not at all, and the labels in its path. Of two that fit the path, the
// one with more parts spelled out is meant; a parameter or header that it needs counts for it, and against it when missing.
func (o *operation) match(c *Call) (fit int, labels map[string]string) {
	if o.Method != c.Method {
		return -1, nil
	}
	path := segments(c.Path)
	fit = 1000
	for i, want := range o.segments {
		switch {
		case strings.HasSuffix(want, "+}"): // takes the rest, with its slashes
			rest, ok := afterSegments(c.Path, i)
			if !ok {
				return -1, nil
			}
			labels = with(labels, want[1:len(want)-2], rest)
			path = path[:i+1]
		case i >= len(path):
			return -1, nil
		case strings.HasPrefix(want, "{"):
			if path[i] == "" {
				return -1, nil
			}
			labels = with(labels, strings.Trim(want, "{}"), path[i])
		case want != path[i]:
			return -1, nil
		default:
			fit += 100
		}
	}
	if len(path) != len(o.segments) {
		return -1, nil
	}
	for _, l := range o.literals {
		name, value, given := strings.Cut(l, "=")
		if !c.Query.Has(name) || given && c.Query.Get(name) != value {
			return -1, nil
		}
		fit += 10
	}
	for _, r := range o.Required {
		there := c.Query.Has(r[2:])
		if r[:2] == "h:" {
			there = c.Header.Get(r[2:]) != ""
		}
		if there {
			fit += 10
		} else {
			fit -= 100
		}
	}
	if o.Deprecated {
		fit--
	}
	return max(fit, 0), labels
}

// afterSegments returns what follows n segments of a path, when that is anything.
func afterSegments(path string, n int) (string, bool) {
	path = strings.TrimPrefix(path, "/")
	for range n {
		_, after, ok := strings.Cut(path, "/")
		if !ok {
			return "", false
		}
		path = after
	}
	return path, path != ""
}

func with(labels map[string]string, name, escaped string) map[string]string {
	if labels == nil {
		labels = map[string]string{}
	}
	labels[name] = escaped
	if text, err := url.PathUnescape(escaped); err == nil {
		labels[name] = text
	}
	return labels
}

// read fills in the input of a REST call.
func (o *operation) read(c *Call, labels map[string]string) {
	if c.protocol == "rest-json" && o.Payload == "" {
		c.readJSON(o.Body)
	}
	for name, text := range labels {
		if member := o.Labels[name]; member != "" {
			name = member
		}
		c.Input[name] = text
	}
	for name, member := range o.Query {
		if values := c.Query[name]; len(values) == 1 {
			c.Input[member] = values[0]
		} else if len(values) > 1 {
			var all []any
			for _, v := range values {
				all = append(all, v)
			}
			c.Input[member] = all
		}
	}
	for name, member := range o.Headers {
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			if all := headersFrom(c.Header, prefix); len(all) > 0 {
				c.Input[member] = all
			}
		} else if v := c.Header.Get(name); v != "" {
			c.Input[member] = v
		}
	}
}

func headersFrom(h http.Header, prefix string) map[string]any {
	out := map[string]any{}
	for name, values := range h {
		if rest, ok := strings.CutPrefix(strings.ToLower(name), prefix); ok {
			out[rest] = values[0]
		}
	}
	return out
}

// readJSON adds the members of a JSON body. One that is no object adds nothing: moto refuses it in its own words.
func (c *Call) readJSON(renamed map[string]string) {
	body := bytes.TrimSpace(c.Body)
	if len(body) == 0 || body[0] != '{' {
		return
	}
	var in map[string]any
	if json.Unmarshal(body, &in) != nil {
		return
	}
	for name, v := range in {
		if member := renamed[name]; member != "" {
			name = member
		}
		c.Input[name] = v
	}
}
