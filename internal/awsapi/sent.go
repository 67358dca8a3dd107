package awsapi

import (
	"context"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/aws/smithy-go/middleware"
)

// sentError is an error after the request had left this machine, at least in part.
type sentError struct{ error }

// Unwrap returns the error itself.
func (e sentError) Unwrap() error { return e.error }

// noteSending marks errors of requests that left this machine. It stands next to the wire, so that what fails before (no
// credentials, no such host, no connection) is known to have had no effect, and what fails after may have had one.
func noteSending(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("AsternNoteSending",
		func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
			var sent atomic.Bool // written by the transport's goroutine
			ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
			out, metadata, err := next.HandleDeserialize(ctx, in)
			if err != nil && sent.Load() {
				err = sentError{err}
			}
			return out, metadata, err
		}), middleware.After)
}
