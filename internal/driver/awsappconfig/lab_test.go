package awsappconfig

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/appconfig"
	"github.com/aws/aws-sdk-go-v2/service/appconfig/types"
	"github.com/aws/aws-sdk-go-v2/service/appconfigdata"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	alarms "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/canary"
	emulated "github.com/astern-dev/astern/internal/lab"
)

// TestMain gives the tests a folder for the profiles by which each reaches its own lab.
func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "awsappconfig-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, name := range []string{"AWS_PROFILE", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		os.Unsetenv(name)
	}
	os.Setenv("AWS_CONFIG_FILE", filepath.Join(folder, "config"))
	os.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	code := m.Run()
	os.RemoveAll(folder)
	os.Exit(code)
}

var profiles struct {
	sync.Mutex
	made int
}

// profileOf makes a profile of ~/.aws/config that leads to the lab at the URL.
func profileOf(t testing.TB, url string) string {
	t.Helper()
	profiles.Lock()
	defer profiles.Unlock()
	profiles.made++
	name := fmt.Sprintf("lab%d", profiles.made)
	f, err := os.OpenFile(os.Getenv("AWS_CONFIG_FILE"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "[profile %s]\nregion = eu-central-1\nendpoint_url = %s\naws_access_key_id = AKIATEST\naws_secret_access_key = test\n", name, url); err != nil {
		t.Fatal(err)
	}
	return name
}

// lab is a configuration in an account of its own, deployed twice: first old, then new, which clients get.
type lab struct {
	testing.TB
	*emulated.Lab
	config   aws.Config
	client   *appconfig.Client
	c        astern.Component
	driver   astern.Driver
	history  astern.History
	ids      ids
	old, new string
	filled   map[string]int // calls by operation until the account was filled
	// justBefore is called once, just before the next deployment is started.
	justBefore atomic.Pointer[func()]
}

// setup says what is in the account.
type setup struct {
	flags    bool          // feature flags instead of free-form configuration
	named    bool          // versions are labelled v1 and v2
	since    time.Duration // since the last deployment began; it bakes for ten minutes
	monitors int           // alarms of the environment
	quick    bool          // the way back is by a strategy that grows and bakes for that long
	minutes  int32
	bake     int32
}

const (
	flagsOld = `{"version":"1","flags":{"cart":{"name":"Cart","attributes":{"limit":{"constraints":{"type":"number"}}}},"new-checkout":{"name":"New checkout"}},` +
		`"values":{"cart":{"enabled":true,"limit":3},"new-checkout":{"enabled":false}}}`
	flagsNew = `{"version":"1","flags":{"cart":{"name":"Cart","attributes":{"limit":{"constraints":{"type":"number"}}}},"new-checkout":{"name":"New checkout"}},` +
		`"values":{"cart":{"enabled":true,"limit":3},"new-checkout":{"enabled":true}}}`
)

// Contents that hold secrets.
var (
	secretOld    = `{"password":"` + canary.Kept("the first") + `"}`
	secretNew    = `{"password":"` + canary.Kept("the second") + `"}`
	secretTheirs = `{"password":"` + canary.Kept("theirs") + `"}`
)

func newLab(t testing.TB, in setup) *lab {
	t.Helper()
	if in.since == 0 {
		in.since = time.Hour
	}
	// All of AppConfig and of the alarms is the lab's own: nothing is behind it.
	inner, err := emulated.New("http://127.0.0.1:1", 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{TB: t, Lab: inner, old: "1", new: "2"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/deployments") {
			if f := l.justBefore.Swap(nil); f != nil {
				(*f)()
			}
		}
		inner.ServeHTTP(w, r)
	}))
	accounts := awsapi.New()
	t.Cleanup(func() {
		accounts.Close()
		server.Close()
		inner.Close()
	})
	settings := Settings{Settings: awsapi.Settings{Profile: profileOf(t, server.URL)}, Application: "shop", Environment: "prod", Configuration: "limits"}
	if in.quick {
		settings.Strategy = "quick"
	}
	session, err := accounts.Session(t.Context(), settings.Settings)
	l.must(err)
	l.config, l.client = session.Act, appconfig.NewFromConfig(session.Act)
	l.c = astern.Component{Environment: "test", Name: "limits-" + settings.Settings.Profile, Kind: Kind}
	l.c.Settings = encoded(t, settings)
	l.driver = New(accounts, func(address string) (astern.Component, bool) { return l.c, address == l.c.Address() })
	l.driver.Observer.(*driver).now = l.Now
	l.fill(in)
	l.filled = map[string]int{}
	for _, e := range l.Calls("appconfig", "", 0) {
		l.filled[e.Operation]++
	}
	return l
}

