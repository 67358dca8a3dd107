package awsapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/pattern"
)

// Explain turns an error of the SDK into astern's: doing is what was being done ("moving the alias live of shop"),
// resource what it was done to (an ARN or a name, "" when it has none). It names the call, keeps the request id, says which IAM
// action is missing, and never repeats what may hold a secret. Nil stays nil; an error that is astern's already is returned as it is.
func Explain(err error, doing, resource string) error {
	return explain(err, doing, resource, true)
}

// ExplainQuietly is Explain without the words of the cloud: for calls that send a secret, which an error may repeat.
func ExplainQuietly(err error, doing, resource string) error {
	return explain(err, doing, resource, false)
}

func explain(err error, doing, resource string, words bool) error {
	if own := (*astern.Error)(nil); err == nil || errors.As(err, &own) {
		return err
	}
	c := classify(err)
	text := c.action
	if c.name != "" {
		text += ": " + c.name
	}
	if c.text != "" && (words || c.own) && !c.secret {
		text += ": " + c.text
	}
	if c.request != "" {
		text += " (request " + c.request + ")"
	}
	if resource != "" && c.resource == "" {
		c.resource = resource
	}
	out := astern.Errorf(c.code, "%s: %w", doing, cause{oneLine(strings.TrimPrefix(text, ": ")), err})
	if hint := c.hint(); hint != "" {
		return out.WithHint("%s", hint)
	}
	return out
}

// cause prints the words that were chosen and keeps the error of the SDK for errors.As.
type cause struct {
	text string
	err  error
}

// Error returns the chosen words.
func (c cause) Error() string { return c.text }

// Unwrap returns the error of the SDK.
func (c cause) Unwrap() error { return c.err }

// MayHaveRun reports whether the call may have had its effect: it left this machine, and no answer says that it was refused.
func MayHaveRun(err error) bool {
	if err == nil || credentialsFailed(err) {
		return false
	}
	if status := answered(err); status != 0 {
		var api smithy.APIError
		refused := errors.As(err, &api) && status >= 300 && status < 500
		return !refused && !throttled(err)
	}
	var sent sentError
	return errors.As(err, &sent)
}

// Failed returns the operation that ended with the error: unsure when the call may have had its effect, failed otherwise.
func Failed(err error) astern.Op {
	status := astern.OpFailed
	if MayHaveRun(err) {
		status = astern.OpUnsure
	}
	return astern.Op{Status: status, Code: astern.CodeOf(err), Error: err.Error(), Hint: astern.HintOf(err)}
}

// Is reports whether the error is an answer of the cloud with one of the names ("ResourceNotFoundException").
func Is(err error, names ...string) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	return slices.Contains(names, api.ErrorCode())
}

// class is what an error of the SDK means.
type class struct {
	code     astern.Code
	action   string // lambda:UpdateAlias, "" when no call was made
	name     string // the cloud's name of the error
	text     string // the cloud's words
	request  string
	resource string // as the cloud names it
	missing  string // IAM action that is missing
	stale    bool   // the credentials are the fault
	region   bool   // the region is
	secret   bool   // the words may hold a secret
	own      bool   // the words are astern's, and repeat nothing of the call
}

// denial is how the cloud says which action is missing:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
var denial = pattern.New(`is not authorized to perform: ([A-Za-z0-9-]+:[A-Za-z0-9*]+)(?: on resource: (\S+))?`)

func classify(err error) class {
	c := class{code: astern.Unavailable}
	var op *smithy.OperationError
	for e := err; errors.As(e, &op); e = op.Unwrap() {
		c.action = Action(op.Service(), op.Operation()) // the innermost: assuming a role is a call of its own
	}
	var answer interface{ ServiceRequestID() string }
	if errors.As(err, &answer) {
		c.request = oneLine(answer.ServiceRequestID())
	}
	var api smithy.APIError
	switch {
	case errors.As(err, &api):
		c.name, c.text = oneLine(api.ErrorCode()), oneLine(api.ErrorMessage())
		c.ofAnswer(err)
	case credentialsFailed(err):
		// Whatever call first needed them: they are the machine's.
		c.code, c.action, c.stale, c.own, c.text = astern.Denied, "", true, true, credentialsWords(err)
	case errors.Is(err, context.Canceled):
		c.code, c.own, c.text = astern.Interrupted, true, "interrupted"
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		c.own, c.text = true, fromHost(err, "no answer in time")
	default:
		c.ofTransport(err)
	}
	return c
}

