package lab

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/astern-dev/astern"
)

// refusal is an error reply of moto.
type refusal struct {
	Status        int
	Code, Message string
}

func (r *refusal) Error() string { return r.Code + ": " + r.Message }

// ask makes a call of the lab's own to moto, for the account, region and key of c, and returns the members of the reply's
// body by the model's names. It passes neither corrections nor faults nor the journal. An error is a *refusal where moto
// refused. Of a member that is the whole body, input holds a text or bytes. XML knows neither lists nor types: in what
// comes of it all values are texts and maps, and list reads a list.
func (l *Lab) ask(ctx context.Context, service, operation string, c *Call, input map[string]any) (map[string]any, error) {
	r, err := l.send(ctx, service, operation, c, input)
	if err != nil {
		return nil, err
	}
	out, err := readBody(l.models.byName[service].Protocol, r.Body)
	if err != nil {
		return nil, astern.Errorf(astern.Internal, "asking %s:%s of moto: %w", service, operation, err)
	}
	return out, nil
}

// send is ask for those who need the reply as it is, for instance for its headers.
func (l *Lab) send(ctx context.Context, service, operation string, c *Call, input map[string]any) (Reply, error) {
	q, err := l.request(service, operation, c, input)
	if err != nil {
		return Reply{}, err
	}
	r := l.pass(ctx, q)
	if r.Status >= 300 {
		code, message := refused(q.protocol, r)
		return r, &refusal{r.Status, code, message}
	}
	return r, nil
}

// tell makes a call of a service of the lab's own, which passes the corrections: what functions say of themselves. When
// it fails nothing else does.
func (l *Lab) tell(ctx context.Context, service, operation string, c *Call, input map[string]any) {
	q, err := l.request(service, operation, c, input)
	if err != nil {
		return
	}
	l.models.identify(q)
	if o := l.overlays[q.Service+":"+q.Operation]; o != nil {
		o(ctx, q, l.pass)
		return
	}
	l.pass(ctx, q)
}

// request makes a call on behalf of c.
func (l *Lab) request(service, operation string, c *Call, input map[string]any) (*Call, error) {
	s := l.models.byName[service]
	if s == nil || s.byName[operation] == nil {
		return nil, astern.Errorf(astern.Internal, "asking %s:%s of moto: no model has it", service, operation)
	}
	q := &Call{Seq: c.Seq, Time: c.Time, Service: service, Operation: operation, Region: c.Region, AccessKey: c.AccessKey, Account: c.Account,
		Method: http.MethodPost, Path: "/", Query: url.Values{}, Header: http.Header{}, protocol: s.Protocol, host: cmp.Or(c.host, l.moto.Host)}
	q.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+cmp.Or(c.AccessKey, "lab")+"/20260101/"+cmp.Or(c.Region, homeRegion)+"/"+s.Signing+
		"/aws4_request, SignedHeaders=host, Signature=0")
	if err := s.write(q, s.byName[operation], input); err != nil {
		return nil, astern.Errorf(astern.Internal, "asking %s:%s of moto: %w", service, operation, err)
	}
	return q, nil
}

// write puts the input into a request, as the protocol of the service wants it.
func (s *service) write(q *Call, o *operation, input map[string]any) (err error) {
	switch s.Protocol {
	case "json":
		q.Header.Set("X-Amz-Target", s.Target+"."+o.Name)
		q.Header.Set("Content-Type", "application/x-amz-json-1.1")
		q.Body, err = json.Marshal(input)
		if input == nil {
			q.Body = []byte("{}")
		}
		return err
	case "query":
		form := url.Values{"Action": {o.Name}, "Version": {s.Version}}
		for name, v := range input {
			flatten(form, name, v)
		}
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		q.Body = []byte(form.Encode())
		return nil
	}
	return o.write(q, input)
}

// flatten writes a value of the query protocol.
//
// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#collections
func flatten(form url.Values, name string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			flatten(form, name+"."+k, e)
		}
	case []any:
		for i, e := range v {
			flatten(form, name+".member."+strconv.Itoa(i+1), e)
		}
	default:
		form.Set(name, fmt.Sprint(v))
	}
}

// write puts the input into a REST request.
func (o *operation) write(q *Call, input map[string]any) error {
	q.Method = o.Method
	rest := map[string]any{}
	for k, v := range input {
		rest[k] = v
	}
	take := func(member string) (any, bool) {
		v, ok := rest[member]
		delete(rest, member)
		return v, ok
	}
	var path []string
	for _, s := range o.segments {
		if !strings.HasPrefix(s, "{") {
			path = append(path, s)
			continue
		}
		name := strings.Trim(s, "{+}")
		v, ok := take(cmp.Or(o.Labels[name], name))
		if text := fmt.Sprint(v); !ok || text == "" {
			return fmt.Errorf("%s is missing", name)
		} else if strings.HasSuffix(s, "+}") {
			path = append(path, strings.ReplaceAll(url.PathEscape(text), "%2F", "/"))
		} else {
			path = append(path, url.PathEscape(text))
		}
	}
	q.Path = "/" + strings.Join(path, "/")
	for _, literal := range o.literals {
		name, value, _ := strings.Cut(literal, "=")
		q.Query.Set(name, value)
	}
	for name, member := range o.Query {
		if v, ok := take(member); ok {
			for _, e := range list(v) {
				q.Query.Add(name, fmt.Sprint(e))
			}
		}
	}
	for name, member := range o.Headers {
		if v, ok := take(member); ok {
			q.Header.Set(name, fmt.Sprint(v))
		}
	}
	return o.writeBody(q, rest)
}

