// Package account makes the system of package rastup in an account of the lab, with the real SDK of AWS: two good releases of
// each part, so that each has a way back, and on demand the release v1.2.3, which is bad.
//
// A reading order: account.go, service.go, function.go, site.go, config.go.
package account

import (
	"context"
	"errors"
	"net/url"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/examples/rastup"
	"github.com/astern-dev/astern/internal/lab"
)

// The releases. The service and the function have Older and Good, and Good runs; of the front end Good is there. Bad is what
// Release brings. Oldest is an image alone.
const (
	Oldest = "v1.2.0"
	Older  = "v1.2.1"
	Good   = "v1.2.2"
	Bad    = "v1.2.3"
)

// The names of what is made.
const (
	Function     = "rastup-search-indexer"
	Alias        = "production"
	Bucket       = "rastup-prod-frontend"
	Repository   = "rastup/api"
	Cluster      = "rastup-prod"
	Service      = "api-service"
	Application  = "rastup"
	Environment  = "production"
	Profile      = "feature-flags"
	Flag         = "new_feature_enabled"
	Secret       = "rastup/prod/api-key"
	Parameter    = "/rastup/prod/search"
	ID           = lab.Account // of the account
	Registry     = ID + ".dkr.ecr." + rastup.Region + ".amazonaws.com"
	KeptDays     = 14 // so long the registry keeps an image that no tag spares
	KeptPrefix   = "keep-"
	artifacts    = "rastup-artifacts"
	role         = "rastup-service"
	logGroup     = "/rastup/prod/api"
	strategyName = "rastup-at-once"
)

// Account is the system in the lab.
type Account struct {
	// URL is that of the lab.
	URL string
	// Distribution is the id of the one before the front end of production.
	Distribution string

	config aws.Config
	flags  flagIDs
	code   []byte // the function's program
}

// Make makes the system in the lab at the URL, which must be empty. Source is the folder of astern's source code, from which the
// function is built.
func Make(ctx context.Context, lab, source string) (*Account, error) {
	u, err := url.Parse(lab)
	if err != nil || u.Hostname() != "127.0.0.1" && u.Hostname() != "localhost" {
		return nil, astern.Errorf(astern.Refused, "%q is not the address of a lab on this machine: in an account of yours nothing is made", lab).
			WithHint("astern lab up && . .astern-lab/env")
	}
	a := &Account{URL: lab, config: aws.Config{Region: rastup.Region, BaseEndpoint: &lab,
		Credentials: credentials.NewStaticCredentialsProvider("lab", "lab", "")}}
	if err := a.role(ctx); err != nil {
		return nil, err
	}
	err = together(
		func() error { return a.services(ctx) },
		func() error { return a.function(ctx, source) },
		func() error { return a.site(ctx) },
		func() error { return a.configuration(ctx) },
		func() error { return a.secrets(ctx) })
	return a, err
}

// Release does what a CI does with the release v1.2.3: the function's alias goes to it, the front end is uploaded and what
// CloudFront holds is forgotten, and the new feature is switched on.
func (a *Account) Release(ctx context.Context) error {
	return together(
		func() error { return a.releaseFunction(ctx) },
		func() error { return a.releaseSite(ctx) },
		func() error { return a.switchOn(ctx) })
}

// together does all of it at the same time, and waits until all of it has ended.
func together(all ...func() error) error {
	errs := make([]error, len(all))
	var wait sync.WaitGroup
	for i, f := range all {
		wait.Go(func() { errs[i] = f() })
	}
	wait.Wait()
	return errors.Join(errs...)
}

// doing says what was being done when an error came.
func doing(what string, err error) error {
	if err == nil {
		return nil
	}
	return astern.Errorf(astern.Unavailable, "%s: %w", what, err)
}