// Names of answers, by what they mean. The SDK keeps the list of those that throttle.
// https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html and the reference of each service.
var (
	deniedNames  = []string{"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "UnauthorizedAccess", "NotAuthorized", "AuthorizationError", "AllAccessDisabled", "KMSAccessDeniedException", "InvalidKMSKeyAccess"}
	staleNames   = []string{"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "InvalidToken", "TokenRefreshRequired", "SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature", "MissingAuthenticationToken", "MissingAuthenticationTokenException", "OptInRequired"}
	regionNames  = []string{"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
	absentNames  = []string{"NoSuchKey", "NoSuchBucket", "NoSuchVersion", "NoSuchEntity", "NotFound", "NotFoundException"}
	changedNames = []string{"PreconditionFailed", "PreconditionFailedException", "ConditionalRequestConflict", "ConflictException", "OperationAborted", "ParameterAlreadyExists", "TooManyUpdates"}
	inputNames   = []string{"ValidationException", "ValidationError", "SerializationException", "InvalidRequest"}
)

// ofAnswer reads the name and the status of an answer.
func (c *class) ofAnswer(err error) {
	status := answered(err)
	switch {
	case throttled(err):
		c.code = astern.Throttled
	case slices.Contains(staleNames, c.name):
		// The words of a signature that does not match repeat the request with its tokens.
		c.code, c.stale, c.secret = astern.Denied, true, strings.Contains(c.name, "Signature")
	case slices.Contains(deniedNames, c.name) || status == http.StatusForbidden || status == http.StatusUnauthorized:
		c.code, c.missing = astern.Denied, c.action
		if m := denial.FindStringSubmatch(c.text); m != nil {
			c.missing, c.resource = m[1], strings.TrimRight(m[2], ".,")
		}
	case slices.Contains(regionNames, c.name) || status >= 300 && status < 400:
		c.code, c.region = astern.Invalid, true
	case slices.Contains(absentNames, c.name) || strings.HasSuffix(c.name, "NotFound") || strings.HasSuffix(c.name, "NotFoundException") || status == http.StatusNotFound:
		c.code = astern.NotFound
	case slices.Contains(changedNames, c.name) || strings.HasSuffix(c.name, "ConflictException") || strings.HasSuffix(c.name, "InUseException") ||
		strings.HasSuffix(c.name, "ExistsException") || status == http.StatusConflict || status == http.StatusPreconditionFailed:
		c.code = astern.Conflict
	case slices.Contains(inputNames, c.name) || strings.HasPrefix(c.name, "InvalidParameter"):
		c.code = astern.Invalid
	case status == http.StatusNotImplemented:
		c.code = astern.Internal
	case status >= 500 || status == 0 || status < 300:
		c.code = astern.Unavailable
	default:
		c.code = astern.Refused
	}
}

// ofTransport explains what never became an answer.
func (c *class) ofTransport(err error) {
	var dns *net.DNSError
	var invalid smithy.InvalidParamsError
	var malformed *smithy.SerializationError
	switch {
	case errors.As(err, &dns):
		c.text, c.region, c.own = "there is no such host: "+dns.Name, true, true
	case errors.As(err, &invalid), errors.As(err, &malformed):
		c.code, c.text = astern.Invalid, rootText(err)
	case answered(err) != 0:
		c.text = fmt.Sprintf("the answer with status %d can't be read: %s", answered(err), rootText(err))
	default:
		var op *net.OpError
		c.own = errors.As(err, &op) // its words are the system's
		c.text = fromHost(err, rootText(err))
	}
}

// fromHost puts the host and port before the words that no answer came from. Nothing else of the address is said: its query may
// hold a signature.
func fromHost(err error, text string) string {
	var op, dial *net.OpError
	if errors.As(err, &op) && op.Op == "proxyconnect" {
		if errors.As(op.Err, &dial) && dial.Addr != nil {
			return "the proxy " + oneLine(dial.Addr.String()) + ": " + text
		}
		return "the proxy: " + text
	}
	var asked *url.Error
	if !errors.As(err, &asked) {
		return text
	}
	if u, err := url.Parse(asked.URL); err == nil && u.Host != "" {
		return oneLine(u.Host) + ": " + text
	}
	return text
}

// hint says what a person can do.
func (c class) hint() string {
	on := ""
	if c.resource != "" {
		on = " on " + c.resource
	}
	switch {
	case c.stale:
		return "aws sso login or aws configure renews credentials, aws sts get-caller-identity tries them"
	case c.region:
		return "is the region right? region below with names it"
	case c.code == astern.Denied && c.missing != "":
		return "allow " + c.missing + on + " in the policy of these credentials"
	case c.code == astern.Throttled:
		return "the account is asked too often at the moment"
	}
	return ""
}

// Action returns the IAM action of a call of the SDK: service and operation, which mostly are the names of the API.
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
func Action(service, operation string) string {
	prefix := strings.ToLower(strings.ReplaceAll(service, " ", ""))
	if p, ok := map[string]string{"cloudwatchlogs": "logs", "elasticloadbalancingv2": "elasticloadbalancing", "appconfigdata": "appconfig",
		"applicationautoscaling": "application-autoscaling"}[prefix]; ok {
		prefix = p
	}
	if prefix == "s3" {
		if name, ok := s3Actions[operation]; ok {
			operation = name
		}
	}
	return prefix + ":" + operation
}

// s3Actions are the calls of S3 whose action has another name.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
var s3Actions = map[string]string{"HeadObject": "GetObject", "ListObjects": "ListBucket", "ListObjectsV2": "ListBucket", "HeadBucket": "ListBucket",
	"ListObjectVersions": "ListBucketVersions", "CopyObject": "PutObject", "UploadPart": "PutObject", "CreateMultipartUpload": "PutObject",
	"CompleteMultipartUpload": "PutObject", "DeleteObjects": "DeleteObject", "ListBuckets": "ListAllMyBuckets",
	"GetBucketLifecycleConfiguration": "GetLifecycleConfiguration", "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
	"ListParts": "ListMultipartUploadParts", "ListMultipartUploads": "ListBucketMultipartUploads"}

func throttled(err error) bool {
	if answered(err) == http.StatusTooManyRequests {
		return true
	}
	return retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary
}

// answered returns the status of the answer, 0 when none came: of that the SDK makes a response without a status.
func answered(err error) int {
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &answer) || answer.Response == nil || answer.Response.Response == nil {
		return 0
	}
	return answer.HTTPStatusCode()
}

// Stale reports whether the error, explained or not, is of the credentials themselves: no other call with them can succeed.
func Stale(err error) bool { return err != nil && staleCredentials(err) }

// staleCredentials reports whether the credentials themselves were refused or could not be had.
func staleCredentials(err error) bool { return Is(err, staleNames...) || credentialsFailed(err) }

// credentialsFailed reports whether there were no credentials to sign the call with.
func credentialsFailed(err error) bool {
	var signing *v4.SigningError
	return errors.As(err, &signing) || strings.Contains(err.Error(), "get identity: ") || strings.Contains(err.Error(), "failed to refresh cached credentials")
}

// credentialsWords says why, without the output of a program that prints credentials.
func credentialsWords(err error) string {
	var process *processcreds.ProviderError
	var sso *ssocreds.InvalidTokenError
	switch {
	case errors.As(err, &process):
		return "the credential_process of the profile failed"
	case errors.As(err, &sso):
		return "the SSO session has expired or is not valid"
	case strings.Contains(err.Error(), "no EC2 IMDS role found"), strings.Contains(err.Error(), "EC2 IMDS"):
		return "there are no credentials on this machine"
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		return "credentials could not be had: " + api.ErrorCode()
	}
	return "credentials could not be had"
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// rootText is the innermost text of a chain: the SDK wraps each error four times.
func rootText(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return oneLine(err.Error())
		}
		err = next
	}
}

// oneLine makes text of others fit for an error or a value of a state.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "?"))
	if len(s) > 400 {
		s = strings.ToValidUTF8(s[:400], "") + "…"
	}
	return s
}

// OneLine makes text of others fit for an error or a value of a state: one line, printable, bounded.
func OneLine(s string) string { return oneLine(s) }
