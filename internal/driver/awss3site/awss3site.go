// Package awss3site is the driver of kind aws.s3site: a static site in a bucket of S3, with CloudFront before it where one
// is declared.
//
//	s3://BUCKET/PREFIX…                         the site, as it is served
//	s3://BUCKET/astern-releases/PREFIX…         what astern keeps, and never serves or prunes:
//	    v1.2.2.json                             a release: path, size, SHA-256, ETag, version and headers of each object
//	    _current.json                           which release was put last, by which execution, with its fence
//	    _files/SHA256                           copies of content, in a bucket that keeps no versions
//
// A release is recorded by deploying it: `astern deploy SITE v1.2.3` after the upload writes down what is there. What is
// there under a name that nobody recorded is unrecorded-HASH, by its entry points, and is recorded before it is left.
//
// Going back never breaks pages that are open: first the objects are put that the release has and the bucket has not, or has
// otherwise (CopyObject of a version onto its own key, headers and all), then the entry points, each on the condition that
// it still is what was seen (If-Match) and right after the marker was asked whether another execution was there: who went elsewhere
// and came back leaves the ETags as they were, and a condition on the marker itself S3 does not have. Then CloudFront forgets what it holds, and the edge is asked until it answers the
// release. Objects of other releases stay reachable until a redeployment of what runs takes them away (verb prune); what no
// release has is never touched. One object goes back as a release of its own, BASE-oHASH.
//
// Object Lock is not asked for: it keeps versions from being deleted, and nothing here deletes one. Tags and headers stay
// with a version; an ACL does not, where a bucket still has them, and every target says so.
//
// Reading order: settings.go (what is declared), manifest.go (what a release is), store.go (reading and writing both),
// survey.go and headers.go (what the bucket has, until when, and with which headers), grants.go, observe.go, targets.go and route.go (the ways), act.go,
// adopt.go, move.go and edge.go (going them), discover.go.
package awss3site

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// Kind is the driver's kind.
const Kind = "aws.s3site"

// The verbs of the driver's steps.
const (
	verbAdopt      = "adopt"
	verbCompose    = "compose"
	verbPut        = "put"
	verbSwitch     = "switch"
	verbInvalidate = "invalidate"
	verbProve      = "prove"
	verbPrune      = "prune"
)

// sideBySide is how many calls one step or observation makes at a time.
const sideBySide = 16

// driver is what the abilities share.
type driver struct {
	accounts *awsapi.Accounts
	lookup   func(address string) (astern.Component, bool)
	now      func() time.Time
	edge     *http.Client
}

// New returns the driver. Lookup finds a component by its address, for acting. The caller closes the accounts.
func New(accounts *awsapi.Accounts, lookup func(address string) (astern.Component, bool)) astern.Driver {
	return newAt(accounts, lookup, time.Now)
}

// newAt is New with a clock: that by which the deadlines of steps are given.
func newAt(accounts *awsapi.Accounts, lookup func(address string) (astern.Component, bool), now func() time.Time) astern.Driver {
	d := &driver{accounts: accounts, lookup: lookup, now: now, edge: newEdgeClient()}
	found := awsapi.NewPager(accounts, page)
	return astern.Driver{
		Kind:     Kind,
		Layer:    astern.LayerApplication,
		Settings: Settings{},
		Verbs: []astern.VerbInfo{
			{Verb: verbAdopt, What: "records what the bucket serves as a release, with versions and digests",
				Undo: astern.UndoNone, Exclusion: astern.Conditional, Found: "name"},
			{Verb: verbCompose, What: "records a release that is another one with a single object of a third",
				Undo: astern.UndoNone, Exclusion: astern.Conditional, Found: "name"},
			{Verb: verbPut, What: "puts the objects of a release that are missing or other ones, but not its entry points",
				Undo: astern.UndoInverse, Exclusion: astern.Window, Found: "token"},
			{Verb: verbSwitch, What: "puts the entry points of a release",
				Undo: astern.UndoInverse, Exclusion: astern.Window, Found: "token"},
			{Verb: verbInvalidate, What: "has CloudFront forget what it holds of the site, and waits until it has",
				Undo: astern.UndoNone, Exclusion: astern.Window, Found: "token"},
			{Verb: verbProve, What: "asks the edge for the entry points and compares content, cache header and age",
				Undo: astern.UndoNone, Exclusion: astern.Window, Found: "state"},
			{Verb: verbPrune, What: "deletes objects that only other releases have; what no release has stays",
				Undo: astern.UndoNone, Exclusion: astern.Window, Found: "token"},
		},
		Observer:   d,
		Router:     router{},
		Picker:     router{},
		Actor:      &actor{d},
		Validator:  validator{},
		Occupier:   validator{},
		Discoverer: found,
		Pager:      found,
		Claimer:    d,
		Permitter:  validator{},
	}
}

// clients are those of one component. What is changed is asked for once: the engine owns the retries.
type clients struct {
	p               place
	s3, act         *s3.Client // for reading, and for changing
	front, frontAct *cloudfront.Client
}

// clients returns the component's clients.
func (d *driver) clients(ctx context.Context, p place) (clients, error) {
	s, err := d.accounts.Session(ctx, p.Settings.Settings)
	if err != nil {
		return clients{}, err
	}
	return clientsOf(s, p), nil
}

func clientsOf(s *awsapi.Session, p place) clients {
	return clients{p, s3.NewFromConfig(s.Read, awsapi.PathStyle, quiet), s3.NewFromConfig(s.Act, awsapi.PathStyle, quiet),
		cloudfront.NewFromConfig(s.Read, global), cloudfront.NewFromConfig(s.Act, global)}
}

// quiet is an option of S3's client: an object without a checksum is no reason to write a line for each.
func quiet(o *s3.Options) { o.DisableLogOutputChecksumValidationSkipped = true }

// global is an option of CloudFront's client: it is one service for all regions and wants calls signed for us-east-1, which
// the SDK knows of AWS' own endpoint alone.
func global(o *cloudfront.Options) {
	if o.BaseEndpoint != nil {
		o.Region = "us-east-1"
	}
}

// newEdgeClient returns a client that goes nowhere else than it is told, and takes content as it is stored.
func newEdgeClient() *http.Client {
	return &http.Client{Timeout: askTimeout,
		Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: askTimeout}).DialContext, DisableKeepAlives: true,
			DisableCompression: true, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
