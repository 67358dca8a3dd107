package awsssm

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/awsapi/awslaw"
	"github.com/astern-dev/astern/internal/awsapi/awstest"
	"github.com/astern-dev/astern/internal/canary"
	"github.com/astern-dev/astern/internal/drivertest"
)

func TestMain(m *testing.M) { os.Exit(awstest.Main(m)) }

var accounts = awsapi.New()

// lab is a parameter in moto with two versions.
type lab struct {
	testing.TB
	*awstest.Account
	name    string
	kind    types.ParameterType
	ssm     *ssm.Client
	c       astern.Component
	driver  astern.Driver
	history astern.History
}

// value is what version n has: nothing may show it.
func (l *lab) value(n int) string { return canary.Kept(fmt.Sprint(l.name, n)) }

func newLab(t testing.TB, kind types.ParameterType) *lab {
	t.Helper()
	l := &lab{TB: t, Account: awstest.Start(t), name: "/" + awstest.Name(t) + "/db", kind: kind}
	session, err := accounts.Session(t.Context(), awsapi.Settings{})
	l.must(err)
	l.ssm = ssm.NewFromConfig(session.Act)
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for n := 1; n <= 2; n++ {
		l.put(n, l.value(n))
		when, rev := at.Add(time.Duration(n)*time.Hour), fmt.Sprint(n)
		l.history.Current = rev
		l.history.Deployments = append([]astern.Deployment{{Revision: rev, LastAt: &when, KnownGoodAt: &when}}, l.history.Deployments...)
	}
	l.c = astern.Component{Environment: "test", Name: strings.ReplaceAll(strings.Trim(l.name, "/"), "/", "-"), Kind: Kind}
	l.c.Settings, _ = json.Marshal(Settings{Parameter: l.name})
	l.driver = New(accounts, func(string) (astern.Component, bool) { return l.c, true })
	return l
}

func (l *lab) put(n int, value string) {
	l.Helper()
	_, err := l.ssm.PutParameter(l.Context(), &ssm.PutParameterInput{Name: &l.name, Value: &value, Type: l.kind, Overwrite: aws.Bool(n > 1),
		Description: aws.String("of the shop")})
	l.must(err)
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// values are the parameter's values, the oldest first.
func (l *lab) values() []string {
	l.Helper()
	all, err := history(l.Context(), l.ssm, place{Settings: Settings{Parameter: l.name}}, true)
	if astern.CodeOf(err) == astern.NotFound {
		return nil
	}
	l.must(err)
	out := make([]string, len(all))
	for i, v := range all {
		out[len(all)-1-i] = aws.ToString(v.entry.Value)
	}
	return out
}

// way returns the call that goes to a revision, with its image.
func (l *lab) way(rev string) astern.Call {
	l.Helper()
	s, err := l.driver.Observer.Observe(l.Context(), l.c, astern.Scope{})
	l.must(err)
	route, err := l.driver.Router.Route(l.c, s, astern.Target{Address: l.c.Address(), Revision: rev}, astern.Options{Verb: astern.VerbRollback, Percent: 100})
	l.must(err)
	step := route.Stages[0].Steps[0]
	call := astern.Call{Execution: "ex-1", Step: step.ID, Address: step.Address, Kind: step.Kind, Verb: step.Verb, Args: step.Args, Token: "token-1", Fence: 1}
	call.Image, err = l.driver.Actor.Before(l.Context(), call)
	l.must(err)
	return call
}

func TestConformance(t *testing.T) {
	t.Parallel()
	awstest.Start(t)
	law := awslaw.Watch(t)
	t.Cleanup(func() {
		why := "Parameter Store asks KMS on our behalf"
		law.Holds(t, map[string]string{"kms:DescribeKey": "only a key of the user's own is looked at: TestKeys", "kms:Decrypt": why, "kms:Encrypt": why, "kms:GenerateDataKey": why})
	})
	for _, kind := range []types.ParameterType{types.ParameterTypeString, types.ParameterTypeSecureString} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			conformance(t, law, kind).Run(t)
		})
	}
}

