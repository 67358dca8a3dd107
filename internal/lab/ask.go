package lab

import (
	"context"

	"github.com/astern-dev/astern"
)

// ask makes a call of the lab's own to moto, for the account, region and key of c, and returns the members of the reply
// by the model's names. It passes neither corrections nor faults nor the journal. An error is a *refusal where moto
// refused. XML has no lists of its own: use list to read one.
func (l *Lab) ask(ctx context.Context, service, operation string, c *Call, input map[string]any) (map[string]any, error) {
	return nil, astern.Errorf(astern.Internal, "asking %s:%s of moto: not yet", service, operation)
}

// refusal is an error reply of moto.
type refusal struct {
	Status        int
	Code, Message string
}

func (r *refusal) Error() string { return r.Code + ": " + r.Message }
