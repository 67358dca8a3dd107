package awslambda

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/awsapi/awstest"
)

// refusal is what the cloud says to somebody who may not.
func refusal(operation, action string) awstest.Fault {
	return awstest.Fault{Operation: operation, Status: 403, Code: "AccessDeniedException", Message: "User: arn:aws:sts::123456789012:assumed-role/ops/me is not authorized to perform: " +
		action + " on resource: arn:aws:lambda:eu-central-1:123456789012:function:shop because no identity-based policy allows the " + action + " action"}
}

// failure is one way in which a step goes wrong, and what is said and found then.
type failure struct {
	fault   awstest.Fault
	between func(l *lab) error // somebody else, after the image was read
	status  astern.OpStatus
	code    astern.Code
	found   astern.FoundAnswer
	says    string
	calls   int // of the operation that has the effect: 0 or 1, never more
}

// check makes the call fail and judges what is said of it.
func (f failure) check(l *lab, call astern.Call, operation string) {
	l.Helper()
	accounts := awsapi.New() // of this test: throttling slows down a whole session
	l.Cleanup(func() { accounts.Close() })
	l.driver = New(accounts, func(string) (astern.Component, bool) { return l.c, true })
	call = l.before(call)
	before := l.Calls(operation, l.name)
	if f.fault.Operation != "" {
		f.fault.About = l.name
		l.Inject(l, f.fault)
	}
	if f.between != nil {
		l.must(f.between(l))
		before = l.Calls(operation, l.name)
	}
	op := l.driver.Actor.Start(l.Context(), call)
	if op.Status != f.status || op.Code != f.code || !strings.Contains(op.Error+" "+op.Hint, f.says) {
		l.Errorf("Start answers %+v, want %s with the code %q and %q", op, f.status, f.code, f.says)
	}
	if n := l.Calls(operation, l.name) - before; n != f.calls {
		l.Errorf("%s was called %d times, want %d", operation, n, f.calls)
	}
	if got := l.driver.Actor.Find(l.Context(), call); got.Answer != f.found {
		l.Errorf("Find answers %+v, want %s", got, f.found)
	}
}

// elsewhere moves the alias as another operator does.
func elsewhere(l *lab) error {
	_, err := l.lambda.UpdateAlias(l.Context(), &lambda.UpdateAliasInput{FunctionName: &l.name, Name: aws.String("live"), FunctionVersion: aws.String("2"), Description: aws.String("theirs")})
	return err
}

func TestMoveFails(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]failure{
		"denied": {fault: refusal("UpdateAlias", "lambda:UpdateAlias"), status: astern.OpFailed, code: astern.Denied, found: astern.FoundNo, calls: 1,
			says: "allow lambda:UpdateAlias on arn:aws:lambda:eu-central-1:123456789012:function:shop"},
		"throttled": {fault: awstest.Fault{Operation: "UpdateAlias", Status: 429, Code: "TooManyRequestsException", Message: "Rate exceeded"},
			status: astern.OpFailed, code: astern.Throttled, found: astern.FoundNo, calls: 1},
		"a fault of the cloud": {fault: awstest.Fault{Operation: "UpdateAlias", Status: 500, Code: "ServiceException", Message: "An error occurred"},
			status: astern.OpUnsure, code: astern.Unavailable, found: astern.FoundNo, calls: 1},
		"the reply is lost":   {fault: awstest.Fault{Operation: "UpdateAlias", LoseReply: true, Times: 1}, status: astern.OpUnsure, code: astern.Unavailable, found: astern.FoundYes, calls: 1},
		"the request is lost": {fault: awstest.Fault{Operation: "UpdateAlias", LoseRequest: true, Times: 1}, status: astern.OpUnsure, code: astern.Unavailable, found: astern.FoundNo, calls: 1},
		"expired credentials": {fault: awstest.Fault{Operation: "UpdateAlias", Status: 403, Code: "ExpiredTokenException", Message: "The security token included in the request is expired"},
			status: astern.OpFailed, code: astern.Denied, found: astern.FoundNo, says: "aws sso login", calls: 1},
		"somebody changed it before": {between: elsewhere, status: astern.OpFailed, code: astern.Refused, found: astern.FoundNo, says: "somebody else changed the alias", calls: 0},
		"the version was deleted": {between: func(l *lab) error {
			_, err := l.lambda.DeleteFunction(l.Context(), &lambda.DeleteFunctionInput{FunctionName: &l.name, Qualifier: aws.String("1")})
			return err
		}, status: astern.OpFailed, code: astern.NotFound, found: astern.FoundNo, says: "version 1", calls: 0},
		"the alias was deleted": {between: func(l *lab) error {
			_, err := l.lambda.DeleteAlias(l.Context(), &lambda.DeleteAliasInput{FunctionName: &l.name, Name: aws.String("live")})
			return err
		}, status: astern.OpFailed, code: astern.Refused, found: astern.FoundNo, says: "no alias live", calls: 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, false, false)
			f.check(l, l.calls("1", astern.Options{})[0], "UpdateAlias")
		})
	}
}