func (o *operation) writeBody(q *Call, rest map[string]any) (err error) {
	if o.Payload != "" {
		switch v := rest[o.Payload].(type) {
		case string:
			q.Body = []byte(v)
			return nil
		case []byte:
			q.Body = v
			return nil
		}
		rest, _ = rest[o.Payload].(map[string]any)
	}
	switch {
	case len(rest) == 0:
		return nil
	case q.protocol == "rest-xml":
		return fmt.Errorf("%s has a body of XML, which must be given as %q", o.Name, o.Payload)
	}
	for name, member := range o.Body {
		if v, ok := rest[member]; ok {
			delete(rest, member)
			rest[name] = v
		}
	}
	q.Header.Set("Content-Type", "application/json")
	q.Body, err = json.Marshal(rest)
	return err
}

// readBody reads the members of a reply.
func readBody(protocol string, body []byte) (map[string]any, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return map[string]any{}, nil
	}
	if protocol == "json" || protocol == "rest-json" {
		var out map[string]any
		if err := json.Unmarshal(body, &out); err != nil {
			return nil, fmt.Errorf("reading the reply: %w", err)
		}
		return out, nil
	}
	v, err := readXML(xml.NewDecoder(bytes.NewReader(body)))
	if err != nil {
		return nil, fmt.Errorf("reading the reply: %w", err)
	}
	out, _ := v.(map[string]any)
	if protocol == "query" {
		for name, v := range out { // the wrapper: <DescribeStacksResult>
			if inner, ok := v.(map[string]any); ok && strings.HasSuffix(name, "Result") {
				return inner, nil
			}
		}
	}
	return out, nil
}

// readXML returns what the document's root holds.
func readXML(d *xml.Decoder) (any, error) {
	for {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		if _, ok := t.(xml.StartElement); ok {
			return element(d, 0)
		}
	}
}

// element returns what an element holds: its text, or its children by name; one that is repeated as []any.
func element(d *xml.Decoder, depth int) (any, error) {
	if depth > 100 {
		return nil, fmt.Errorf("it is nested more than 100 deep")
	}
	var text strings.Builder
	var children map[string]any
	for {
		t, err := d.Token()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.CharData:
			text.Write(t)
		case xml.EndElement:
			if children != nil {
				return children, nil
			}
			return text.String(), nil
		case xml.StartElement:
			v, err := element(d, depth+1)
			if err != nil {
				return nil, err
			}
			if children == nil {
				children = map[string]any{}
			}
			switch before := children[t.Name.Local].(type) {
			case nil:
				children[t.Name.Local] = v
			case []any:
				children[t.Name.Local] = append(before, v)
			default:
				children[t.Name.Local] = []any{before, v}
			}
		}
	}
}

// list reads a list: []any as it is, nothing and an empty element as none, anything else as a list of one. Lists of the
// query protocol and of CloudFront have a level more: list(v, "member"), list(v, "Items", "Origin").
func list(v any, within ...string) []any {
	for _, name := range within {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	case string:
		if v == "" && len(within) > 0 {
			return nil
		}
	}
	return []any{v}
}

// refused returns code and message of an error reply.
func refused(protocol string, r Reply) (code, message string) {
	if protocol == "query" || protocol == "rest-xml" {
		doc, err := readBody("", r.Body)
		if err == nil {
			if inner, ok := doc["Error"].(map[string]any); ok {
				doc = inner
			}
			code, _ = doc["Code"].(string)
			message, _ = doc["Message"].(string)
		}
	} else {
		var doc map[string]any
		_ = json.Unmarshal(r.Body, &doc) // a body that is no JSON has no code in it
		code = r.Header.Get("X-Amzn-Errortype")
		for _, name := range []string{"__type", "code", "Code"} {
			if s, ok := doc[name].(string); ok && code == "" {
				code = s
			}
		}
		for _, name := range []string{"message", "Message"} {
			if s, ok := doc[name].(string); ok && message == "" {
				message = s
			}
		}
		code = code[strings.LastIndexByte(code, '#')+1:] // a namespace may stand before, an address behind
		code, _, _ = strings.Cut(code, ":")
	}
	if code == "" {
		code = strconv.Itoa(r.Status)
	}
	return code, message
}

// names returns the keys of a table in order.
func names[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
