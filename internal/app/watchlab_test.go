package app_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/canary"
	"github.com/astern-dev/astern/internal/incident"
	"github.com/astern-dev/astern/internal/lab"
	"github.com/astern-dev/astern/internal/replay"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

const functionConfig = `version: 1
system: functions
environments:
  test:
    policy: {approvals: 0, watch: 1s, automatic: {mode: automatic, cool_down: 30m, daily: 3}}
    components:
      api:
        kind: aws.lambda
        signals:
          SIGNALS
        checks: {secret: {http: {url: "WELL", headers: {Authorization: {env: API_TOKEN}}}, effects: none}}
        with: {region: eu-central-1, function: api, alias: live}
`

// functionWorld is a function of the lab whose versions 1 and 2 are v1 and v2, and its alias live.
type functionWorld struct {
	world
	*lab.Lab
	session *awsapi.Session
	lambda  *lambda.Client
	events  []astern.WatchEvent
	record  bytes.Buffer
}

// newFunctionWorld returns one in which v1 serves and is known-good.
func newFunctionWorld(t *testing.T, signals string) *functionWorld {
	t.Helper()
	if _, err := exec.LookPath("moto_server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI=true, and there is no moto_server")
		}
		t.Skip("there is no moto_server")
	}
	w := &functionWorld{world: world{t: t, folder: t.TempDir()}}
	t.Cleanup(w.search)
	moto, err := lab.StartMoto(t.Context())
	w.must(err)
	w.Lab, err = lab.New(moto.URL, 1, nil)
	w.must(err)
	server, accounts := httptest.NewServer(w.Lab), awsapi.New()
	t.Cleanup(func() {
		accounts.Close()
		server.Close()
		w.Lab.Close()
		moto.Stop()
	})
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": canary.Variables()["AWS_SECRET_ACCESS_KEY"], "AWS_REGION": "eu-central-1",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "API_TOKEN": canary.Variables()["PROBE_TOKEN"]} {
		t.Setenv(name, value)
	}
	w.session, err = accounts.Session(t.Context(), awsapi.Settings{})
	w.must(err)
	w.lambda = lambda.NewFromConfig(w.session.Act)
	role, err := iam.NewFromConfig(w.session.Act).CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("api"), AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[]}`)})
	w.must(err)
	for i, v := range []string{"v1", "v2"} {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		_, err := z.Create("bootstrap-" + v)
		w.must(err)
		w.must(z.Close())
		if i == 0 {
			_, err = w.lambda.CreateFunction(t.Context(), &lambda.CreateFunctionInput{FunctionName: aws.String("api"), Role: role.Role.Arn, Runtime: lambdatypes.RuntimeProvidedal2023,
				Handler: aws.String("bootstrap"), Code: &lambdatypes.FunctionCode{ZipFile: b.Bytes()}})
		} else {
			_, err = w.lambda.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: aws.String("api"), ZipFile: b.Bytes()})
		}
		w.must(err)
		w.pass(time.Minute)
		_, err = w.lambda.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: aws.String("api"), Description: &v})
		w.must(err)
		w.pass(time.Minute)
	}
	_, err = w.lambda.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: aws.String("api"), Name: aws.String("live"), FunctionVersion: aws.String("1")})
	w.must(err)
	well := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(well.Close)
	w.write("astern.yaml", strings.NewReplacer("SIGNALS", signals, "WELL", well.URL).Replace(functionConfig), 0o600)
	w.with(func(a *app.App) {
		_, _, err := a.RecordDeploy(t.Context(), app.Record{Component: "api", Revision: "v1"})
		w.must(err)
		_, err = a.RecordKnownGood(t.Context(), app.Record{Component: "api", Revision: "v1", Reason: "test"})
		w.must(err)
	})
	w.pass(30 * time.Minute)
	return w
}

func (w *functionWorld) pass(d time.Duration) {
	w.t.Helper()
	_, err := w.Step(w.t.Context(), d)
	w.must(err)
}

func (w *functionWorld) with(f func(a *app.App)) {
	w.t.Helper()
	store, err := sqlite.Open(w.t.Context(), filepath.Join(w.folder, ".astern"))
	w.must(err)
	defer store.Close()
	a, err := app.Open(filepath.Join(w.folder, "astern.yaml"), store)
	w.must(err)
	defer a.Close()
	a.Now = w.Now
	f(a)
}

// deploy leads a share of the alias' calls to v2, as somebody else than astern does, and records it.
func (w *functionWorld) deploy(share float64) {
	w.t.Helper()
	in := &lambda.UpdateAliasInput{FunctionName: aws.String("api"), Name: aws.String("live"), FunctionVersion: aws.String("2")}
	if share < 1 {
		in.RoutingConfig = &lambdatypes.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"1": 1 - share}}
	}
	_, err := w.lambda.UpdateAlias(w.t.Context(), in)
	w.must(err)
	w.with(func(a *app.App) {
		_, _, err := a.RecordDeploy(w.t.Context(), app.Record{Component: "api", Revision: "v2"})
		w.must(err)
	})
}

// serves says where the alias leads.
func (w *functionWorld) serves() string {
	w.t.Helper()
	out, err := w.lambda.GetAlias(w.t.Context(), &lambda.GetAliasInput{FunctionName: aws.String("api"), Name: aws.String("live")})
	w.must(err)
	if out.RoutingConfig != nil && len(out.RoutingConfig.AdditionalVersionWeights) > 0 {
		return fmt.Sprint(*out.FunctionVersion, " ", out.RoutingConfig.AdditionalVersionWeights)
	}
	return *out.FunctionVersion
}

// count publishes what Lambda does about the calls of one minute: by the alias, and by version where there is one.
func (w *functionWorld) count(calls, errors float64, version string) {
	w.t.Helper()
	of := []types.Dimension{{Name: aws.String("FunctionName"), Value: aws.String("api")}, {Name: aws.String("Resource"), Value: aws.String("api:live")}}
	if version != "" {
		of = append(of, types.Dimension{Name: aws.String("ExecutedVersion"), Value: &version})
	}
	_, err := cloudwatch.NewFromConfig(w.session.Act).PutMetricData(w.t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("AWS/Lambda"), MetricData: []types.MetricDatum{
		{MetricName: aws.String("Invocations"), Dimensions: of, Timestamp: aws.Time(w.Now()), Value: &calls}, {MetricName: aws.String("Errors"), Dimensions: of, Timestamp: aws.Time(w.Now()), Value: &errors}}})
	w.must(err)
}

// watch makes rounds, each after traffic, until something of that kind is said; at most n.
func (w *functionWorld) watch(n int, traffic func(), until astern.WatchKind) bool {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	held := false
	w.with(func(a *app.App) {
		watcher, err := a.NewWatcher(ctx, "", nil, func(e astern.WatchEvent) {
			w.events = append(w.events, e)
			w.t.Logf("%s %-10s %s: %s %s", e.At.Format("15:04:05"), e.Kind, e.Address, e.Text, e.Incident)
			held = held || e.Kind == until
		})
		w.must(err)
		watcher.Record(&w.record, 1<<30)
		for i := 0; i < n && !held; i++ {
			w.pass(30 * time.Second)
			traffic()
			w.pass(30 * time.Second)
			w.must(watcher.Round(ctx))
			for watcher.Busy() {
				time.Sleep(20 * time.Millisecond)
			}
		}
		w.must(watcher.Close(context.WithoutCancel(ctx)))
	})
	return held
}

// said reports whether the watch has said something that holds the text.
func (w *functionWorld) said(text string) bool {
	for _, e := range w.events {
		if strings.Contains(e.Text, text) {
			return true
		}
	}
	return false
}

func (w *functionWorld) incidents() (out []astern.Incident) {
	w.t.Helper()
	w.with(func(a *app.App) {
		logs, err := a.Store.Incidents(w.t.Context())
		w.must(err)
		for _, l := range logs {
			out = append(out, incident.Fold(l))
		}
	})
	return out
}

func (w *functionWorld) putAlarm(name, metric string) {
	w.t.Helper()
	_, err := cloudwatch.NewFromConfig(w.session.Act).PutMetricAlarm(w.t.Context(), &cloudwatch.PutMetricAlarmInput{AlarmName: &name, Namespace: aws.String("AWS/Lambda"), MetricName: &metric,
		Dimensions: []types.Dimension{{Name: aws.String("FunctionName"), Value: aws.String("api")}, {Name: aws.String("Resource"), Value: aws.String("api:live")}},
		Statistic:  types.StatisticSum, Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(5), TreatMissingData: aws.String("notBreaching"),
		ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold})
	w.must(err)
}

// replays judges again what the watch recorded: one fault, decided as it was.
func (w *functionWorld) replays(title string) {
	w.t.Helper()
	w.with(func(a *app.App) {
		e, err := a.Environment("")
		w.must(err)
		r, err := replay.Recording("recorded", &w.record, "watch", func(string) (astern.Policy, bool) { return e.Policy, true })
		w.must(err)
		if len(r.Faults) != 1 || !strings.HasPrefix(r.Faults[0].Title, title) || len(r.Faults[0].Decisions) == 0 || !r.Faults[0].Decisions[0].Same {
			w.t.Errorf("replayed: %+v", r.Faults)
		}
	})
}

// TestWatchActsOnAnAlarm: an alarm that goes off after a deployment has the alias led back, one that was off before does not
// count, and the incident shows the function's last failures; wherever in a minute the deployment falls.
func TestWatchActsOnAnAlarm(t *testing.T) {
	for _, second := range []int{0, 44} {
		t.Run(fmt.Sprint("second ", second), func(t *testing.T) { actsOnAnAlarm(t, second) })
	}
}

func actsOnAnAlarm(t *testing.T, second int) {
	w := newFunctionWorld(t, `{pager: {kind: alarm, alarm: {name: api-errors}}, busy: {kind: alarm, alarm: {name: api-busy}}}`)
	w.putAlarm("api-errors", "Errors")
	w.putAlarm("api-busy", "Invocations")
	logs := cloudwatchlogs.NewFromConfig(w.session.Act)
	_, err := logs.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("/aws/lambda/api")})
	w.must(err)
	_, err = logs.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: aws.String("/aws/lambda/api"), LogStreamName: aws.String("s")})
	w.must(err)
	w.pass(time.Duration((second+60-w.Now().Second())%60)*time.Second + time.Second)
	w.watch(4, func() { w.count(100, 0, "") }, "never")
	if len(w.incidents()) > 0 {
		t.Fatal("an alarm is no fault while nothing new runs")
	}
	w.deploy(1)
	bad := func() {
		fails := 40.0
		if w.serves() == "1" {
			fails = 0
		}
		w.count(100, fails, "")
		_, err = logs.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: aws.String("/aws/lambda/api"), LogStreamName: aws.String("s"), LogEvents: []logtypes.InputLogEvent{
			{Timestamp: aws.Int64(w.Now().UnixMilli()), Message: aws.String("[ERROR] no such price \x1b[31m for " + canary.Variables()["PROBE_TOKEN"])}, {Timestamp: aws.Int64(w.Now().UnixMilli()), Message: aws.String("REPORT fine")}}})
		w.must(err)
	}
	if !w.watch(12, bad, astern.WatchResolved) {
		t.Error("it was not resolved")
	}
	all := w.incidents()
	if len(all) != 1 || w.serves() != "1" {
		t.Fatalf("%d incidents, the alias leads to %s", len(all), w.serves())
	}
	in := all[0]
	if in.Cause == nil || in.Cause.Revision != "v2" || len(in.Executions) != 1 || in.Decisions[0].Act != astern.ActAutomatic || !strings.Contains(in.Title, "api-errors is in ALARM") ||
		!strings.Contains(in.Decisions[0].Certainty, "threshold") {
		t.Errorf("%+v", in)
	}
	if !w.said("api-busy was in ALARM already") {
		t.Error("nobody says that an alarm does not count")
	}
	if in.Logs == nil || len(in.Logs.Lines) == 0 || in.Logs.Lines[0].Text != "[ERROR] no such price [31m for <secret>" {
		t.Errorf("%+v", in.Logs)
	}
	w.with(func(a *app.App) {
		e, err := a.Environment("")
		w.must(err)
		checked, err := a.Check(t.Context(), e)
		w.must(err)
		if c := checked[0]; len(c.Signals) != 2 || c.Signals[0].Verdict != astern.Pass || !strings.Contains(strings.Join(c.Findings, "\n"), "alarm pager: it has no actions") {
			t.Errorf("%+v\n%v", c.Signals, c.Findings)
		}
	})
	w.replays("pager: api-errors is in ALARM")
}

// TestWatchHoldsVersionsAgainstEachOther: a share of an alias' calls goes to a new version, which fails more often than the one
// beside it in the same minutes: CloudWatch counts both, and the alias is led back.
func TestWatchHoldsVersionsAgainstEachOther(t *testing.T) {
	w := newFunctionWorld(t, `{errors: {kind: errors, cloudwatch: {}}}`)
	w.watch(8, func() { w.count(1000, 2, "") }, "never")
	w.deploy(0.5)
	traffic := func() {
		bad := 2.0
		switch w.serves() {
		case "1":
			w.count(1000, bad, "")
			return
		case "2":
			t.Error("the new version serves everybody")
		}
		w.count(1000, 60, "")
		w.count(500, 1, "1")
		w.count(500, 59, "2")
	}
	if !w.watch(40, traffic, astern.WatchResolved) {
		t.Error("it was not resolved")
	}
	all := w.incidents()
	if len(all) != 1 || w.serves() != "1" {
		t.Fatalf("%d incidents, the alias leads to %s", len(all), w.serves())
	}
	if d := all[0].Decisions[0]; d.Act != astern.ActAutomatic || !strings.Contains(d.Because, "what still runs the earlier revision is well") {
		t.Errorf("%+v", d)
	}
	w.replays("errors: worse")
	if l := all[0].Logs; l == nil || !strings.Contains(l.Missing, "ResourceNotFoundException") {
		t.Errorf("a log that is not there: %+v", l)
	}
}
