package awsecs

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// definition is one task definition that the service runs, ran or could run.
type definition struct {
	types.TaskDefinition
	tags []types.Tag
	// name is the revision: family and number, or that which a copy is of.
	name string
	// ran are the digests of its images when the service last ran it, by container; nil where that is not known.
	ran map[string]string
}

func (d definition) arn() string  { return aws.ToString(d.TaskDefinitionArn) }
func (d definition) active() bool { return d.Status == types.TaskDefinitionStatusActive }

// origin is the ARN of what a copy was registered from, or the definition's own.
func (d definition) origin() string {
	if o := tagOf(d.tags, tagOrigin); arnShape.MatchString(o) {
		return o
	}
	return d.arn()
}

// nameOf is the revision that an ARN stands for by itself: "api:41".
func nameOf(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }

// number is the definition's number in its family.
func number(arn string) int64 {
	n, _ := strconv.ParseInt(arn[strings.LastIndex(arn, ":")+1:], 10, 64)
	return n
}

// askDefinition describes one task definition.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTaskDefinition.html
func (c cloud) askDefinition(ctx context.Context, named string) (definition, error) {
	out, err := c.ecs.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: &named, Include: []types.TaskDefinitionField{types.TaskDefinitionFieldTags}})
	doing := "reading the task definition " + nameOf(named)
	if absent := err == nil && out.TaskDefinition == nil; absent || isAbsent(err) {
		return definition{}, astern.Errorf(astern.NotFound, "%s: there is none", doing)
	}
	if err != nil {
		return definition{}, awsapi.Explain(err, doing, named)
	}
	d := definition{TaskDefinition: *out.TaskDefinition, tags: out.Tags, name: nameOf(aws.ToString(out.TaskDefinition.TaskDefinitionArn))}
	if name := tagOf(out.Tags, tagRevision); astern.ValidRevision(name) {
		d.name = name
	}
	return d, nil
}

// isAbsent reports whether ECS says that there is no such task definition, for which it has no error of its own.
func isAbsent(err error) bool {
	return awsapi.Is(err, "ClientException") && (strings.Contains(err.Error(), "Unable to describe task definition") || strings.Contains(err.Error(), "does not exist"))
}

// askFamily lists the newest of a family with one status, by their ARNs, the newest first.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTaskDefinitions.html
func (c cloud) askFamily(ctx context.Context, family string, status types.TaskDefinitionStatus, most int) ([]string, error) {
	out, err := c.ecs.ListTaskDefinitions(ctx, &ecs.ListTaskDefinitionsInput{FamilyPrefix: &family, Status: status, Sort: types.SortOrderDesc, MaxResults: aws.Int32(100)})
	if err != nil {
		return nil, awsapi.Explain(err, "listing the task definitions of "+family, "")
	}
	arns := slices.DeleteFunc(out.TaskDefinitionArns, func(arn string) bool {
		m := arnShape.FindStringSubmatch(arn)
		return m == nil || m[1] != family
	})
	slices.SortFunc(arns, func(a, b string) int { return int(number(b) - number(a)) })
	return arns[:min(len(arns), most)], nil
}

// sideBySide is how many calls one observation makes at a time.
const sideBySide = 8

// beSideBySide does the jobs, a few at a time, and waits for them.
func beSideBySide(jobs []func()) {
	slots := make(chan struct{}, sideBySide)
	var wait sync.WaitGroup
	for _, job := range jobs {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			job()
		})
	}
	wait.Wait()
}

// askDefinitions describes many, in the order given; what does not exist any more is left out.
func (c cloud) askDefinitions(ctx context.Context, arns []string) ([]definition, error) {
	all, errs := make([]definition, len(arns)), make([]error, len(arns))
	var jobs []func()
	for i, arn := range arns {
		jobs = append(jobs, func() { all[i], errs[i] = c.askDefinition(ctx, arn) })
	}
	beSideBySide(jobs)
	var out []definition
	for i := range all {
		switch {
		case astern.CodeOf(errs[i]) == astern.NotFound:
		case errs[i] != nil:
			return nil, errs[i]
		default:
			out = append(out, all[i])
		}
	}
	return out, nil
}

// contentHash is what a revision would run: the description, which its ARN stands for because it never changes, and its
// images by digest. A copy has the hash of its original. The images are in the order of the description.
func contentHash(origin string, images []image) string {
	var b strings.Builder
	b.WriteString(origin)
	for _, i := range images {
		fmt.Fprintf(&b, "\n%s=%s", i.container, i.runs())
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(b.String())))
}

// misfit says why ECS refuses a definition for the service, "" where nothing speaks against it: its load balancers lead to a
// container and a port by name and number, and UpdateService leaves them as they are.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_LoadBalancer.html
func misfit(s types.Service, d types.TaskDefinition) string {
	for _, b := range s.LoadBalancers {
		name, port := aws.ToString(b.ContainerName), aws.ToInt32(b.ContainerPort)
		i := slices.IndexFunc(d.ContainerDefinitions, func(c types.ContainerDefinition) bool { return aws.ToString(c.Name) == name })
		switch {
		case name == "": // a Classic Load Balancer may leave it to the port
		case i < 0:
			return awsapi.OneLine(fmt.Sprintf("its load balancer leads to the container %s, and it has none of that name", name))
		case !slices.ContainsFunc(d.ContainerDefinitions[i].PortMappings, func(m types.PortMapping) bool {
			return aws.ToInt32(m.ContainerPort) == port || m.ContainerPortRange != nil // what a range holds is left to ECS
		}):
			return awsapi.OneLine(fmt.Sprintf("its load balancer leads to port %d of the container %s, which does not have it", port, name))
		}
	}
	return ""
}