// Two operators can't overwrite each other: the call itself is refused when the alias was changed since it was looked at.
func TestMoveIsConditional(t *testing.T) {
	t.Parallel()
	l := newLab(t, false, false)
	call := l.before(l.calls("1", astern.Options{})[0])
	l.Inject(t, awstest.Fault{Operation: "UpdateAlias", About: l.name, Times: 1, Before: func() {
		l.must(elsewhere(l))
	}})
	op := l.driver.Actor.Start(t.Context(), call)
	if op.Status != astern.OpFailed || op.Code != astern.Refused || !strings.Contains(op.Error, "somebody else changed the alias") {
		t.Errorf("Start answers %+v, want a refusal", op)
	}
	if got := l.alias(); got != "2" {
		t.Errorf("the alias leads to %s, want 2: it was overwritten", got)
	}
}

func TestShiftThenMove(t *testing.T) {
	t.Parallel()
	l := newLab(t, false, false)
	calls := l.calls("1", astern.Options{Percent: 25})
	if len(calls) != 2 {
		t.Fatalf("the way has %d steps, want a share and the move", len(calls))
	}
	for i, want := range []string{"2 1=0.25", "1"} {
		calls[i] = l.before(calls[i])
		if op := l.driver.Actor.Start(t.Context(), calls[i]); op.Status != astern.OpDone {
			t.Fatalf("step %s: %+v", calls[i].Step, op)
		}
		if got := l.alias(); got != want {
			t.Errorf("after step %s the alias serves %s, want %s", calls[i].Step, got, want)
		}
		if got, want := l.observe("revision").Values["revision"].Text, []string{"2+1", "1"}[i]; got != want {
			t.Errorf("after step %s the revision is %s, want %s", calls[i].Step, got, want)
		}
	}
	undo, err := l.driver.Router.Undo(l.c, calls[1], nil)
	l.must(err)
	call := calls[1]
	call.Args, call.Verb, call.Token = undo[0].Args, undo[0].Verb, "token-2"
	if op := l.driver.Actor.Start(t.Context(), l.before(call)); op.Status != astern.OpDone {
		t.Fatalf("undoing the move: %+v", op)
	}
	if got := l.alias(); got != "2 1=0.25" {
		t.Errorf("after the undo the alias serves %s, want the shares of before", got)
	}
	// Two versions are all that an alias can serve: a third goes over at once, and the way says so.
	s := l.observe()
	s.Values["version/3"], s.Values["release/3"], s.Values["state/3"] = s.Values["version/1"], s.Values["release/1"], s.Values["state/1"]
	v := s.Values["version/3"]
	v.Text = "3"
	s.Values["version/3"] = v
	route, err := l.driver.Router.Route(l.c, s, astern.Target{Address: l.c.Address(), Revision: "3"}, astern.Options{Percent: 50})
	l.must(err)
	if len(route.Stages) != 1 || !slices.ContainsFunc(route.Notes, func(n string) bool { return strings.Contains(n, "at once") }) {
		t.Errorf("the way from shares is %+v with the notes %v", route.Stages, route.Notes)
	}
}

func TestCodeFails(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]failure{
		"denied": {fault: refusal("UpdateFunctionCode", "lambda:UpdateFunctionCode"), status: astern.OpFailed, code: astern.Denied, found: astern.FoundNo, says: "allow lambda:UpdateFunctionCode on arn", calls: 1},
		"the archive may not be read": {fault: awstest.Fault{Operation: "HeadObject", Status: 403, Code: "AccessDenied", Message: "Access Denied"},
			status: astern.OpFailed, code: astern.Denied, found: astern.FoundNo, says: "allow s3:GetObject on arn:aws:s3:::", calls: 0},
		"the reply is lost": {fault: awstest.Fault{Operation: "UpdateFunctionCode", LoseReply: true, Times: 1}, status: astern.OpUnsure, code: astern.Unavailable, found: astern.FoundYes, calls: 1},
		"the archive is gone": {between: func(l *lab) error {
			_, err := l.s3.DeleteObject(l.Context(), &s3.DeleteObjectInput{Bucket: &l.bucket, Key: aws.String("code/v1.zip")})
			return err
		}, status: astern.OpFailed, code: astern.NotFound, found: astern.FoundNo, says: "looking at the archive", calls: 0},
		"the archive goes between look and call": {fault: awstest.Fault{Operation: "UpdateFunctionCode", Status: 400, Code: "InvalidParameterValueException",
			Message: "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist."},
			status: astern.OpFailed, code: astern.Refused, found: astern.FoundNo, says: "the archive is gone", calls: 1},
		"another archive lies there": {between: func(l *lab) error { l.upload("v1", "theirs"); return nil },
			status: astern.OpFailed, code: astern.Refused, found: astern.FoundNo, says: "somebody put another archive there", calls: 0},
		"somebody changed the function": {between: func(l *lab) error {
			_, err := l.lambda.UpdateFunctionCode(l.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: &l.name, ZipFile: archive(l, "theirs")})
			return err
		}, status: astern.OpFailed, code: astern.Refused, found: astern.FoundNo, says: "somebody else changed the function", calls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, true, true)
			f.check(l, l.calls("v1", astern.Options{})[0], "UpdateFunctionCode")
		})
	}
}

