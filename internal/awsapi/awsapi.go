// Package awsapi is what the drivers of AWS kinds share, and nothing else uses: credentials, one attempt a call where
// something is changed, and what an error of the cloud means: which IAM action is missing, whether a repeat can help,
// and whether the call may have had its effect although no answer came.
//
// A driver opens a session for the settings of a component and makes the SDK's own clients from it:
//
//	s, err := accounts.Session(ctx, place.Settings)   // checks the account once
//	c := lambda.NewFromConfig(s.Read)                 // for observing: tries again, slows down when it is throttled
//	c := lambda.NewFromConfig(s.Act)                  // inside steps: one attempt, the engine owns the retries
//	err = awsapi.Explain(err, "reading shop-api", arn)
//	op := awsapi.Failed(err)                          // failed without effect, or unsure
//
// AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_SERVICE send all calls elsewhere, as they do for every SDK of AWS.
//
// Reading order: settings.go (what is declared), awsapi.go (sessions), sent.go (was it sent?), explain.go (errors), permission.go
// and simulate.go (what credentials must be allowed, and are).
package awsapi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"

	"github.com/astern-dev/astern"
)

// Bounds of one call. What takes longer than answerWithin to begin its answer counts as lost: it is found again.
const (
	connectWithin  = 5 * time.Second
	answerWithin   = 30 * time.Second
	callWithin     = 5 * time.Minute // with the body of the answer
	identifyWithin = 20 * time.Second
	readAttempts   = 4
	longestBackoff = 5 * time.Second
	connections    = 32 // to one endpoint
)

// Accounts opens sessions and keeps them. It is safe for concurrent use. Close it after use.
type Accounts struct {
	mu   sync.Mutex
	open map[Settings]*Session
	used []*http.Client // by all sessions there were
}

// New returns Accounts without a session: nothing is read and nobody is asked before the first one.
func New() *Accounts { return &Accounts{open: map[Settings]*Session{}} }

// Close ends idle connections.
func (a *Accounts) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.used {
		c.CloseIdleConnections()
	}
	return nil
}

// transport bounds what one call may take.
func transport(t *http.Transport) {
	t.MaxConnsPerHost, t.MaxIdleConnsPerHost = connections, connections
	t.TLSHandshakeTimeout, t.ResponseHeaderTimeout = connectWithin, answerWithin
	t.DialContext = (&net.Dialer{Timeout: connectWithin, KeepAlive: 30 * time.Second}).DialContext
}

// Session is the credentials of one declaration in one region.
type Session struct {
	// Read is for what reads: a call that fails in passing is made again, and slower when the account is throttled.
	Read aws.Config
	// Act is for steps: one attempt, under the same limit of the rate.
	Act aws.Config
	// Region is that of the settings, or else of the environment or the profile.
	Region string

	settings Settings
	mu       sync.Mutex
	account  string // "" until it was asked
	identity string // ARN of who the credentials are of; as account
	who      string // of the user or role that IAM knows it by; "" until it was looked for
}

// Session returns the session for the settings: the one that is open, or a new one. It refuses with a Refused error when the
// credentials are of another account than the settings say, and asks that once for each session.
func (a *Accounts) Session(ctx context.Context, s Settings) (*Session, error) {
	if problems := s.Problems(); len(problems) > 0 {
		return nil, astern.Errorf(astern.Invalid, "opening AWS: with/%s %s", problems[0].Path, problems[0].What).WithHint("%s", problems[0].Hint)
	}
	a.mu.Lock()
	session, ok := a.open[s]
	a.mu.Unlock()
	if !ok {
		var err error
		if session, err = a.load(ctx, s); err != nil {
			return nil, err
		}
		a.mu.Lock()
		if first, ok := a.open[s]; ok {
			session = first
		}
		a.open[s] = session
		a.mu.Unlock()
	}
	if s.Account == "" {
		return session, nil
	}
	is, err := session.Account(ctx)
	if err == nil && is != s.Account {
		err = astern.Errorf(astern.Refused, "the AWS credentials%s are of account %s, and astern.yaml declares %s", s.with(), is, s.Account).
			WithHint("choose another profile or role, or correct account")
	}
	if err != nil {
		return nil, err
	}
	return session, nil
}

