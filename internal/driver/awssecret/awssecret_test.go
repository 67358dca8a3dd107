package awssecret

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/awsapi/awslaw"
	"github.com/astern-dev/astern/internal/awsapi/awstest"
	"github.com/astern-dev/astern/internal/canary"
	"github.com/astern-dev/astern/internal/drivertest"
)

func TestMain(m *testing.M) { os.Exit(awstest.Main(m)) }

var accounts = awsapi.New()

// lab is a secret in moto with two versions, encrypted by a key of its own.
type lab struct {
	testing.TB
	*awstest.Account
	name, key string
	secrets   *secretsmanager.Client
	kms       *kms.Client
	c         astern.Component
	driver    astern.Driver
	history   astern.History
	old, new  string
}

// value is what version n holds: nothing may show it.
func (l *lab) value(n int) string { return canary.Kept(fmt.Sprint(l.name, n)) }

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{TB: t, Account: awstest.Start(t), name: awstest.Name(t)}
	session, err := accounts.Session(t.Context(), awsapi.Settings{})
	l.must(err)
	l.secrets, l.kms = secretsmanager.NewFromConfig(session.Act), kms.NewFromConfig(session.Act)
	key, err := l.kms.CreateKey(t.Context(), &kms.CreateKeyInput{})
	l.must(err)
	l.key = *key.KeyMetadata.KeyId
	first, err := l.secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &l.name, SecretString: aws.String(l.value(1)), KmsKeyId: &l.key})
	l.must(err)
	l.old, l.new = *first.VersionId, l.put(2)
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for i, rev := range []string{l.old, l.new} {
		when := at.Add(time.Duration(i) * time.Hour)
		l.history.Deployments = append([]astern.Deployment{{Revision: rev, LastAt: &when, KnownGoodAt: &when}}, l.history.Deployments...)
	}
	l.history.Current = l.new
	l.c = astern.Component{Environment: "test", Name: l.name, Kind: Kind, Checks: []astern.Check{{Name: "login", Effects: astern.EffectsNone,
		Command: &astern.CommandCheck{Argv: []string{"./login", "{revision}"}}}}}
	l.c.Settings, _ = json.Marshal(Settings{Secret: l.name, Tries: "login"})
	l.driver = New(accounts, func(string) (astern.Component, bool) { return l.c, true })
	return l
}

// put makes a new version, which becomes the current one.
func (l *lab) put(n int) string {
	l.Helper()
	out, err := l.secrets.PutSecretValue(l.Context(), &secretsmanager.PutSecretValueInput{SecretId: &l.name, SecretString: aws.String(l.value(n))})
	l.must(err)
	return *out.VersionId
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// labels are the versions with their labels.
func (l *lab) labels() map[string]string {
	l.Helper()
	s, err := ask(l.Context(), l.secrets, place{Settings: Settings{Secret: l.name}})
	l.must(err)
	out := map[string]string{"deleted": fmt.Sprint(s.out.DeletedDate != nil)}
	for v, labels := range s.stages {
		labels = slices.Clone(labels)
		slices.Sort(labels)
		out[v] = strings.Join(labels, " ")
	}
	return out
}

func (l *lab) observe() astern.State {
	l.Helper()
	s, err := l.driver.Observer.Observe(l.Context(), l.c, astern.Scope{})
	l.must(err)
	return s
}

// way returns the way to a revision.
func (l *lab) way(rev string) astern.Route {
	l.Helper()
	route, err := l.driver.Router.Route(l.c, l.observe(), astern.Target{Address: l.c.Address(), Revision: rev}, astern.Options{Verb: astern.VerbRollback, Percent: 100})
	l.must(err)
	return route
}

// call returns the call that moves the label, with its image.
func (l *lab) call(rev string) astern.Call {
	l.Helper()
	stages := l.way(rev).Stages
	step := stages[len(stages)-1].Steps[0]
	call := astern.Call{Execution: "ex-1", Step: step.ID, Address: step.Address, Kind: step.Kind, Verb: step.Verb, Args: step.Args, Token: "token-1", Fence: 1}
	image, err := l.driver.Actor.Before(l.Context(), call)
	l.must(err)
	call.Image = image
	return call
}

func TestConformance(t *testing.T) {
	t.Parallel()
	awstest.Start(t)
	law := awslaw.Watch(t)
	conformance(law).Run(t)
	law.Holds(t, nil)
}

func conformance(law *awslaw.Law) drivertest.Suite {
	labs := map[string]*lab{}
	driver := New(law.Accounts, func(address string) (astern.Component, bool) {
		l, ok := labs[address]
		if !ok {
			return astern.Component{}, false
		}
		return l.c, true
	})
	suite := drivertest.Suite{
		Driver:           driver,
		Data:             hostileData,
		ImageIsCondition: true,
		Fenced:           []string{verbMove},
		New: func(t testing.TB) drivertest.World {
			l := newLab(t)
			labs[l.c.Address()] = l
			law.Needs(driver.Permitter.Permissions(l.c))
			return drivertest.World{Component: l.c, History: l.history, Old: l.old, New: l.new, Secrets: []string{l.value(1), l.value(2)}, Place: "aws:" + awslaw.Region,
				Snapshot: func(testing.TB) map[string]string { return l.labels() }}
		},
	}
	for _, b := range breaks {
		suite.Breaks = append(suite.Breaks, drivertest.Break{Name: b.name, Want: b.want, Open: b.name == unseenKey, Do: func(t testing.TB, w drivertest.World) {
			l := labs[w.Component.Address()]
			l.must(b.do(l))
		}})
	}
	return suite
}

// unseenKey is the damage that is beside the way.
const unseenKey = "the key may not be looked at"

// breaks are ways to damage a lab, with what that makes of its first version.
var breaks = []struct {
	name string
	want astern.Readiness
	do   func(l *lab) error
}{
	{"the secret is scheduled for deletion", astern.Broken, func(l *lab) error {
		_, err := l.secrets.DeleteSecret(l.Context(), &secretsmanager.DeleteSecretInput{SecretId: &l.name})
		return err
	}},
	{"the key is disabled", astern.Broken, func(l *lab) error {
		_, err := l.kms.DisableKey(l.Context(), &kms.DisableKeyInput{KeyId: &l.key})
		return err
	}},
	{"the key is scheduled for deletion", astern.Broken, func(l *lab) error {
		_, err := l.kms.ScheduleKeyDeletion(l.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &l.key})
		return err
	}},
	{unseenKey, astern.ReadyUnknown, func(l *lab) error {
		l.Inject(l, awstest.Fault{Operation: "DescribeKey", About: l.key, Status: 400, Code: "AccessDeniedException", Message: "no"})
		return nil
	}},
	{"a rotation is under way", astern.ReadyUnknown, func(l *lab) error {
		_, err := l.secrets.PutSecretValue(l.Context(), &secretsmanager.PutSecretValueInput{SecretId: &l.name, SecretString: aws.String("x"), VersionStages: []string{labelPending}})
		return err
	}},
	{"its label is gone", astern.AtRisk, func(l *lab) error {
		l.put(3)
		return nil
	}},
}