func TestPublishFails(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]failure{
		"denied":            {fault: refusal("PublishVersion", "lambda:PublishVersion"), status: astern.OpFailed, code: astern.Denied, found: astern.FoundNo, says: "allow lambda:PublishVersion on arn", calls: 1},
		"the reply is lost": {fault: awstest.Fault{Operation: "PublishVersion", LoseReply: true, Times: 1}, status: astern.OpUnsure, code: astern.Unavailable, found: astern.FoundYes, calls: 1},
		"too much code": {fault: awstest.Fault{Operation: "PublishVersion", Status: 400, Code: "CodeStorageExceededException", Message: "Code storage limit exceeded."},
			status: astern.OpFailed, code: astern.Refused, found: astern.FoundNo, says: "Code storage limit exceeded", calls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, true, true)
			calls := l.calls("v1", astern.Options{})
			op := l.driver.Actor.Start(t.Context(), l.before(calls[0]))
			if l.settled(nil); op.Status == astern.OpRunning {
				op = l.driver.Actor.Poll(t.Context(), calls[0], op)
			}
			if op.Status != astern.OpDone {
				t.Fatalf("putting the code in place: %+v", op)
			}
			calls[1].Args["hash"] = op.Outputs["hash"]
			f.check(l, calls[1], "PublishVersion")
		})
	}
	t.Run("what is published already", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, true, true)
		_, err := l.lambda.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: &l.name}) // moto takes note of changes from here on
		l.must(err)
		calls := l.calls("v1", astern.Options{})
		calls[1].Args["hash"] = astern.Text(l.history.Deployments[0].Hash) // of v2, which $LATEST still has
		op := l.driver.Actor.Start(t.Context(), l.before(calls[1]))
		if op.Status != astern.OpFailed || op.Code != astern.Refused || !strings.Contains(op.Error, "nothing to publish") {
			t.Errorf("publishing what did not change: %+v", op)
		}
	})
}

// What the alias has beside it is told: it does not move, or it is set up anew.
func TestNotes(t *testing.T) {
	t.Parallel()
	l := newLab(t, false, false)
	s := l.observe()
	at := s.Values["arn"].At
	s.Values["event-sources"] = astern.Value{Text: "$LATEST arn:aws:sqs:x:y:a\n$LATEST arn:aws:sqs:x:y:b\nlive arn:aws:sqs:x:y:c", At: at}
	s.Values["provisioned"] = astern.Value{Text: "5, READY", At: at}
	route, err := l.driver.Router.Route(l.c, s, l.target(s, "1"), astern.Options{Percent: 100})
	l.must(err)
	want := []string{"provisioned concurrency of the alias (5, READY) is set up anew for the other version: until it is READY, calls start cold",
		"2 event sources call " + l.name + ":$LATEST, which does not move"}
	if !slices.Equal(route.Notes, want) {
		t.Errorf("the notes are %q, want %q", route.Notes, want)
	}
}

func TestDeprecatedRuntime(t *testing.T) {
	t.Parallel()
	l := newLab(t, false, false)
	s := l.observe()
	s.Values["runtime/1"] = astern.Value{Text: "python3.8", At: s.Values["arn"].At}
	evidence := l.target(s, "1").Evidence
	if !slices.ContainsFunc(evidence, func(e astern.Evidence) bool {
		return e.Readiness == astern.AtRisk && strings.Contains(e.What, "python3.8 is deprecated since 2024-10-14")
	}) {
		t.Errorf("nothing tells of the deprecated runtime: %+v", evidence)
	}
}

