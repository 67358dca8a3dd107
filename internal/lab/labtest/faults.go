package labtest

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/astern-dev/astern/internal/lab"
)

// mishap is what happens to a call, by the table's name for it.
type mishap string

// The mishaps. Beside them there is what somebody else does.
const (
	denied      mishap = "denied"
	expired     mishap = "expired credentials"
	throttled   mishap = "throttled"
	broken      mishap = "a fault of the cloud"
	unavailable mishap = "unavailable"
	lostRequest mishap = "the request is lost"
	lostReply   mishap = "the reply is lost"
	cutReply    mishap = "the reply is cut"
	delayed     mishap = "delayed"
)

var mishaps = []mishap{denied, expired, throttled, broken, unavailable, lostRequest, lostReply, cutReply, delayed}

// names are how services call the same, where it is not as in most.
//
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
// https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html
// https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/CommonErrors.html
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/CommonErrors.html
var names = map[string]map[mishap]lab.Fault{
	"s3": {denied: {Status: http.StatusForbidden, Code: "AccessDenied"}, expired: {Status: http.StatusBadRequest, Code: "ExpiredToken"},
		throttled: {Status: http.StatusServiceUnavailable, Code: "SlowDown"}, broken: {Status: http.StatusInternalServerError, Code: "InternalError"}},
	"cloudfront": {denied: {Status: http.StatusForbidden, Code: "AccessDenied"}, expired: {Status: http.StatusForbidden, Code: "ExpiredToken"},
		throttled: {Status: http.StatusBadRequest, Code: "Throttling"}},
	"iam": {denied: {Status: http.StatusForbidden, Code: "AccessDenied"}, expired: {Status: http.StatusForbidden, Code: "ExpiredToken"},
		throttled: {Status: http.StatusBadRequest, Code: "Throttling"}},
	"lambda": {denied: {Status: http.StatusForbidden, Code: "AccessDeniedException"}, expired: {Status: http.StatusForbidden, Code: "ExpiredTokenException"},
		throttled: {Status: http.StatusTooManyRequests, Code: "TooManyRequestsException"}, broken: {Status: http.StatusInternalServerError, Code: "ServiceException"}},
	"appconfig":     appConfig,
	"appconfigdata": appConfig,
	"ecs":           {broken: {Status: http.StatusInternalServerError, Code: "ServerException"}},
	"ecr":           {broken: {Status: http.StatusInternalServerError, Code: "ServerException"}},
	"ssm":           {broken: {Status: http.StatusInternalServerError, Code: "InternalServerError"}},
}

var appConfig = map[mishap]lab.Fault{denied: {Status: http.StatusForbidden, Code: "AccessDeniedException"}, expired: {Status: http.StatusForbidden, Code: "ExpiredTokenException"},
	throttled: {Status: http.StatusTooManyRequests, Code: "ThrottlingException"}, broken: {Status: http.StatusInternalServerError, Code: "InternalServerException"}}

// usual are the mishaps in most services.
var usual = map[mishap]lab.Fault{
	denied:      {Status: http.StatusBadRequest, Code: "AccessDeniedException"},
	expired:     {Status: http.StatusBadRequest, Code: "ExpiredTokenException"},
	throttled:   {Status: http.StatusBadRequest, Code: "ThrottlingException"},
	broken:      {Status: http.StatusInternalServerError, Code: "InternalFailure"},
	unavailable: {Status: http.StatusServiceUnavailable, Code: "ServiceUnavailable"},
	lostRequest: {Effect: lab.DropRequest},
	lostReply:   {Effect: lab.DropReply},
	cutReply:    {Effect: lab.Truncate},
	delayed:     {Delay: lab.Span(20 * time.Millisecond)},
}

// fault is the mishap as the lab's rule for one call.
func (m mishap) fault(c call) lab.Fault {
	f, ok := names[c.service][m]
	if !ok {
		f = usual[m]
	}
	f.Service, f.Operation, f.Nth, f.Count = c.service, c.operation, c.nth, 1
	return f
}

// call is one of the calls of a plan.
type call struct {
	// making tells calls by which the plan is made from those by which it is carried out.
	making             bool
	service, operation string
	nth                int  // of that operation while it is made, or carried out
	repeated           bool // others stand for it, but where somebody else comes
}

func (c call) String() string {
	when := "doing"
	if c.making {
		when = "making"
	}
	return fmt.Sprintf("%s %s:%s %d", when, c.service, c.operation, c.nth)
}

// callsOf returns the calls among the entries.
func callsOf(entries []lab.Entry, making bool, repeated map[int64]bool) []call {
	var out []call
	seen := map[string]int{}
	for _, e := range entries {
		name := e.Service + ":" + e.Operation
		seen[name]++
		out = append(out, call{making, e.Service, e.Operation, seen[name], repeated[e.Seq]})
	}
	return out
}

// someCase is one case of the table.
type someCase struct {
	plan   Plan
	call   call
	mishap mishap // "" for what somebody else does
	other  string
	calm   calm
}

func (c someCase) name() string {
	what := string(c.mishap)
	if c.other != "" {
		what = "somebody " + c.other
	}
	return strings.ReplaceAll(c.plan.Name+"/"+c.call.String()+"/"+what, " ", "_")
}
