package awsapi

import (
	"io"
	"net/http"
)

// plainBody hides all of a request's body but reading and closing it. The SDK closes the body as soon as the answer begins,
// and what is then written by its WriteTo ends with io.EOF: net/http, which looks once more whether the body is at its end,
// takes that for a failure and cuts the connection, in the middle of the answer. A body that is read is just at its end.
type plainBody struct{ *http.Transport }

// RoundTrip sends the request.
func (p plainBody) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		own := *r
		own.Body = struct {
			io.Reader
			io.Closer
		}{r.Body, r.Body}
		r = &own
	}
	return p.Transport.RoundTrip(r)
}
