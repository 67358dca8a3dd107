// Package awslaw holds the drivers of AWS kinds to the permissions that they name: every call that a driver makes must be
// among them, and each of them must be called, or have a reason. Only tests import it.
//
//	law := awslaw.Watch(t)
//	driver := awslambda.New(law.Accounts, lookup)      // what the tests themselves call goes through other accounts
//	…
//	law.Needs(driver.Permitter.Permissions(component))
//	law.Holds(t, map[string]string{"kms:Decrypt": "S3 asks KMS on our behalf"})
package awslaw

import (
	"context"
	"slices"
	"sync"
	"testing"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/drivertest"
)

// Law is what a driver has called, and what it says that it may.
type Law struct {
	// Accounts are for the driver alone.
	Accounts *awsapi.Accounts

	mu    sync.Mutex
	calls map[string]int // by IAM action
	needs map[string]bool
	sent  []drivertest.Asked
}

// Region is where the tests' accounts are.
const Region = "eu-central-1"

// Watch opens accounts whose calls are noted: those of components that declare no region, and of the place "aws:" + Region.
func Watch(t *testing.T) *Law {
	t.Helper()
	l := New(t)
	l.Also(t, awsapi.Settings{})
	l.Also(t, awsapi.Settings{Region: Region})
	return l
}

// New opens accounts of which nothing is noted yet.
func New(t *testing.T) *Law {
	t.Helper()
	l := &Law{Accounts: awsapi.New(), calls: map[string]int{}, needs: map[string]bool{}}
	t.Cleanup(func() { l.Accounts.Close() })
	return l
}

// Also notes the calls of components that have these settings.
func (l *Law) Also(t testing.TB, s awsapi.Settings) {
	t.Helper()
	session, err := l.Accounts.Session(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	session.Read.APIOptions = append(slices.Clone(session.Read.APIOptions), l.watch, l.sending)
	session.Act.APIOptions = append(slices.Clone(session.Act.APIOptions), l.watch, l.sending)
}

// watch notes each call as it is made, whatever becomes of it.
func (l *Law) watch(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("Watch",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			l.mu.Lock()
			l.calls[awsapi.Action(awsmiddleware.GetServiceID(ctx), awsmiddleware.GetOperationName(ctx))]++
			l.mu.Unlock()
			return next.HandleInitialize(ctx, in)
		}), middleware.After)
}

// Needs adds what the driver says of a component.
func (l *Law) Needs(list []astern.Permission) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range list {
		l.needs[p.Action] = true
	}
}

// Holds judges. Uncalled are reasons, by action, why no call of ours is of it.
func (l *Law) Holds(t testing.TB, uncalled map[string]string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.calls) == 0 || len(l.needs) == 0 {
		t.Errorf("calls of %d actions, and permissions for %d: there is nothing to judge", len(l.calls), len(l.needs))
	}
	for action, n := range l.calls {
		if !l.needs[action] && action != "sts:GetCallerIdentity" { // which is allowed to everybody
			t.Errorf("%d calls of %s, which is not among the permissions", n, action)
		}
	}
	for action := range l.needs {
		switch why := uncalled[action]; {
		case l.calls[action] == 0 && why == "":
			t.Errorf("%s is among the permissions, and nothing calls it: %v", action, l.calls)
		case l.calls[action] > 0 && why != "":
			t.Errorf("%s is called %d times, and is said not to be: %s", action, l.calls[action], why)
		}
	}
}