func TestDiscover(t *testing.T) {
	t.Parallel()
	l := newLab(t, false, false)
	alone := awstest.Name(t)
	f, err := l.lambda.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &l.name})
	l.must(err)
	_, err = l.lambda.CreateFunction(t.Context(), &lambda.CreateFunctionInput{FunctionName: &alone, Role: f.Role, Runtime: types.RuntimePython313, Handler: aws.String("main.handler"),
		Code: &types.FunctionCode{ZipFile: archive(t, "x")}})
	l.must(err)
	found, err := l.driver.Discoverer.Discover(t.Context(), []string{"aws:"})
	l.must(err)
	names := map[string]Settings{}
	for _, d := range found {
		names[d.Name] = d.Settings.(Settings)
	}
	if s := names[l.name]; s.Function != l.name || s.Alias != "live" || s.Region != "eu-central-1" {
		t.Errorf("%s was found as %+v", l.name, s)
	}
	if _, ok := names[alone]; ok {
		t.Errorf("%s has no alias and was found", alone)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for with, want := range map[string]string{
		`{"function":"shop","alias":"live"}`:                                                                "",
		`{"function":"shop","alias":"live","region":"eu-central-1","account":"123456789012"}`:               "",
		`{"function":"arn:aws:lambda:eu-central-1:123456789012:function:shop","alias":"live"}`:              "function",
		`{"function":"shop:2","alias":"live"}`:                                                              "function",
		`{"function":"../x","alias":"live"}`:                                                                "function",
		`{"function":"shop","alias":"2"}`:                                                                   "alias",
		`{"function":"shop","alias":"$LATEST"}`:                                                             "alias",
		`{"function":"shop","alias":"live","region":"Frankfurt"}`:                                           "region",
		`{"function":"shop","alias":"live","account":"12"}`:                                                 "account",
		`{"function":"shop","alias":"live","role":"ops"}`:                                                   "role",
		`{"function":"shop","alias":"live","archive":{"bucket":"B","key":"x/{revision}"}}`:                  "archive/bucket",
		`{"function":"shop","alias":"live","archive":{"bucket":"code","key":"x.zip"}}`:                      "archive/key",
		`{"function":"shop","alias":"live","archive":{"bucket":"code","key":"{revision}/{revision}.zip"}}`:  "archive/key",
		`{"function":"shop","alias":"live","what":1}`:                                                       " ",
		`{"function":"shop","alias":"live","archive":{"bucket":"code","key":"a {revision} 'ü\"/../x.zip"}}`: "",
	} {
		problems := validator{}.Validate(astern.Component{Environment: "test", Name: "shop", Settings: []byte(with)})
		switch {
		case want == "" && len(problems) > 0:
			t.Errorf("%s: %+v", with, problems)
		case want != "" && (len(problems) != 1 || strings.TrimSpace(want) != problems[0].Path):
			t.Errorf("%s: the problems are %+v, want one at %q", with, problems, want)
		}
	}
}

// Whether the role is there is not known, and a person may move the alias all the same.
func TestRoleUnknown(t *testing.T) {
	l := newLab(t, true, false)
	l.Inject(t, awstest.Fault{Operation: "GetRole", About: l.name, Status: 400, Code: "AccessDenied", Message: "not authorized to perform: iam:GetRole"})
	s := l.observe()
	target := l.target(s, "v1")
	if !slices.ContainsFunc(target.Evidence, func(e astern.Evidence) bool { return e.Readiness == astern.ReadyUnknown }) {
		t.Errorf("what is not known is told nowhere: %v", target.Evidence)
	}
	if _, err := l.driver.Router.Route(l.c, s, target, astern.Options{Verb: astern.VerbRollback, Percent: 100}); err != nil {
		t.Error(err)
	}
}

// Code from an archive comes into $LATEST first: an alias that serves that would serve it before anything was looked at.
func TestArchiveUnderLatest(t *testing.T) {
	l := newLab(t, true, true)
	_, err := l.lambda.UpdateAlias(t.Context(), &lambda.UpdateAliasInput{FunctionName: &l.name, Name: aws.String("live"), FunctionVersion: aws.String(latest)})
	l.must(err)
	s := l.observe()
	_, err = l.driver.Router.Route(l.c, s, l.target(s, "v1"), astern.Options{Verb: astern.VerbRollback, Percent: 100})
	if astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), "the alias live serves $LATEST") {
		t.Error(err)
	}
}

// Shares are read as they are written: what a forged plan or journal adds to them does not come into a title or a value.
func TestSharesAsWritten(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "7=0.1", "7=0.1 8=0.25"} {
		if _, err := parseRouting(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"\r", " ", "7=0.1\n", "7=0.1  8=0.2", "7=0.1\u2028", "7", "7=2", "x=0.1", "7=NaN", "7=0.1\x1b[2J"} {
		if got, err := parseRouting(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}
