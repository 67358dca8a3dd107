package awsecs

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// servicesMost bounds what is looked at in one region.
const servicesMost = 5000

// Discover lists the services of each region that a place names ("aws:eu-central-1").
func (d *driver) Discover(ctx context.Context, places []string) ([]astern.Discovered, error) {
	regions, err := awsapi.Places(places)
	if err != nil {
		return nil, err
	}
	var out []astern.Discovered
	for _, s := range regions {
		session, err := d.accounts.Session(ctx, s)
		if err != nil {
			return nil, err
		}
		s.Region = session.Region
		found, err := discover(ctx, ecs.NewFromConfig(session.Read), s)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// discover returns the services of every cluster of one region.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListServices.html
func discover(ctx context.Context, c *ecs.Client, s awsapi.Settings) ([]astern.Discovered, error) {
	var out []astern.Discovered
	clusters := ecs.NewListClustersPaginator(c, &ecs.ListClustersInput{})
	for clusters.HasMorePages() {
		page, err := clusters.NextPage(ctx)
		if err != nil {
			return nil, awsapi.Explain(err, "listing the clusters of "+s.Region, "")
		}
		for _, arn := range page.ClusterArns {
			services := ecs.NewListServicesPaginator(c, &ecs.ListServicesInput{Cluster: &arn, MaxResults: aws.Int32(100)})
			for services.HasMorePages() {
				some, err := services.NextPage(ctx)
				if err != nil {
					return nil, awsapi.Explain(err, "listing the services of "+nameOf(arn), arn)
				}
				found, err := recognize(ctx, c, s, nameOf(arn), some.ServiceArns)
				if err != nil {
					return nil, err
				}
				if out = append(out, found...); len(out) > servicesMost {
					return nil, astern.Errorf(astern.Refused, "listing the services of %s: there are more than %d", s.Region, servicesMost)
				}
			}
		}
	}
	return out, nil
}

// recognize returns the services that UpdateService can take back, in the order of the list: those that ECS itself deploys.
func recognize(ctx context.Context, c *ecs.Client, s awsapi.Settings, cluster string, arns []string) ([]astern.Discovered, error) {
	const most = 10 // in one call
	var out []astern.Discovered
	for len(arns) > 0 {
		some := arns[:min(len(arns), most)]
		arns = arns[len(some):]
		in := &ecs.DescribeServicesInput{Cluster: &cluster, Services: some, Include: []types.ServiceField{types.ServiceFieldTags}}
		described, err := c.DescribeServices(ctx, in)
		if err != nil {
			return nil, awsapi.Explain(err, "reading services of "+cluster, "service/"+cluster+"/*")
		}
		for _, v := range described.Services {
			if tagOf(v.Tags, tagShareOf) != "" || v.DeploymentController != nil && v.DeploymentController.Type != "" && v.DeploymentController.Type != types.DeploymentControllerTypeEcs {
				continue
			}
			name := aws.ToString(v.ServiceName)
			out = append(out, astern.Discovered{Name: strings.ToLower(strings.ReplaceAll(name, "_", "-")), Kind: Kind,
				Settings: Settings{Settings: s, Cluster: cluster, Service: name}})
		}
	}
	return out, nil
}