// load reads the SDK's configuration: environment, ~/.aws, and what the machine has.
func (a *Accounts) load(ctx context.Context, s Settings) (*Session, error) {
	limit := retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) {
		o.StandardOptions = append(o.StandardOptions, func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff = readAttempts, longestBackoff
		})
	})
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(transport).WithTimeout(callWithin)),
		config.WithRetryer(func() aws.Retryer { return limit }),
		config.WithAPIOptions([]func(*middleware.Stack) error{noteSending, a.forgetting(s)}),
		config.WithAppID("astern"),
	}
	if s.Region != "" {
		options = append(options, config.WithRegion(s.Region))
	}
	if s.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(s.Profile))
	}
	c, err := config.LoadDefaultConfig(ctx, options...)
	if missing := (config.SharedConfigProfileNotExistError{}); errors.As(err, &missing) {
		return nil, astern.Errorf(astern.Invalid, "opening AWS: there is no profile %q", s.Profile).WithHint("aws configure list-profiles lists those of this machine")
	} else if err != nil {
		return nil, astern.Errorf(astern.Invalid, "opening AWS%s: the configuration can't be read: %s", s.with(), oneLine(err.Error())).WithHint("aws configure list shows what the AWS CLI reads")
	}
	if c.Region == "" {
		return nil, astern.Errorf(astern.Invalid, "opening AWS%s: no region is given", s.with()).WithHint("write region below with, or set AWS_REGION")
	}
	if b, ok := c.HTTPClient.(*awshttp.BuildableClient); ok { // with what the configuration adds to it, as AWS_CA_BUNDLE
		own := &http.Client{Transport: plainBody{b.GetTransport()}, Timeout: callWithin,
			// A redirect is an answer to be explained: S3 gives one for a bucket of another region.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		a.mu.Lock()
		a.used = append(a.used, own)
		a.mu.Unlock()
		c.HTTPClient = own
	}
	if s.Role != "" {
		provider := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(c), s.Role, func(o *stscreds.AssumeRoleOptions) { o.RoleSessionName = "astern" })
		c.Credentials = aws.NewCredentialsCache(provider)
	}
	act := c.Copy()
	act.Retryer = func() aws.Retryer { return retry.AddWithMaxAttempts(limit, 1) }
	return &Session{Read: c, Act: act, Region: c.Region, settings: s}, nil
}

// Account returns the account that the credentials are of, as STS says; it is asked once.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
func (s *Session) Account(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.account != "" {
		return s.account, nil
	}
	ctx, cancel := context.WithTimeout(ctx, identifyWithin)
	defer cancel()
	out, err := sts.NewFromConfig(s.Read).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", Explain(err, "asking AWS whose credentials these are"+s.settings.with(), "")
	}
	s.account, s.identity = aws.ToString(out.Account), aws.ToString(out.Arn)
	return s.account, nil
}

// forgetting closes the session of the settings when its credentials are refused, so that the next one reads them anew.
func (a *Accounts) forgetting(s Settings) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("AsternForgetCredentials",
			func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
				out, metadata, err := next.HandleInitialize(ctx, in)
				if err != nil && staleCredentials(err) {
					a.mu.Lock()
					delete(a.open, s)
					a.mu.Unlock()
				}
				return out, metadata, err
			}), middleware.Before)
	}
}

// PathStyle is an option of S3's client: buckets are named in the path where the endpoint is not AWS's own, because
// BUCKET.127.0.0.1 is no host.
func PathStyle(o *s3.Options) {
	if o.BaseEndpoint != nil && !strings.Contains(*o.BaseEndpoint, ".amazonaws.com") {
		o.UsePathStyle = true
	}
}
