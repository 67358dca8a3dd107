package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/lab"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// row is one way in which something is broken.
type row struct {
	name string
	// read is what shows it to somebody who changes nothing; "" when no read can.
	read string
	// after is true for what comes after the check.
	after bool
	// one is true for what concerns the one target that was drawn, and no other.
	one bool
	// passes is true for what passes by itself, or is another matter once a target was tried: then it is one that is tried.
	passes bool
	// shapes are the shapes of the kind in which it can be done; none means all.
	shapes []string
	// do breaks it.
	do func(ctx context.Context, d *damage) error
}

// damage is what a row may act on.
type damage struct {
	*world
	target string // the one that was drawn
}

// simulated is the read that shows what policies refuse.
const simulated = "SimulatePrincipalPolicy"

// denies has a policy of the operator's role deny actions; the lab holds all calls of the role to it.
func denies(denied ...string) func(context.Context, *damage) error {
	return statements(map[string]any{"Effect": "Allow", "Action": "*", "Resource": "*"}, map[string]any{"Effect": "Deny", "Action": denied, "Resource": "*"})
}

// allowsAllBut has the operator's role allowed everything but these actions.
func allowsAllBut(actions ...string) func(context.Context, *damage) error {
	return statements(map[string]any{"Effect": "Allow", "NotAction": actions, "Resource": "*"})
}

func statements(all ...map[string]any) func(context.Context, *damage) error {
	return func(ctx context.Context, d *damage) error {
		text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": all})
		if err != nil {
			return err
		}
		directory, name := iam.NewFromConfig(d.aws), aws.String("operator") // as roleIn has it
		if _, err := directory.CreateRole(ctx, &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[]}`)}); err != nil {
			return err
		}
		_, err = directory.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: name, PolicyName: name, PolicyDocument: aws.String(string(text))})
		d.judged = true
		return err
	}
}

// denied is a call that something else than the operator's policies refuses, as a policy of the organization that no simulation
// is told of, or that is throttled, for as long as the trial lasts. No policy says it: only the call itself shows it.
func denied(service, operation string) func(context.Context, *damage) error {
	return fails(service, operation, http.StatusForbidden, deniedCode(service))
}

// deniedCode is how a service spells that a call is denied.
func deniedCode(service string) string {
	switch service {
	case "s3", "cloudfront":
		return "AccessDenied"
	}
	return "AccessDeniedException"
}

func throttled(service, operation string) func(context.Context, *damage) error {
	switch service {
	case "s3":
		return fails(service, operation, http.StatusServiceUnavailable, "SlowDown")
	case "lambda", "appconfig":
		return fails(service, operation, http.StatusTooManyRequests, "TooManyRequestsException")
	}
	return fails(service, operation, http.StatusBadRequest, "ThrottlingException")
}

func fails(service, operation string, status int, code string) func(context.Context, *damage) error {
	return func(_ context.Context, d *damage) error {
		d.faults = append(d.faults, lab.Fault{Service: service, Operation: operation, Status: status, Code: code, Message: "not for " + d.account})
		return nil
	}
}

// everywhere are the rows that every kind has.
var everywhere = []row{
	{name: "credentials of another account", read: "ask STS whose they are", do: func(_ context.Context, d *damage) error {
		return d.redeclare(roleIn(d.account), roleIn("999999999999"))
	}},
	{name: "credentials of another account, and none is declared", read: "look for the resource", do: func(_ context.Context, d *damage) error {
		return d.redeclare(fmt.Sprintf("%q, account: %q", roleIn(d.account), d.account), fmt.Sprintf("%q", roleIn("999999999999")))
	}},
	{name: "credentials that are refused", read: "ask STS whose they are", do: fails("sts", "AssumeRole", http.StatusForbidden, "AccessDenied")},
	{name: "revision latched", read: "read the ledger", one: true, do: event(astern.Event{Kind: astern.EventLatched, Reason: "it lost orders"})},
	{name: "after the check: credentials of another account", read: "ask STS whose they are", after: true, do: func(_ context.Context, d *damage) error {
		return d.redeclare(roleIn(d.account), roleIn("999999999999"))
	}},
}

// redeclare changes what astern.yaml says of the component.
func (w *world) redeclare(old, new string) error {
	if !strings.Contains(w.declaration, old) {
		return fmt.Errorf("the declaration does not hold %q: %s", old, w.declaration)
	}
	return w.declare(strings.ReplaceAll(w.declaration, old, new))
}

// event writes into the ledger about the target.
func event(e astern.Event) func(context.Context, *damage) error {
	return func(ctx context.Context, d *damage) error {
		store, err := sqlite.Open(ctx, d.state())
		if err != nil {
			return err
		}
		e.Address, e.Revision, e.At, e.By = address, d.target, d.clock.Now().Add(time.Second), "ana"
		_, err = store.AddEvent(ctx, e)
		if closed := store.Close(); err == nil {
			err = closed
		}
		return err
	}
}

// kinds are those that are tried, each with its part of the catalogue. The catalogue was written before the trials: a ready
// target that fails counts as a lie when its row names a read and was there before the check.
func kinds() []*kind {
	all := []*kind{functions(), secrets(), parameters(), sites(), configurations(), services()}
	for _, k := range all {
		k.rows = append(k.rows, everywhere...)
	}
	return all
}