// The label is moved only when the user's own check has passed, and that gets the version to try.
func TestTriesFirst(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	stages := l.way(l.old).Stages
	if len(stages) != 2 || stages[0].Steps[0].Kind != "check" || stages[0].Steps[0].Args["check"].String() != "login" {
		t.Fatalf("the way does not try the credential first: %+v", stages)
	}
	if move := stages[1].Steps[0]; !slices.Contains(move.Guards, stages[0].Steps[0].ID) {
		t.Errorf("the move is not guarded by the trial: %+v", move)
	}
	if got := stages[0].Steps[0].Command; got != "./login "+l.old {
		t.Errorf("a person would type %q", got)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault   awstest.Fault
		between func(l *lab)
		status  astern.OpStatus
		code    astern.Code
		found   astern.FoundAnswer
		says    string
	}{
		"denied": {fault: awstest.Fault{Operation: "UpdateSecretVersionStage", Status: 400, Code: "AccessDeniedException",
			Message: "User: arn:aws:iam::123456789012:user/u is not authorized to perform: secretsmanager:UpdateSecretVersionStage on resource: SECRET because no identity-based policy allows it"},
			status: astern.OpFailed, code: astern.Denied, found: astern.FoundNo, says: "allow secretsmanager:UpdateSecretVersionStage on SECRET"},
		"throttled": {fault: awstest.Fault{Operation: "UpdateSecretVersionStage", Status: 400, Code: "ThrottlingException", Message: "Rate exceeded"},
			status: astern.OpFailed, code: astern.Throttled, found: astern.FoundNo},
		"expired credentials": {fault: awstest.Fault{Operation: "UpdateSecretVersionStage", Status: 400, Code: "ExpiredTokenException", Message: "The security token included in the request is expired"},
			status: astern.OpFailed, code: astern.Denied, found: astern.FoundNo, says: "aws sso login"},
		"the reply is lost":    {fault: awstest.Fault{Operation: "UpdateSecretVersionStage", LoseReply: true, Times: 1}, status: astern.OpUnsure, code: astern.Unavailable, found: astern.FoundYes},
		"the request is lost":  {fault: awstest.Fault{Operation: "UpdateSecretVersionStage", LoseRequest: true, Times: 1}, status: astern.OpUnsure, code: astern.Unavailable, found: astern.FoundNo},
		"a fault of the cloud": {fault: awstest.Fault{Operation: "UpdateSecretVersionStage", Status: 500, Code: "InternalServiceError", Message: "An error occurred on the server side."}, status: astern.OpUnsure, code: astern.Unavailable, found: astern.FoundNo},
		"read back later": {fault: awstest.Fault{Operation: "DescribeSecret", Status: 400, Code: "ThrottlingException", Message: "Rate exceeded"},
			status: astern.OpFailed, code: astern.Throttled, found: astern.FoundUnknown},
		"somebody moved it before": {between: func(l *lab) { l.put(3) }, status: astern.OpFailed, code: astern.Refused, found: astern.FoundNo, says: "somebody else changed it"},
		"somebody moved it between look and call": {fault: awstest.Fault{Operation: "UpdateSecretVersionStage", Times: 1}, between: nil,
			status: astern.OpFailed, code: astern.Refused, found: astern.FoundNo, says: "somebody else changed the secret in the meantime"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			accounts := awsapi.New() // of this test: throttling slows down a whole session
			t.Cleanup(func() { accounts.Close() })
			l.driver = New(accounts, func(string) (astern.Component, bool) { return l.c, true })
			call := l.call(l.old)
			switch {
			case c.between != nil:
				c.between(l)
			case c.fault.Status == 0 && !c.fault.LoseReply && !c.fault.LoseRequest:
				c.fault.Before = func() { l.put(3) }
				fallthrough
			default:
				c.fault.About = l.name
				l.Inject(t, c.fault)
			}
			op := l.driver.Actor.Start(t.Context(), call)
			if op.Status != c.status || op.Code != c.code || !strings.Contains(op.Error+op.Hint, c.says) {
				t.Errorf("Start answers %+v, want %s with the code %s and %q", op, c.status, c.code, c.says)
			}
			if got := l.driver.Actor.Find(t.Context(), call); got.Answer != c.found {
				t.Errorf("Find answers %+v, want %s", got, c.found)
			}
		})
	}
}