// fill makes the configuration and deploys it.
func (l *lab) fill(in setup) {
	l.Helper()
	app, err := l.client.CreateApplication(l.Context(), &appconfig.CreateApplicationInput{Name: aws.String("shop")})
	l.must(err)
	environment := &appconfig.CreateEnvironmentInput{ApplicationId: app.Id, Name: aws.String("prod")}
	for i := range in.monitors {
		environment.Monitors = append(environment.Monitors, types.Monitor{AlarmArn: aws.String(l.alarm(fmt.Sprintf("errors-%d", i)))})
	}
	if in.quick {
		factor := float32(100)
		if in.minutes > 0 {
			factor = 10
		}
		l.strategy("quick", in.minutes, in.bake, factor)
	}
	env, err := l.client.CreateEnvironment(l.Context(), environment)
	l.must(err)
	profile := &appconfig.CreateConfigurationProfileInput{ApplicationId: app.Id, Name: aws.String("limits"), LocationUri: aws.String(hosted)}
	contents := []string{secretOld, secretNew}
	if in.flags {
		profile.Type, contents = aws.String(flagType), []string{flagsOld, flagsNew}
	}
	made, err := l.client.CreateConfigurationProfile(l.Context(), profile)
	l.must(err)
	l.ids = ids{*app.Id, *env.Id, *made.Id}
	if in.named {
		l.old, l.new = "v1", "v2"
	}
	for i, rev := range []string{l.old, l.new} {
		label := ""
		if in.named {
			label = rev
		}
		l.version(contents[i], label)
		if i > 0 {
			l.step(time.Hour)
		}
		l.deploy(i+1, atOnce)
		at := l.Now()
		l.history.Current = rev
		l.history.Deployments = append([]astern.Deployment{{Revision: rev, LastAt: &at, KnownGoodAt: &at}}, l.history.Deployments...)
	}
	l.step(in.since)
}

// version adds a hosted version.
func (l *lab) version(content, label string) int {
	l.Helper()
	in := &appconfig.CreateHostedConfigurationVersionInput{ApplicationId: &l.ids.application, ConfigurationProfileId: &l.ids.profile, Content: []byte(content),
		ContentType: aws.String("application/json")}
	if label != "" {
		in.VersionLabel = &label
	}
	out, err := l.client.CreateHostedConfigurationVersion(l.Context(), in)
	l.must(err)
	return int(out.VersionNumber)
}

// deploy starts a deployment as another operator does.
func (l *lab) deploy(version int, strategy string) int {
	l.Helper()
	out, err := l.client.StartDeployment(l.Context(), &appconfig.StartDeploymentInput{ApplicationId: &l.ids.application, EnvironmentId: &l.ids.environment,
		ConfigurationProfileId: &l.ids.profile, ConfigurationVersion: aws.String(fmt.Sprint(version)), DeploymentStrategyId: &strategy})
	l.must(err)
	return int(out.DeploymentNumber)
}

// strategy makes a deployment strategy and returns its id.
func (l *lab) strategy(name string, minutes, bake int32, factor float32) string {
	l.Helper()
	out, err := l.client.CreateDeploymentStrategy(l.Context(), &appconfig.CreateDeploymentStrategyInput{Name: &name, DeploymentDurationInMinutes: &minutes,
		FinalBakeTimeInMinutes: bake, GrowthFactor: &factor, ReplicateTo: types.ReplicateToNone})
	l.must(err)
	return *out.Id
}

// alarm makes an alarm that is quiet, and returns its ARN.
func (l *lab) alarm(name string) string {
	l.Helper()
	c := cloudwatch.NewFromConfig(l.config)
	_, err := c.PutMetricAlarm(l.Context(), &cloudwatch.PutMetricAlarmInput{AlarmName: &name, Namespace: aws.String("shop"), MetricName: aws.String("errors"),
		Statistic: alarms.StatisticSum, Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(10), TreatMissingData: aws.String("notBreaching"),
		ComparisonOperator: alarms.ComparisonOperatorGreaterThanThreshold})
	l.must(err)
	return "arn:aws:cloudwatch:eu-central-1:" + emulated.Account + ":alarm:" + name
}

// goOff sets off the first alarm.
func (l *lab) goOff() {
	l.Helper()
	_, err := cloudwatch.NewFromConfig(l.config).SetAlarmState(l.Context(), &cloudwatch.SetAlarmStateInput{AlarmName: aws.String("errors-0"),
		StateValue: alarms.StateValueAlarm, StateReason: aws.String("errors")})
	l.must(err)
}

func (l *lab) step(by time.Duration) {
	l.Helper()
	_, err := l.Step(l.Context(), by)
	l.must(err)
}

// need passes over a test whose program is not there; in CI that fails.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("CI=true, and there is no %s", program)
	}
	t.Skipf("there is no %s", program)
}