func conformance(t *testing.T, law *awslaw.Law, kind types.ParameterType) drivertest.Suite {
	t.Helper()
	labs := map[string]*lab{}
	of := func(w drivertest.World) *lab { return labs[w.Component.Address()] }
	driver := New(law.Accounts, func(address string) (astern.Component, bool) {
		l, ok := labs[address]
		if !ok {
			return astern.Component{}, false
		}
		return l.c, true
	})
	return drivertest.Suite{
		Driver: driver,
		New: func(t testing.TB) drivertest.World {
			l := newLab(t, kind)
			labs[l.c.Address()] = l
			law.Needs(driver.Permitter.Permissions(l.c))
			return drivertest.World{Component: l.c, History: l.history, Old: "1", New: "2", Secrets: []string{l.value(1), l.value(2)}, Place: "aws:" + awslaw.Region,
				Snapshot: func(testing.TB) map[string]string {
					out := map[string]string{}
					for i, v := range l.values() {
						out[fmt.Sprint(i)] = v
					}
					return out
				}}
		},
		Data:     hostileData,
		Compared: hostileCompared,
		Breaks: []drivertest.Break{
			{Name: "the parameter was deleted", Want: astern.Broken, Do: func(t testing.TB, w drivertest.World) {
				l := of(w)
				_, err := l.ssm.DeleteParameter(t.Context(), &ssm.DeleteParameterInput{Name: &l.name})
				l.must(err)
			}},
			{Name: "the parameter may not be read", Want: astern.ReadyUnknown, Do: func(t testing.TB, w drivertest.World) {
				l := of(w)
				l.Inject(t, awstest.Fault{Operation: "GetParameter", About: l.name, Status: 400, Code: "AccessDeniedException", Message: "no"})
			}},
		},
	}
}

