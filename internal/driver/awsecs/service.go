package awsecs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// Tags that astern sets, and reads again.
const (
	tagRevision = "astern:revision" // of a copy: the revision that it is
	tagOrigin   = "astern:origin"   // of a copy: ARN of what it was registered from
	tagToken    = "astern:token"    // of what a step made: the step's token
	tagShareOf  = "astern:share-of" // of a temporary service: the service that it stands beside
)

// tagOf returns the value of a tag.
func tagOf(tags []types.Tag, key string) string {
	for _, t := range tags {
		if aws.ToString(t.Key) == key {
			return aws.ToString(t.Value)
		}
	}
	return ""
}

// pair is a service, and the temporary one beside it; nil where there is none, or where it has ended.
type pair struct {
	service *types.Service
	share   *types.Service
	// foreign is true where a service that is not ours has the name of the temporary one.
	foreign bool
}

// shareToken is the token of the step that made the temporary service, "" where there is none.
func (p pair) shareToken() string {
	if p.share == nil {
		return ""
	}
	return tagOf(p.share.Tags, tagToken)
}

// askPair asks for the service and for the temporary one. It returns a NotFound error where there is no such service.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html
func (c cloud) askPair(ctx context.Context) (pair, error) {
	names := []string{c.Service}
	if b := c.beside(); b != "" {
		names = append(names, b)
	}
	doing := fmt.Sprintf("reading the service %s of the cluster %s", c.Service, c.Cluster)
	out, err := c.ecs.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: &c.Cluster, Services: names, Include: []types.ServiceField{types.ServiceFieldTags}})
	if err != nil {
		return pair{}, awsapi.Explain(err, doing, "service/"+c.Cluster+"/"+c.Service)
	}
	var p pair
	for i, s := range out.Services {
		switch aws.ToString(s.ServiceName) {
		case c.Service:
			p.service = &out.Services[i]
		case c.beside():
			if aws.ToString(s.Status) == "INACTIVE" {
				continue
			}
			if tagOf(s.Tags, tagShareOf) == c.Service {
				p.share = &out.Services[i]
			} else {
				p.foreign = true
			}
		}
	}
	if p.service == nil {
		return p, astern.Errorf(astern.NotFound, "%s: there is none", doing).WithHint("aws ecs list-services --cluster %s lists those there are", c.Cluster)
	}
	return p, nil
}

// primary is the deployment that the service is to become.
func primary(s *types.Service) types.Deployment {
	for _, d := range s.Deployments {
		if aws.ToString(d.Status) == "PRIMARY" {
			return d
		}
	}
	return types.Deployment{TaskDefinition: s.TaskDefinition}
}

// identity tells one deployment from every other.
func identity(d types.Deployment) string {
	return aws.ToString(d.TaskDefinition) + " " + aws.ToString(d.Id)
}

// running are the ARNs of what the service runs: the PRIMARY's, then those of deployments that still have tasks.
func (p pair) running() []string {
	out := []string{aws.ToString(primary(p.service).TaskDefinition)}
	add := func(arn string) {
		if !slices.Contains(out, arn) {
			out = append(out, arn)
		}
	}
	for _, d := range p.service.Deployments {
		if aws.ToString(d.Status) != "PRIMARY" && (d.RunningCount > 0 || d.PendingCount > 0 || d.DesiredCount > 0) {
			add(aws.ToString(d.TaskDefinition))
		}
	}
	if p.share != nil && aws.ToString(p.share.Status) == "ACTIVE" {
		add(aws.ToString(primary(p.share).TaskDefinition))
	}
	return out
}

// inProgress reports whether the service is being deployed, by anybody.
func inProgress(s *types.Service) bool {
	return primary(s).RolloutState == types.DeploymentRolloutStateInProgress || len(s.Deployments) > 1
}

// record is a service deployment: what became of it is told here also after it is gone.
type record struct {
	arn, reason, revision string
	status                types.ServiceDeploymentStatus
	created, finished     time.Time
	// definition is the ARN of the task definition that it deploys, and digests are its images as ECS resolved them; both
	// empty until they were asked for.
	definition string
	digests    map[string]string
}

// recordsMost is how many deployments of a service are looked at.
const recordsMost = 40

// askRecords lists the newest deployments of a service, the newest first.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListServiceDeployments.html
func (c cloud) askRecords(ctx context.Context) ([]record, error) {
	var all []record
	in := &ecs.ListServiceDeploymentsInput{Cluster: &c.Cluster, Service: &c.Service, MaxResults: aws.Int32(100)}
	for page := 0; page < 10; page++ { // of the last 90 days; the order is not documented
		out, err := c.ecs.ListServiceDeployments(ctx, in)
		if err != nil {
			return nil, awsapi.Explain(err, "listing the deployments of "+c.Service, "service/"+c.Cluster+"/"+c.Service)
		}
		for _, b := range out.ServiceDeployments {
			all = append(all, record{arn: aws.ToString(b.ServiceDeploymentArn), status: b.Status, reason: awsapi.OneLine(aws.ToString(b.StatusReason)),
				revision: aws.ToString(b.TargetServiceRevisionArn), created: aws.ToTime(b.CreatedAt), finished: aws.ToTime(b.FinishedAt)})
		}
		if in.NextToken = out.NextToken; out.NextToken == nil {
			break
		}
	}
	slices.SortStableFunc(all, func(a, b record) int { return cmp.Or(b.created.Compare(a.created), strings.Compare(b.arn, a.arn)) })
	return all[:min(len(all), recordsMost)], nil
}

// resolveRecords asks which task definition and which images each of the records deploys.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServiceRevisions.html
func (c cloud) resolveRecords(ctx context.Context, records []record) error {
	const most = 20 // in one call
	var arns []string
	for _, r := range records {
		if r.revision != "" && !slices.Contains(arns, r.revision) {
			arns = append(arns, r.revision)
		}
	}
	for some := range slices.Chunk(arns, most) {
		out, err := c.ecs.DescribeServiceRevisions(ctx, &ecs.DescribeServiceRevisionsInput{ServiceRevisionArns: some})
		if err != nil {
			return awsapi.Explain(err, "reading what was deployed to "+c.Service, "service-revision/"+c.Cluster+"/"+c.Service+"/*")
		}
		for _, rev := range out.ServiceRevisions {
			for i := range records {
				if records[i].revision != aws.ToString(rev.ServiceRevisionArn) {
					continue
				}
				records[i].definition = aws.ToString(rev.TaskDefinition)
				records[i].digests = map[string]string{}
				for _, image := range rev.ContainerImages {
					if d := aws.ToString(image.ImageDigest); d != "" {
						records[i].digests[aws.ToString(image.ContainerName)] = d
					}
				}
			}
		}
	}
	return nil
}
