package awsecs

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/awsapi/awstest"
	"github.com/astern-dev/astern/internal/canary"
	"github.com/astern-dev/astern/internal/lab"
)

// What tasks get: as a secret, and as a variable that somebody put into the task definition.
var password, inTheClear = canary.Kept("the password"), canary.Kept("in the clear")

// One moto serves all tests of the package; each test gets a lab of its own in front of it. They don't run side by side,
// because the SDK finds the lab by the environment.
var moto *lab.Moto

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "astern-ecs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, pair := range awstest.Environment(folder) {
		key, value, _ := strings.Cut(pair, "=")
		os.Setenv(key, value)
	}
	for _, key := range []string{"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"} {
		os.Unsetenv(key)
	}
	code := m.Run()
	if moto != nil {
		moto.Stop()
	}
	os.RemoveAll(folder)
	os.Exit(code)
}

// account is an emulated account of one test.
type account struct {
	testing.TB
	*lab.Lab
	accounts *awsapi.Accounts
	ecs      *ecs.Client
	ecr      *ecr.Client
	iam      *iam.Client
	secrets  *secretsmanager.Client
	logs     *cloudwatchlogs.Client
	worlds   map[string]*world
	driver   astern.Driver
	// plain leaves out role, secret and log group of task definitions: for what is about other things, and often.
	plain bool
}

// startMoto starts the package's moto, unless it runs.
func startMoto(t testing.TB) *lab.Moto {
	t.Helper()
	if moto != nil {
		return moto
	}
	if _, err := exec.LookPath("moto_server"); err != nil && os.Getenv("CI") != "true" {
		t.Skip("there is no moto_server")
	}
	m, err := lab.StartMoto(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	moto = m
	return m
}

// start makes an empty account.
func start(t testing.TB) *account {
	t.Helper()
	l, err := lab.New(startMoto(t).URL, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(l)
	t.(interface{ Setenv(key, value string) }).Setenv("AWS_ENDPOINT_URL", server.URL)
	a := &account{TB: t, Lab: l, accounts: awsapi.New(), worlds: map[string]*world{}}
	t.Cleanup(func() {
		a.accounts.Close()
		server.Close()
		l.Close()
	})
	session, err := a.accounts.Session(t.Context(), awsapi.Settings{})
	a.must(err)
	a.ecs, a.ecr, a.iam = ecs.NewFromConfig(session.Act), ecr.NewFromConfig(session.Act), iam.NewFromConfig(session.Act)
	a.secrets, a.logs = secretsmanager.NewFromConfig(session.Act), cloudwatchlogs.NewFromConfig(session.Act)
	a.driver = a.hurried(New(a.accounts, a.lookup))
	return a
}

func (a *account) lookup(address string) (astern.Component, bool) {
	w, ok := a.worlds[address]
	if !ok {
		return astern.Component{}, false
	}
	return w.c, true
}

func (a *account) must(err error) {
	a.Helper()
	if err != nil {
		a.Fatal(err)
	}
}

// later lets so much of the account's time go by.
func (a *account) later(d time.Duration) {
	a.Helper()
	_, err := a.Step(context.Background(), d)
	a.must(err)
}

// hurried lets fifteen seconds of the account's time go by between two looks at a deployment, instead of waiting for them.
func (a *account) hurried(d astern.Driver) astern.Driver {
	d.Actor = hurry{d.Actor, a}
	return d
}

type hurry struct {
	astern.Actor
	a *account
}

func (h hurry) Start(ctx context.Context, call astern.Call) astern.Op {
	return soon(h.Actor.Start(ctx, call))
}

func (h hurry) Find(ctx context.Context, call astern.Call) astern.Found {
	f := h.Actor.Find(ctx, call)
	if f.Op != nil {
		op := soon(*f.Op)
		f.Op = &op
	}
	return f
}

func (h hurry) Poll(ctx context.Context, call astern.Call, op astern.Op) astern.Op {
	h.a.later(15 * time.Second)
	return soon(h.Actor.Poll(ctx, call, op))
}

func soon(op astern.Op) astern.Op {
	if op.PollSeconds > 0 {
		op.PollSeconds = 0.001
	}
	return op
}

// world is a service with two revisions, the second of which runs.
type world struct {
	*account
	name     string // of cluster, service, family, repository, role, secret and log group
	secret   string // ARN
	images   map[string]string
	old, new string
	c        astern.Component
	history  astern.History
}

var worldsMade int

// service makes a service in a cluster of its own. Its task definitions need a role, a secret and a log group. Conf changes
// what the service is made with.
func (a *account) service(conf func(*ecs.CreateServiceInput)) *world {
	a.Helper()
	worldsMade++
	w := &world{account: a, name: fmt.Sprintf("shop-%d", worldsMade), images: map[string]string{}}
	w.old, w.new = w.name+":1", w.name+":2"
	ctx := context.Background()
	_, err := a.ecs.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: &w.name})
	a.must(err)
	_, err = a.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &w.name})
	a.must(err)
	if !a.plain {
		w.needs()
	}
	w.push("v1", nil)
	w.define(w.ref("v1"))
	w.push("v2", nil)
	in := &ecs.CreateServiceInput{Cluster: &w.name, ServiceName: &w.name, TaskDefinition: &w.old, DesiredCount: aws.Int32(2), LaunchType: types.LaunchTypeFargate,
		NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{"subnet-1"}}}}
	if conf != nil {
		conf(in)
	}
	_, err = a.ecs.CreateService(ctx, in)
	a.must(err)
	a.later(time.Minute)
	w.define(w.ref("v2"))
	w.update(w.new)
	a.later(time.Minute)
	w.c = astern.Component{Environment: "test", Name: w.name, Kind: Kind}
	w.c.Settings, _ = json.Marshal(Settings{Cluster: w.name, Service: w.name})
	a.worlds[w.c.Address()] = w
	s := w.observe()
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for i, rev := range []string{w.old, w.new} {
		when := at.Add(time.Duration(i) * time.Hour)
		w.history.Current = rev
		w.history.Deployments = append([]astern.Deployment{{Revision: rev, Hash: s.Values["release/"+rev].Text, LastAt: &when, KnownGoodAt: &when}}, w.history.Deployments...)
	}
	return w
}