// What a put leaves is a new version with the earlier value; who goes back and forth meets the revisions by their names.
func TestRevisionsKeepTheirNames(t *testing.T) {
	t.Parallel()
	l := newLab(t, types.ParameterTypeString)
	for i, rev := range []string{"1", "2", "1"} {
		if op := l.driver.Actor.Start(t.Context(), l.way(rev)); op.Status != astern.OpDone {
			t.Fatalf("putting %s: %+v", rev, op)
		}
		s, err := l.driver.Observer.Observe(t.Context(), l.c, astern.Scope{})
		l.must(err)
		if got := s.Values["revision"].Text; got != rev {
			t.Errorf("after put %d the revision is %s, want %s", i+1, got, rev)
		}
		names := map[string]bool{}
		for _, target := range l.driver.Router.Targets(l.c, s, astern.History{}) {
			names[target.Revision] = true
		}
		if want := map[string]bool{"1": true, "2": true}; !maps.Equal(names, want) {
			t.Errorf("after put %d the targets are %v, want %v", i+1, names, want)
		}
	}
	if got, want := strings.Join(l.values(), " "), strings.Join([]string{l.value(1), l.value(2), l.value(1), l.value(2), l.value(1)}, " "); got != want {
		t.Errorf("the values are %s, want %s", got, want)
	}
	// A later write that takes over the description is not taken for what it marks.
	last, err := history(t.Context(), l.ssm, place{Settings: Settings{Parameter: l.name}}, false)
	l.must(err)
	_, err = l.ssm.PutParameter(t.Context(), &ssm.PutParameterInput{Name: &l.name, Value: aws.String("new"), Type: l.kind, Overwrite: aws.Bool(true), Description: last[0].entry.Description})
	l.must(err)
	s, err := l.driver.Observer.Observe(t.Context(), l.c, astern.Scope{Paths: []string{"revision"}})
	l.must(err)
	if got := s.Values["revision"].Text; got != "6" {
		t.Errorf("a write of somebody else is revision %s, want 6", got)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  awstest.Fault
		before func(l *lab)
		status astern.OpStatus
		code   astern.Code
		found  astern.FoundAnswer
		says   string
		puts   int // values in the end, of two before
	}{
		"denied": {fault: awstest.Fault{Operation: "PutParameter", Status: 400, Code: "AccessDeniedException",
			Message: "User: arn:aws:iam::123456789012:user/u is not authorized to perform: ssm:PutParameter on resource: arn:aws:ssm:eu-central-1:123456789012:parameter/x"},
			status: astern.OpFailed, code: astern.Denied, found: astern.FoundNo, says: "allow ssm:PutParameter on arn:aws:ssm:eu-central-1:123456789012:parameter/x", puts: 2},
		"an error that repeats the value": {fault: awstest.Fault{Operation: "PutParameter", Status: 400, Code: "ValidationException", Message: "1 validation error: Value 'VALUE' at 'value' is bad"},
			status: astern.OpFailed, code: astern.Invalid, found: astern.FoundNo, says: "ssm:PutParameter: ValidationException", puts: 2},
		"throttled": {fault: awstest.Fault{Operation: "PutParameter", Status: 400, Code: "ThrottlingException", Message: "Rate exceeded"},
			status: astern.OpFailed, code: astern.Throttled, found: astern.FoundNo, puts: 2},
		"the reply is lost":   {fault: awstest.Fault{Operation: "PutParameter", LoseReply: true, Times: 1}, status: astern.OpUnsure, code: astern.Unavailable, found: astern.FoundYes, puts: 3},
		"the request is lost": {fault: awstest.Fault{Operation: "PutParameter", LoseRequest: true, Times: 1}, status: astern.OpUnsure, code: astern.Unavailable, found: astern.FoundNo, puts: 2},
		"a fault of the cloud": {fault: awstest.Fault{Operation: "PutParameter", Status: 500, Code: "InternalServerError", Message: "An error occurred on the server side."},
			status: astern.OpUnsure, code: astern.Unavailable, found: astern.FoundNo, puts: 2},
		"somebody else wrote": {before: func(l *lab) { l.put(3, "theirs") }, status: astern.OpFailed, code: astern.Refused, found: astern.FoundNo, says: "somebody else wrote version 3", puts: 3},
		"somebody else made it anew, and wrote as often": {before: func(l *lab) {
			_, err := l.ssm.DeleteParameter(l.Context(), &ssm.DeleteParameterInput{Name: &l.name})
			l.must(err)
			l.put(1, "theirs")
			l.put(2, "theirs as well")
		}, status: astern.OpFailed, code: astern.Refused, found: astern.FoundNo, says: "somebody else deleted the parameter and made it anew", puts: 2},
		"the parameter is gone": {before: func(l *lab) {
			_, err := l.ssm.DeleteParameter(l.Context(), &ssm.DeleteParameterInput{Name: &l.name})
			l.must(err)
		}, status: astern.OpFailed, code: astern.NotFound, found: astern.FoundUnknown, puts: 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, types.ParameterTypeSecureString)
			accounts := awsapi.New() // of this test: throttling slows down a whole session
			t.Cleanup(func() { accounts.Close() })
			l.driver = New(accounts, func(string) (astern.Component, bool) { return l.c, true })
			call := l.way("1")
			if c.before != nil {
				c.before(l)
			} else {
				c.fault.About, c.fault.Message = l.name, strings.ReplaceAll(c.fault.Message, "VALUE", l.value(1))
				l.Inject(t, c.fault)
			}
			op := l.driver.Actor.Start(t.Context(), call)
			if op.Status != c.status || op.Code != c.code || !strings.Contains(op.Error+op.Hint, c.says) {
				t.Errorf("Start answers %+v, want %s with the code %s and %q", op, c.status, c.code, c.says)
			}
			if strings.Contains(fmt.Sprint(op), l.value(1)) {
				t.Errorf("the error tells the value: %+v", op)
			}
			if got := l.driver.Actor.Find(t.Context(), call); got.Answer != c.found {
				t.Errorf("Find answers %+v, want %s", got, c.found)
			}
			if got := l.values(); len(got) != c.puts {
				t.Errorf("the parameter has %d versions, want %d", len(got), c.puts)
			}
		})
	}
}

func TestDescriptionsStayShort(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 600)
	got := marked(&long, 7, "3")
	if len(got) > longestDescription || !strings.HasSuffix(got, "(version 7 has the value of version 3)") || strings.ToValidUTF8(got, "?") != got {
		t.Errorf("the description is %d bytes: %q", len(got), got)
	}
	if again := marked(&got, 9, "3"); strings.Count(again, "has the value") != 1 {
		t.Errorf("marks pile up: %q", again)
	}
}

func TestDiscover(t *testing.T) {
	t.Parallel()
	l := newLab(t, types.ParameterTypeString)
	found, err := l.driver.Discoverer.Discover(t.Context(), []string{".", "aws:"})
	l.must(err)
	for _, d := range found {
		if s, ok := d.Settings.(Settings); ok && s.Parameter == l.name && s.Region == "eu-central-1" {
			return
		}
	}
	t.Errorf("%s is not among the %d that were found", l.name, len(found))
}

