package awslaw

import (
	"context"
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

// sending notes each request as it goes out, with all that the SDK has made of its input.
func (l *Law) sending(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("Sending",
		func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
			if r, ok := in.Request.(*smithyhttp.Request); ok {
				asked := askedBy(awsmiddleware.GetServiceID(ctx)+":"+awsmiddleware.GetOperationName(ctx), r)
				l.mu.Lock()
				l.sent = append(l.sent, asked)
				l.mu.Unlock()
			}
			return next.HandleDeserialize(ctx, in)
		}), middleware.After)
}

// askedBy takes a request apart into what no text may change and what it carries.
func askedBy(operation string, r *smithyhttp.Request) drivertest.Asked {
	segments := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	for i, s := range segments {
		if text, err := url.PathUnescape(s); err == nil {
			segments[i] = text
		}
	}
	query, body := r.URL.Query(), form(r)
	headers := slices.Sorted(maps.Keys(r.Header))
	headers = slices.DeleteFunc(headers, func(name string) bool { return name == "Content-Length" })
	out := drivertest.Asked{Data: segments, Shape: fmt.Sprint(operation, " ", r.Method, " ", r.URL.Hostname(), " ", len(segments), " ", slices.Sorted(maps.Keys(query)), headers,
		slices.Sorted(maps.Keys(body)), r.URL.Fragment)}
	for _, values := range []map[string][]string{query, body} {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			out.Data = append(out.Data, values[name]...)
		}
	}
	return out
}

// form reads a body that is one, and leaves the request as it is.
func form(r *smithyhttp.Request) url.Values {
	if !strings.HasPrefix(http.Header(r.Header).Get("Content-Type"), "application/x-www-form-urlencoded") || !r.IsStreamSeekable() {
		return nil
	}
	text, err := io.ReadAll(r.GetStream())
	if r.RewindStream() != nil || err != nil {
		return nil
	}
	values, _ := url.ParseQuery(string(text)) // what can't be read is left out
	return values
}
