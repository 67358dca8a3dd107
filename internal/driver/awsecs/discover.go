package awsecs

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// spot is how far a search of a region is.
type spot struct {
	Clusters []string `json:"clusters"`           // ARNs of those still to be looked at
	Services string   `json:"services,omitempty"` // page of the services of the first
	Next     string   `json:"next,omitempty"`     // page of the clusters after them
}

// token returns what a page is named by, nil at the end.
func (at spot) token() *string {
	if len(at.Clusters) == 0 && at.Next == "" {
		return nil
	}
	text, _ := json.Marshal(at) // strings only
	return aws.String(string(text))
}

// page looks at one page of the services of a cluster, and goes from cluster to cluster.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListServices.html
func page(ctx context.Context, session *awsapi.Session, s awsapi.Settings, token *string) ([]astern.Discovered, *string, error) {
	c := ecs.NewFromConfig(session.Read)
	var at spot
	if token != nil {
		if err := json.Unmarshal([]byte(*token), &at); err != nil {
			return nil, nil, astern.Errorf(astern.Invalid, "looking for services of %s: there is no page %q", s.Region, awsapi.OneLine(*token))
		}
	}
	if len(at.Clusters) == 0 {
		list, err := c.ListClusters(ctx, &ecs.ListClustersInput{NextToken: given(at.Next)})
		if err != nil {
			return nil, nil, awsapi.Explain(err, "listing the clusters of "+s.Region, "")
		}
		at = spot{Clusters: list.ClusterArns, Next: aws.ToString(list.NextToken)}
	}
	if len(at.Clusters) == 0 {
		return nil, at.token(), nil
	}
	arn := at.Clusters[0]
	list, err := c.ListServices(ctx, &ecs.ListServicesInput{Cluster: &arn, MaxResults: aws.Int32(100), NextToken: given(at.Services)})
	if awsapi.Is(err, "ClusterNotFoundException") { // deleted since the list was made
		at.Clusters, at.Services = at.Clusters[1:], ""
		return nil, at.token(), nil
	}
	if err != nil {
		return nil, nil, awsapi.Explain(err, "listing the services of "+nameOf(arn), arn)
	}
	found, err := recognize(ctx, c, s, nameOf(arn), list.ServiceArns)
	if at.Services = aws.ToString(list.NextToken); at.Services == "" {
		at.Clusters = at.Clusters[1:]
	}
	return found, at.token(), err
}

// given is a parameter that is left out where it is empty.
func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
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