func encoded(t testing.TB, s Settings) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// snapshot is every call that changed something: a driver that only reads adds none.
func (l *lab) snapshot(t testing.TB) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, e := range l.Calls("appconfig", "", 0) {
		if !e.ReadOnly && e.Status < 300 {
			out[fmt.Sprint(e.Seq)] = e.Operation
		}
	}
	return out
}

// clientGets gets the configuration as an application does.
func (l *lab) clientGets() string {
	l.Helper()
	c := appconfigdata.NewFromConfig(l.config)
	s, err := c.StartConfigurationSession(l.Context(), &appconfigdata.StartConfigurationSessionInput{ApplicationIdentifier: aws.String("shop"),
		EnvironmentIdentifier: aws.String("prod"), ConfigurationProfileIdentifier: aws.String("limits")})
	l.must(err)
	out, err := c.GetLatestConfiguration(l.Context(), &appconfigdata.GetLatestConfigurationInput{ConfigurationToken: s.InitialConfigurationToken})
	l.must(err)
	return string(out.Configuration)
}

func (l *lab) observe(paths ...string) astern.State {
	l.Helper()
	s, err := l.driver.Observer.Observe(l.Context(), l.c, astern.Scope{Paths: paths})
	l.must(err)
	return s
}

// target returns the target for a revision.
func (l *lab) target(s astern.State, rev string) astern.Target {
	l.Helper()
	for _, t := range l.driver.Router.Targets(l.c, s, l.history) {
		if t.Revision == rev {
			return t
		}
	}
	l.Fatalf("there is no target %s", rev)
	return astern.Target{}
}

// route returns the way to a revision.
func (l *lab) route(rev string, o astern.Options) astern.Route {
	l.Helper()
	s := l.observe()
	if o.Percent == 0 {
		o.Percent = 100
	}
	if o.Verb == "" {
		o.Verb = astern.VerbRollback
	}
	t := astern.Target{Address: l.c.Address(), Revision: rev}
	if o.Flag == nil {
		t = l.target(s, rev)
	}
	route, err := l.driver.Router.Route(l.c, s, t, o)
	l.must(err)
	return route
}

// off returns the way of a flag.
func (l *lab) off(flag string) astern.Route {
	l.Helper()
	change := astern.FlagChange{Flag: flag}
	t, err := l.driver.Switcher.Switch(l.c, l.observe(), change)
	l.must(err)
	return l.route(t.Revision, astern.Options{Verb: astern.VerbOff, Flag: &change})
}

// steps are those of a way, by their verbs.
func steps(r astern.Route) string {
	var out []string
	for _, st := range r.Stages {
		for _, s := range st.Steps {
			out = append(out, s.Verb)
		}
	}
	return strings.Join(out, " ")
}

// call makes a call of a step, with the outputs of those before it.
func (l *lab) call(s astern.Step, outputs map[string]astern.Arg) astern.Call {
	args := map[string]astern.Arg{}
	for name, a := range s.Args {
		if a.Ref != nil {
			a = outputs[a.Ref.From+"."+a.Ref.Output]
		}
		args[name] = a
	}
	return astern.Call{Execution: "ex-1", Step: s.ID, Address: s.Address, Kind: s.Kind, Verb: s.Verb, Args: args, Token: "token-1", Fence: 1}
}

// before reads the image of a call.
func (l *lab) before(call astern.Call) astern.Call {
	l.Helper()
	image, err := l.driver.Actor.Before(l.Context(), call)
	l.must(err)
	call.Image = image
	return call
}

// finish polls an operation until it ends; the lab's clock goes on a second each time.
func (l *lab) finish(call astern.Call, op astern.Op) astern.Op {
	l.Helper()
	for range 1000 {
		if op.Status != astern.OpRunning {
			return op
		}
		l.step(time.Second)
		op = l.driver.Actor.Poll(l.Context(), call, op)
	}
	l.Fatalf("step %s does not end: %+v", call.Step, op)
	return op
}

// carry does the steps of a way and returns the calls with their last operations.
func (l *lab) carry(r astern.Route) ([]astern.Call, []astern.Op) {
	l.Helper()
	outputs := map[string]astern.Arg{}
	var calls []astern.Call
	var ops []astern.Op
	for _, st := range r.Stages {
		for _, s := range st.Steps {
			call := l.before(l.call(s, outputs))
			op := l.finish(call, l.driver.Actor.Start(l.Context(), call))
			calls, ops = append(calls, call), append(ops, op)
			if op.Status != astern.OpDone {
				return calls, ops
			}
			for name, a := range op.Outputs {
				outputs[s.ID+"."+name] = a
			}
		}
	}
	return calls, ops
}

// done demands that all of a way was done.
func (l *lab) done(r astern.Route) []astern.Call {
	l.Helper()
	calls, ops := l.carry(r)
	if last := ops[len(ops)-1]; last.Status != astern.OpDone {
		l.Fatalf("step %s: %+v", calls[len(calls)-1].Step, last)
	}
	return calls
}
