package awsecs

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/lab"
)

func TestMisfit(t *testing.T) {
	container := func(name string, ports ...types.PortMapping) types.TaskDefinition {
		return types.TaskDefinition{ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("log")}, {Name: &name, PortMappings: ports}}}
	}
	port := func(n int32) types.PortMapping { return types.PortMapping{ContainerPort: &n} }
	for name, c := range map[string]struct {
		leads types.LoadBalancer
		d     types.TaskDefinition
		says  string
	}{
		"it fits":                 {types.LoadBalancer{ContainerName: aws.String("app"), ContainerPort: aws.Int32(80)}, container("app", port(443), port(80)), ""},
		"another container":       {types.LoadBalancer{ContainerName: aws.String("app"), ContainerPort: aws.Int32(80)}, container("web", port(80)), "has none of that name"},
		"another port":            {types.LoadBalancer{ContainerName: aws.String("app"), ContainerPort: aws.Int32(80)}, container("app", port(8080)), "port 80 of the container app"},
		"no port at all":          {types.LoadBalancer{ContainerName: aws.String("app"), ContainerPort: aws.Int32(80)}, container("app"), "port 80 of the container app"},
		"a range of ports":        {types.LoadBalancer{ContainerName: aws.String("app"), ContainerPort: aws.Int32(80)}, container("app", types.PortMapping{ContainerPortRange: aws.String("80-90")}), ""},
		"by the port alone":       {types.LoadBalancer{LoadBalancerName: aws.String("classic")}, container("app"), ""},
		"a name with line breaks": {types.LoadBalancer{ContainerName: aws.String("a\nb")}, container("app"), "the container a b"},
	} {
		if got := misfit(types.Service{LoadBalancers: []types.LoadBalancer{c.leads}}, c.d); (got == "") != (c.says == "") || !strings.Contains(got, c.says) || strings.Contains(got, "\n") {
			t.Errorf("%s: %q, want %q", name, got, c.says)
		}
	}
}

// variant registers a further definition, with what the test makes of the one before it.
func (w *world) variant(change func(d *ecs.RegisterTaskDefinitionInput)) string {
	w.Helper()
	out, err := w.ecs.DescribeTaskDefinition(w.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: &w.new})
	w.must(err)
	d := out.TaskDefinition
	in := &ecs.RegisterTaskDefinitionInput{Family: d.Family, Cpu: d.Cpu, Memory: d.Memory, NetworkMode: d.NetworkMode, RequiresCompatibilities: d.RequiresCompatibilities,
		ContainerDefinitions: d.ContainerDefinitions, Volumes: d.Volumes}
	change(in)
	made, err := w.ecs.RegisterTaskDefinition(w.Context(), in)
	w.must(err)
	arn := *made.TaskDefinition.TaskDefinitionArn
	return arn[strings.LastIndex(arn, "/")+1:]
}

// says demands that a target is judged so, with those words among the evidence.
func (w *world) says(rev string, want astern.Readiness, words string) {
	w.Helper()
	p, err := resolve(w.c)
	w.must(err)
	list := judge(p, w.observe(), astern.Deployment{}, rev).List
	if !slices.ContainsFunc(list, func(e astern.Evidence) bool { return e.Readiness == want && strings.Contains(e.What, words) }) {
		w.Errorf("%s: %+v, want %s with %q", rev, list, want, words)
	}
}

// What the service and the tasks' files make of a revision that could not be deployed, or not start.
func TestFiles(t *testing.T) {
	a := start(t)
	a.plain = true
	w := a.service(func(in *ecs.CreateServiceInput) {
		in.LoadBalancers = []types.LoadBalancer{{TargetGroupArn: aws.String("arn:aws:elasticloadbalancing:eu-central-1:" + lab.Account + ":targetgroup/api/1"),
			ContainerName: aws.String("app"), ContainerPort: aws.Int32(80)}}
	})
	w.says(w.old, astern.Broken, "port 80 of the container app")
	if _, err := w.route(w.old, astern.Options{Verb: astern.VerbRollback}); astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), "port 80") {
		t.Errorf("a way to it: %v", err)
	}
	session, err := a.accounts.Session(t.Context(), awsapi.Settings{})
	a.must(err)
	c := s3.NewFromConfig(session.Act, awsapi.PathStyle)
	_, err = c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("conf"), CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: "eu-central-1"}})
	a.must(err)
	for _, key := range []string{"prod.env", "prod.env.old"} {
		_, err = c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("conf"), Key: &key, Body: strings.NewReader("A=" + inTheClear)})
		a.must(err)
	}
	file := func(arn string) string {
		return w.variant(func(d *ecs.RegisterTaskDefinitionInput) {
			d.ContainerDefinitions[0].PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(80)}}
			d.ContainerDefinitions[0].EnvironmentFiles = []types.EnvironmentFile{{Type: types.EnvironmentFileTypeS3, Value: &arn}}
		})
	}
	there, gone, none := file("arn:aws:s3:::conf/prod.env"), file("arn:aws:s3:::conf/prod"), file("arn:aws:s3:::no-such-bucket/prod.env")
	w.says(there, astern.Ready, "what its tasks need is there: 1 environment file")
	if needs := needed(w.observe(), there); !slices.Contains(needs, "s3://conf/prod.env") {
		t.Errorf("it needs %v", needs)
	}
	w.says(gone, astern.Broken, "environment file arn:aws:s3:::conf/prod")
	w.says(none, astern.Broken, "environment file arn:aws:s3:::no-such-bucket/prod.env")
	w.must(denied("s3", "ListObjectsV2")(t.Context(), w))
	w.says(there, astern.ReadyUnknown, "looking for the environment file")
	a.ClearFaults()

	mounted := w.variant(func(d *ecs.RegisterTaskDefinitionInput) {
		d.Volumes = []types.Volume{{Name: aws.String("data"), EfsVolumeConfiguration: &types.EFSVolumeConfiguration{FileSystemId: aws.String("fs-1")}}}
	})
	w.says(mounted, astern.AtRisk, "whether the file system fs-1 is there was not asked")
	if text := w.observe().Values["content/"+w.new].Text; !strings.HasPrefix(text, "app sha256:") || text != w.observe().Values["content/"+mounted].Text {
		t.Errorf("what %s holds is %q, and its copy holds another thing", w.new, text)
	}
}

// A file system is there when one of the revisions that run mounts it, also while a deployment is under way.
func TestMounts(t *testing.T) {
	state := astern.State{Values: map[string]astern.Value{"revision": {Text: "api:13+api:12"}, "needs/api:12": {Text: needFiles + " fs-1"},
		"needs/api:11": {Text: needFiles + " fs-1\n" + needFiles + " fs-2"}}}
	e := &evidence{}
	e.mounts(state, "api:11")
	if len(e.List) != 2 || e.List[0].Readiness != astern.Ready || e.List[1].Readiness != astern.AtRisk {
		t.Errorf("%+v", e.List)
	}
}
