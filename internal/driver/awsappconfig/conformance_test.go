package awsappconfig

import (
	"cmp"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/appconfig"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi/awslaw"
	"github.com/astern-dev/astern/internal/drivertest"
	emulated "github.com/astern-dev/astern/internal/lab"
)

// broken is a way to damage a configuration, with what that makes of its old version.
type broken struct {
	name string
	want astern.Readiness
	do   func(l *lab)
}

// late is a setup in which the last deployment can't be taken back any more.
var late = setup{since: 80 * time.Hour, monitors: 2, quick: true}

func TestConformance(t *testing.T) {
	t.Parallel()
	law := awslaw.New(t)
	t.Cleanup(func() {
		law.Holds(t, map[string]string{"appconfig:GetApplication": "the application is named here, and looked for by its id only where it is declared by that",
			"appconfig:CreateHostedConfigurationVersion": "switching a flag off is no part of the conformance, and is tried in lab_test.go"})
	})
	for name, c := range map[string]struct {
		in     setup
		breaks []broken
	}{
		"taken back by the cloud, free-form, by numbers": {setup{}, backBreaks},
		"feature flags, by labels":                       {setup{flags: true, named: true}, nil},
		"deployed again, under alarms":                   {late, againBreaks},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance(t, law, c.in, c.breaks).Run(t)
		})
	}
}

var backBreaks = []broken{
	{"the version was deleted", astern.Broken, (*lab).deleteOld},
	{"the environment may not be read", astern.ReadyUnknown, func(l *lab) { l.deny("GetEnvironment") }},
	{"deployments may not be listed", astern.ReadyUnknown, func(l *lab) { l.deny("ListDeployments") }},
	{"versions may not be listed", astern.ReadyUnknown, func(l *lab) { l.deny("ListHostedConfigurationVersions") }},
	{"another profile is being deployed", astern.Broken, (*lab).occupy},
}

var againBreaks = []broken{
	{"the version was deleted", astern.Broken, (*lab).deleteOld},
	{"strategies may not be listed", astern.ReadyUnknown, func(l *lab) { l.deny("ListDeploymentStrategies") }},
	{"an alarm is going off", astern.AtRisk, (*lab).goOff},
	{"alarms may not be read", astern.AtRisk, func(l *lab) {
		l.fault(emulated.Fault{Service: "monitoring", Operation: "DescribeAlarms", Status: 403, Code: "AccessDenied"})
	}},
	{"another profile is being deployed", astern.Broken, (*lab).occupy},
	{"the environment was deleted", astern.Broken, func(l *lab) {
		_, err := l.client.DeleteEnvironment(l.Context(), &appconfig.DeleteEnvironmentInput{ApplicationId: &l.ids.application, EnvironmentId: &l.ids.environment})
		l.must(err)
	}},
}

func (l *lab) deleteOld() {
	l.Helper()
	_, err := l.client.DeleteHostedConfigurationVersion(l.Context(), &appconfig.DeleteHostedConfigurationVersionInput{ApplicationId: &l.ids.application,
		ConfigurationProfileId: &l.ids.profile, VersionNumber: aws.Int32(1)})
	l.must(err)
}

// occupy deploys another profile to the environment.
func (l *lab) occupy() {
	l.Helper()
	made, err := l.client.CreateConfigurationProfile(l.Context(), &appconfig.CreateConfigurationProfileInput{ApplicationId: &l.ids.application, Name: aws.String("other"), LocationUri: aws.String(hosted)})
	l.must(err)
	mine := l.ids.profile
	l.ids.profile = *made.Id
	l.deploy(l.version("theirs", ""), atOnce)
	l.ids.profile = mine
}

func (l *lab) fault(f emulated.Fault) {
	l.Helper()
	_, err := l.AddFault(f)
	l.must(err)
}

func (l *lab) deny(operation string) {
	l.Helper()
	l.fault(emulated.Fault{Service: "appconfig", Operation: operation, Status: 403, Code: "AccessDeniedException",
		Message: "User: arn:aws:iam::123456789012:user/astern is not authorized to perform: appconfig:" + operation + " on resource: arn:aws:appconfig:eu-central-1:123456789012:application/x"})
}

func conformance(t *testing.T, law *awslaw.Law, in setup, breaks []broken) drivertest.Suite {
	t.Helper()
	mine := map[string]*lab{}
	suite := drivertest.Suite{ImageIsCondition: true, Data: hostileData, Legal: map[string]func(string) bool{"token": tokenShape.MatchString}}
	suite.New = func(t testing.TB) drivertest.World {
		l := newLab(t, in)
		mine[l.c.Address()] = l
		p, err := resolve(l.c)
		l.must(err)
		law.Also(t, p.Settings.Settings)
		law.Needs(validator{}.Permissions(l.c))
		w := drivertest.World{Component: l.c, Old: l.old, New: l.new, History: l.history, Snapshot: l.snapshot, Secrets: []string{secretOld, secretNew}}
		if in.flags {
			w.Flag = "new-checkout"
		}
		return w
	}
	suite.Driver = New(law.Accounts, func(address string) (astern.Component, bool) {
		l, ok := mine[address]
		if !ok {
			return astern.Component{}, false
		}
		return l.c, true
	})
	suite.Driver.Observer.(*driver).now = func() time.Time { return time.Now().Add(time.Hour + cmp.Or(in.since, time.Hour)) } // as the labs' clocks
	for _, b := range breaks {
		suite.Breaks = append(suite.Breaks, drivertest.Break{Name: b.name, Want: b.want, Do: func(_ testing.TB, w drivertest.World) { b.do(mine[w.Component.Address()]) }})
	}
	return suite
}