// Who is held up after reading which version is current, while somebody goes to another one and back, moves nothing.
func TestMoveOvertaken(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	call := l.call(l.old)
	l.move(l.new, l.old)
	l.move(l.old, l.new)
	before := l.labels()
	op := l.driver.Actor.Start(t.Context(), call)
	if op.Status != astern.OpFailed || op.Code != astern.Refused || !strings.Contains(op.Error, "somebody else changed it in the meantime; "+l.new+" is current now") {
		t.Errorf("overtaken it says %+v", op)
	}
	if diff := cmp.Diff(before, l.labels()); diff != "" {
		t.Errorf("the labels were moved (-newer +older):\n%s", diff)
	}
	if op := l.driver.Actor.Start(t.Context(), l.call(l.old)); op.Status != astern.OpDone {
		t.Errorf("with what is there now: %+v", op)
	}
}

// move moves the label AWSCURRENT.
func (l *lab) move(from, to string) {
	l.Helper()
	_, err := l.secrets.UpdateSecretVersionStage(l.Context(), &secretsmanager.UpdateSecretVersionStageInput{SecretId: &l.name, VersionStage: aws.String(labelCurrent),
		RemoveFromVersionId: &from, MoveToVersionId: &to})
	l.must(err)
}

func TestDiscover(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	found, err := l.driver.Discoverer.Discover(t.Context(), []string{"aws:eu-central-1", "."})
	l.must(err)
	if !slices.ContainsFunc(found, func(d astern.Discovered) bool { return d.Settings.(Settings).Secret == l.name }) {
		t.Errorf("%s is not among the %d that were found", l.name, len(found))
	}
	if _, err := l.driver.Discoverer.Discover(t.Context(), []string{"aws:nowhere"}); astern.CodeOf(err) != astern.Invalid {
		t.Errorf("a region that is none: %v", err)
	}
}

// A rotation that has ended may leave its label on the version that it made current. After that version was left, nothing is under
// way: there is a way back to it, and the plan says what rotating would fail at.
func TestLabelOfAnEndedRotation(t *testing.T) {
	l := newLab(t)
	_, err := l.secrets.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{SecretId: &l.name, VersionStage: aws.String(labelPending), MoveToVersionId: &l.new})
	l.must(err)
	to := func(version string) (astern.Route, error) {
		return l.driver.Router.Route(l.c, l.observe(), astern.Target{Address: l.c.Address(), Revision: version}, astern.Options{Verb: astern.VerbRollback, Percent: 100})
	}
	route, err := to(l.old)
	if err != nil || !strings.Contains(strings.Join(route.Notes, "\n"), "--version-stage AWSPENDING --remove-from-version-id "+l.new) {
		t.Errorf("%v, %q", err, route.Notes)
	}
	if op := l.driver.Actor.Start(t.Context(), l.call(l.old)); op.Status != astern.OpDone {
		t.Fatal(op.Status, op.Error)
	}
	if _, err := to(l.new); err != nil {
		t.Error(err)
	}
}

// Whether the key can be used is not known, and the move does not use it: a person may go there.
func TestKeyUnknown(t *testing.T) {
	l := newLab(t)
	l.Inject(t, awstest.Fault{Operation: "DescribeKey", About: l.key, Status: 400, Code: "AccessDeniedException", Message: "not authorized to perform: kms:DescribeKey"})
	if _, err := l.driver.Router.Route(l.c, l.observe(), astern.Target{Address: l.c.Address(), Revision: l.old}, astern.Options{Verb: astern.VerbRollback, Percent: 100}); err != nil {
		t.Error(err)
	}
}