// TestKeys: a value that nobody can decrypt is no way back, and the date at which its key goes is said.
func TestKeys(t *testing.T) {
	t.Parallel()
	l := newLab(t, types.ParameterTypeSecureString)
	session, err := accounts.Session(t.Context(), awsapi.Settings{})
	l.must(err)
	keys := kms.NewFromConfig(session.Act)
	made, err := keys.CreateKey(t.Context(), &kms.CreateKeyInput{})
	l.must(err)
	id := made.KeyMetadata.KeyId
	for n := 3; n <= 4; n++ {
		_, err := l.ssm.PutParameter(t.Context(), &ssm.PutParameterInput{Name: &l.name, Value: aws.String(l.value(n)), Type: l.kind, Overwrite: aws.Bool(true), KeyId: id})
		l.must(err)
	}
	want := func(rev string, readiness astern.Readiness, says string) astern.Target {
		t.Helper()
		s, err := l.driver.Observer.Observe(t.Context(), l.c, astern.Scope{})
		l.must(err)
		for _, target := range l.driver.Router.Targets(l.c, s, l.history) {
			for _, e := range target.Evidence {
				if target.Revision == rev && e.Readiness == readiness && strings.Contains(e.What, says) {
					return target
				}
			}
		}
		t.Errorf("revision %s is not %s because %q", rev, readiness, says)
		return astern.Target{}
	}
	want("3", astern.Ready, "its key is Enabled")
	_, err = keys.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: id, PendingWindowInDays: aws.Int32(7)})
	l.must(err)
	if doors := want("3", astern.Broken, "can't be decrypted: its key is PendingDeletion").Doors; len(doors) != 2 {
		t.Errorf("the doors are %+v", doors)
	}
	want("1", astern.Ready, "version 1 has its value")
}

// TestMadeAgain: a parameter that was deleted and made again counts its versions anew, and the ledger's are not those.
func TestMadeAgain(t *testing.T) {
	t.Parallel()
	at := func(hour int) *time.Time { t := time.Date(2026, 1, 2, hour, 0, 0, 0, time.UTC); return &t }
	c := astern.Component{Environment: "test", Name: "db", Kind: Kind, Settings: []byte(`{"parameter": "/shop/db"}`)}
	for name, test := range map[string]struct {
		written, recorded, last *time.Time
		want                    astern.Readiness
	}{
		"as recorded":                   {at(2), at(2), at(2), astern.Ready},
		"recorded later":                {at(2), at(9), at(9), astern.Ready},
		"never recorded":                {at(2), nil, nil, astern.Ready},
		"written after it was recorded": {at(3), at(2), at(2), astern.Broken},
		"recorded again since":          {at(3), at(2), at(10), astern.Ready},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			known := func(text string) astern.Value { return astern.Value{Text: text, At: *at(20)} }
			s := astern.State{Address: c.Address(), Values: map[string]astern.Value{"arn": known("arn:aws:ssm:eu-central-1:123456789012:parameter/shop/db"),
				"revision": known("2"), "latest": known("2"), "version/1": known("1"), "version/2": known("2"), "created/1": known(test.written.Format(time.RFC3339))}}
			h := astern.History{Deployments: []astern.Deployment{{Revision: "1", FirstAt: test.recorded, LastAt: test.last}}}
			for _, target := range (router{}).Targets(c, s, h) {
				if last := target.Evidence[len(target.Evidence)-1]; target.Revision == "1" && last.Readiness != test.want {
					t.Errorf("it is %s: %s", last.Readiness, last.What)
				}
			}
		})
	}
}

// A hundred versions, of which the oldest has a label: nothing can be written any more.
func TestFull(t *testing.T) {
	l := newLab(t, types.ParameterTypeString)
	for n := 3; n <= keptVersions; n++ {
		l.put(n, fmt.Sprint(n))
	}
	planned := l.way("99")
	_, err := l.ssm.LabelParameterVersion(t.Context(), &ssm.LabelParameterVersionInput{Name: &l.name, ParameterVersion: aws.Int64(1), Labels: []string{"first"}})
	l.must(err)
	s, err := l.driver.Observer.Observe(t.Context(), l.c, astern.Scope{})
	l.must(err)
	if v, _ := s.Get("full"); !strings.Contains(v.Text, "the oldest, 1, can't be deleted, for it is labelled first") {
		t.Errorf("%+v", v)
	}
	_, err = l.driver.Router.Route(l.c, s, astern.Target{Address: l.c.Address(), Revision: "99"}, astern.Options{Verb: astern.VerbRollback, Percent: 100})
	if astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), "takes no further version") {
		t.Error(err)
	}
	if op := l.driver.Actor.Start(t.Context(), planned); op.Status != astern.OpFailed || !strings.Contains(op.Error, "takes no further version") || op.Hint == "" {
		t.Error(op)
	}
}
