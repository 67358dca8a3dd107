package awslaw

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/astern-dev/astern/internal/drivertest"
	"github.com/astern-dev/astern/internal/pattern"
)

// Asked returns the requests that were sent since it was last called, by whichever test has the accounts: for
// drivertest.Suite.HostileTexts.
func (l *Law) Asked(testing.TB) []drivertest.Asked {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.sent
	l.sent = nil
	return out
}

// sending notes each request as it goes out, with all that the SDK has made of its input. One whose body can't be noted does not go out.
func (l *Law) sending(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("Sending",
		func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
			if r, ok := in.Request.(*smithyhttp.Request); ok {
				asked, err := askedBy(awsmiddleware.GetServiceID(ctx)+":"+awsmiddleware.GetOperationName(ctx), r)
				if err != nil {
					return middleware.DeserializeOutput{}, middleware.Metadata{}, fmt.Errorf("noting what is sent: %w", err)
				}
				l.mu.Lock()
				l.sent = append(l.sent, asked)
				l.mu.Unlock()
			}
			return next.HandleDeserialize(ctx, in)
		}), middleware.After)
}

// payloads are the operations whose body is what a user keeps, in whatever form: data as a whole.
var payloads = map[string]bool{"S3:PutObject": true, "S3:UploadPart": true, "AppConfig:CreateHostedConfigurationVersion": true, "Lambda:Invoke": true}

// named are the members of bodies whose own members are named by data.
var named = map[string]bool{"AdditionalVersionWeights": true}

// Headers whose values differ from request to request by themselves, or follow from the rest of it.
var (
	unread         = map[string]bool{"Authorization": true, "Date": true, "User-Agent": true, "Content-Length": true, "Content-Md5": true}
	unreadPrefixes = []string{"Amz-Sdk-", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-User-Agent", "X-Amz-Content-Sha256", "X-Amz-Checksum-"}
)

// copySource names an object in a header as a path does.
const copySource = "X-Amz-Copy-Source"

// askedBy takes a request apart into what no text may change and what it carries.
func askedBy(operation string, r *smithyhttp.Request) (drivertest.Asked, error) {
	body, err := bodyOf(r)
	if err != nil {
		return drivertest.Asked{}, err
	}
	segments := segmentsOf(r.URL.EscapedPath())
	query := r.URL.Query()
	headers := slices.Sorted(maps.Keys(r.Header))
	names := slices.DeleteFunc(slices.Clone(headers), func(name string) bool { return name == "Content-Length" })
	a := parts{data: segments, paths: map[string]bool{}}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		a.data = append(a.data, query[name]...)
	}
	for _, name := range headers {
		switch {
		case unread[name] || slices.ContainsFunc(unreadPrefixes, func(p string) bool { return strings.HasPrefix(name, p) }):
		case name == copySource:
			a.source(r.Header[name])
		default:
			a.data = append(a.data, r.Header[name]...)
		}
	}
	a.body(operation, http.Header(r.Header).Get("Content-Type"), body)
	return drivertest.Asked{Data: a.data, Paths: slices.Sorted(maps.Keys(a.paths)),
		Shape: fmt.Sprint(operation, " ", r.Method, " ", r.URL.Hostname(), " ", len(segments), " ", slices.Sorted(maps.Keys(query)), names, r.URL.Fragment)}, nil
}

// segmentsOf returns the segments of an escaped path, as the cloud reads them.
func segmentsOf(escaped string) []string {
	segments := strings.Split(strings.TrimPrefix(escaped, "/"), "/")
	for i, s := range segments {
		if text, err := url.PathUnescape(s); err == nil {
			segments[i] = text
		}
	}
	return segments
}

// bodyOf reads the body, and leaves the request as it is.
func bodyOf(r *smithyhttp.Request) ([]byte, error) {
	stream := r.GetStream()
	if stream == nil {
		return nil, nil
	}
	if !r.IsStreamSeekable() {
		return nil, errors.New("the body can't be read twice")
	}
	text, err := io.ReadAll(stream)
	if err != nil {
		return nil, fmt.Errorf("reading the body: %w", err)
	}
	if err := r.RewindStream(); err != nil {
		return nil, fmt.Errorf("rewinding the body: %w", err)
	}
	return text, nil
}

// parts are those of one request: where its body has something, without the places in lists, and all that it carries.
type parts struct {
	paths map[string]bool
	data  []string
}

// source adds what an object is copied from.
func (a *parts) source(values []string) {
	for _, value := range values {
		path, query, _ := strings.Cut(value, "?")
		segments := segmentsOf(path)
		a.paths[fmt.Sprintf("%s of %d segments", copySource, len(segments))] = true
		a.data = append(a.data, segments...)
		a.form(copySource, query)
	}
}

// body adds what the body holds. What is no document of its kind is one piece of data.
func (a *parts) body(operation, kind string, body []byte) {
	text := string(body)
	switch {
	case len(body) == 0:
	case payloads[operation]:
		a.data = append(a.data, text)
	case strings.HasPrefix(kind, "application/x-www-form-urlencoded"):
		a.form("", text)
	case strings.Contains(kind, "json"):
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		var document any
		if d.Decode(&document) != nil || d.More() {
			a.leaf("no JSON", text)
			return
		}
		a.json("", document)
	case strings.Contains(kind, "xml"):
		if !a.xml(body) {
			a.leaf("no XML", text)
		}
	default:
		a.leaf("a body of another kind", text)
	}
}

func (a *parts) leaf(path, text string) {
	a.paths[path] = true
	a.data = append(a.data, text)
}

// place matches the place in a list, in a name of a form.
var place = pattern.New(`\.\d+(\.|$)`)

func (a *parts) form(path, text string) {
	values, err := url.ParseQuery(text)
	if err != nil {
		a.leaf(path+" no form", text)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for _, value := range values[name] {
			a.leaf(path+"?"+place.ReplaceAllString(name, ".[]$1"), value)
		}
	}
}

func (a *parts) json(path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		a.paths[path+"{}"] = true
		for _, name := range slices.Sorted(maps.Keys(v)) {
			at := path + "/" + name
			if named[path[strings.LastIndex(path, "/")+1:]] {
				a.data = append(a.data, name)
				at = path + "/*"
			}
			a.json(at, v[name])
		}
	case []any:
		a.paths[path+"[]"] = true
		for _, item := range v {
			a.json(path+"[]", item)
		}
	default:
		a.leaf(fmt.Sprintf("%s %T", path, v), fmt.Sprint(v))
	}
}

// xml adds the elements and attributes of a document, and reports whether it is one.
func (a *parts) xml(body []byte) bool {
	d := xml.NewDecoder(bytes.NewReader(body))
	var at []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return len(at) == 0
		}
		if err != nil {
			return false
		}
		switch v := token.(type) {
		case xml.StartElement:
			at = append(at, v.Name.Local)
			a.paths[strings.Join(at, "/")] = true
			for _, attribute := range v.Attr {
				a.leaf(strings.Join(at, "/")+" "+attribute.Name.Local, attribute.Value)
			}
		case xml.EndElement:
			at = at[:len(at)-1]
		case xml.CharData:
			a.leaf(strings.Join(at, "/")+" text", string(v))
		default:
			a.leaf(fmt.Sprintf("%s %T", strings.Join(at, "/"), v), fmt.Sprint(v))
		}
	}
}