// needs makes what tasks need.
func (w *world) needs() {
	w.Helper()
	ctx := context.Background()
	_, err := w.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &w.name, AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[]}`)})
	w.must(err)
	secret, err := w.secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &w.name, SecretString: aws.String(password)})
	w.must(err)
	w.secret = *secret.ARN
	_, err = w.logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &w.name})
	w.must(err)
}

func (w *world) ref(tag string) string {
	return lab.Account + ".dkr.ecr.eu-central-1.amazonaws.com/" + w.name + ":" + tag
}

// push puts an image; how it behaves stands in its annotations.
func (w *world) push(tag string, how map[string]string) {
	w.Helper()
	mark := map[string]string{"n": fmt.Sprint(len(w.images))}
	maps.Copy(mark, how)
	manifest, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "annotations": mark})
	w.must(err)
	out, err := w.ecr.PutImage(context.Background(), &ecr.PutImageInput{RepositoryName: &w.name, ImageTag: &tag, ImageManifest: aws.String(string(manifest))})
	w.must(err)
	w.images[*out.Image.ImageId.ImageDigest] = tag
}

// remove deletes what a tag means from the registry.
func (w *world) remove(tag string) error {
	out, err := w.ecr.DescribeImages(context.Background(), &ecr.DescribeImagesInput{RepositoryName: &w.name, ImageIds: []ecrtypes.ImageIdentifier{{ImageTag: &tag}}})
	if err == nil {
		_, err = w.ecr.BatchDeleteImage(context.Background(), &ecr.BatchDeleteImageInput{RepositoryName: &w.name, ImageIds: []ecrtypes.ImageIdentifier{{ImageDigest: out.ImageDetails[0].ImageDigest}}})
	}
	return err
}

// define registers the next task definition of the family and returns its ARN.
func (w *world) define(ref string) string {
	w.Helper()
	role := "arn:aws:iam::" + lab.Account + ":role/" + w.name
	in := &ecs.RegisterTaskDefinitionInput{Family: &w.name, Cpu: aws.String("256"), Memory: aws.String("512"), NetworkMode: types.NetworkModeAwsvpc,
		RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate}, ExecutionRoleArn: &role,
		ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("app"), Image: &ref, Essential: aws.Bool(true),
			Environment: []types.KeyValuePair{{Name: aws.String("PASSWORD"), Value: aws.String(inTheClear)}},
			Secrets:     []types.Secret{{Name: aws.String("DB"), ValueFrom: &w.secret}},
			LogConfiguration: &types.LogConfiguration{LogDriver: types.LogDriverAwslogs,
				Options: map[string]string{"awslogs-group": w.name, "awslogs-region": "eu-central-1", "awslogs-stream-prefix": "app"}}}}}
	if w.plain {
		in.ExecutionRoleArn, in.ContainerDefinitions[0].Secrets, in.ContainerDefinitions[0].LogConfiguration = nil, nil, nil
	}
	out, err := w.ecs.RegisterTaskDefinition(context.Background(), in)
	w.must(err)
	return *out.TaskDefinition.TaskDefinitionArn
}

// update points the service to a task definition, as another operator does.
func (w *world) update(rev string) {
	w.Helper()
	_, err := w.ecs.UpdateService(context.Background(), &ecs.UpdateServiceInput{Cluster: &w.name, Service: &w.name, TaskDefinition: &rev})
	w.must(err)
}

func (w *world) observe(paths ...string) astern.State {
	w.Helper()
	s, err := w.driver.Observer.Observe(context.Background(), w.c, astern.Scope{Paths: paths})
	w.must(err)
	return s
}

// target returns the target for a revision.
func (w *world) target(s astern.State, rev string) astern.Target {
	w.Helper()
	for _, t := range w.driver.Router.Targets(w.c, s, w.history) {
		if t.Revision == rev {
			return t
		}
	}
	w.Fatalf("there is no target %s", rev)
	return astern.Target{}
}

// route returns the way to a revision.
func (w *world) route(rev string, o astern.Options) (astern.Route, error) {
	w.Helper()
	if o.Percent == 0 {
		o.Percent = 100
	}
	s := w.observe()
	return w.driver.Router.Route(w.c, s, astern.Target{Address: w.c.Address(), Revision: rev}, o)
}

// steps returns the steps of a way, of which nothing may be refused.
func (w *world) steps(rev string, o astern.Options) []astern.Step {
	w.Helper()
	r, err := w.route(rev, o)
	w.must(err)
	var out []astern.Step
	for _, st := range r.Stages {
		out = append(out, st.Steps...)
	}
	return out
}

var tokensMade int

// call makes a step ready to start; outputs replace its references.
func (w *world) call(step astern.Step, outputs map[string]astern.Arg) astern.Call {
	w.Helper()
	tokensMade++
	c := astern.Call{Execution: "ex-1", Step: step.ID, Address: step.Address, Kind: step.Kind, Verb: step.Verb, Args: maps.Clone(step.Args),
		Token: fmt.Sprintf("ast-%d", tokensMade), Fence: 1}
	for name, arg := range c.Args {
		if arg.Ref != nil {
			c.Args[name] = outputs[arg.Ref.Output]
		}
	}
	image, err := w.driver.Actor.Before(context.Background(), c)
	w.must(err)
	c.Image = image
	return c
}

// finish polls an operation until it ends.
func (w *world) finish(call astern.Call, op astern.Op) astern.Op {
	w.Helper()
	for range 200 {
		if op.Status != astern.OpRunning {
			return op
		}
		op = w.driver.Actor.Poll(context.Background(), call, op)
	}
	w.Fatalf("step %s does not end: %+v", call.Step, op)
	return op
}

// carry does the steps one after the other and returns their calls.
func (w *world) carry(steps []astern.Step) []astern.Call {
	w.Helper()
	var done []astern.Call
	outputs := map[string]astern.Arg{}
	for _, s := range steps {
		call := w.call(s, outputs)
		op := w.finish(call, w.driver.Actor.Start(context.Background(), call))
		if op.Status != astern.OpDone {
			w.Fatalf("step %s: %+v", s.ID, op)
		}
		maps.Copy(outputs, op.Outputs)
		done = append(done, call)
	}
	return done
}

// snapshot is everything that the driver could change.
func (w *world) snapshot() map[string]string {
	w.Helper()
	ctx, out := context.Background(), map[string]string{}
	services, err := w.ecs.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: &w.name, Services: []string{w.name, w.name + "-astern"}})
	w.must(err)
	for _, s := range services.Services {
		out[*s.ServiceName] = fmt.Sprintf("%s %s %d", *s.Status, identity(primary(&s)), s.DesiredCount)
	}
	list, err := w.ecs.ListTaskDefinitions(ctx, &ecs.ListTaskDefinitionsInput{FamilyPrefix: &w.name}) // those that are ACTIVE
	w.must(err)
	for _, arn := range list.TaskDefinitionArns {
		out[arn] = "ACTIVE"
	}
	return out
}

// acted counts the calls that change something of ECS since the journal's number.
func (a *account) acted(operation string, since int64) int {
	n := 0
	for _, e := range a.Calls("ecs", operation, since) {
		if e.Status > 0 && e.Status < 300 {
			n++
		}
	}
	return n
}

// seq is the number of the last call.
func (a *account) seq() int64 {
	all := a.Calls("", "", 0)
	return all[len(all)-1].Seq
}
