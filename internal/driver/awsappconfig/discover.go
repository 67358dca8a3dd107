package awsappconfig

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/appconfig"
	"github.com/aws/aws-sdk-go-v2/service/appconfig/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// Bounds of what is looked at in one region.
const (
	maxEach    = 1000 // environments, or profiles, of one application
	sideBySide = 8
	lookBack   = 200 // deployments of an environment, the newest
)

// page looks at one page of the applications of a region, and returns each configuration profile in each environment that it was
// deployed to, in the order of the list.
func page(ctx context.Context, session *awsapi.Session, s awsapi.Settings, token *string) ([]astern.Discovered, *string, error) {
	c := appconfig.NewFromConfig(session.Read)
	list, err := c.ListApplications(ctx, &appconfig.ListApplicationsInput{MaxResults: aws.Int32(50), NextToken: token})
	if err != nil {
		return nil, nil, awsapi.Explain(err, "listing the applications of "+s.Region, "")
	}
	applications := list.Items
	found, errs := make([][]astern.Discovered, len(applications)), make([]error, len(applications))
	slots := make(chan struct{}, sideBySide)
	var wait sync.WaitGroup
	for i, a := range applications {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			found[i], errs[i] = within(ctx, c, s, aws.ToString(a.Id), aws.ToString(a.Name))
		})
	}
	wait.Wait()
	var out []astern.Discovered
	for i := range applications {
		if errs[i] != nil {
			return nil, nil, errs[i]
		}
		out = append(out, found[i]...)
	}
	return out, list.NextToken, nil
}

// all pages through a list.
func all[T any](what string, most int, page func(next *string) ([]T, *string, error)) ([]T, error) {
	var out []T
	for next := (*string)(nil); ; {
		items, more, err := page(next)
		if err != nil {
			return nil, awsapi.Explain(err, "listing "+what, "")
		}
		if out = append(out, items...); len(out) > most {
			return nil, astern.Errorf(astern.Refused, "listing %s: there are more than %d", what, most)
		}
		if next = more; next == nil || *next == "" {
			return out, nil
		}
	}
}

// within returns what is found in one application.
func within(ctx context.Context, c *appconfig.Client, s awsapi.Settings, id, name string) ([]astern.Discovered, error) {
	environments, err := all("the environments of "+name, maxEach, func(next *string) ([]types.Environment, *string, error) {
		o, err := c.ListEnvironments(ctx, &appconfig.ListEnvironmentsInput{ApplicationId: &id, MaxResults: aws.Int32(50), NextToken: next})
		if err != nil {
			return nil, nil, err
		}
		return o.Items, o.NextToken, nil
	})
	if err != nil || len(environments) == 0 {
		return nil, err
	}
	profiles, err := all("the configuration profiles of "+name, maxEach, func(next *string) ([]types.ConfigurationProfileSummary, *string, error) {
		o, err := c.ListConfigurationProfiles(ctx, &appconfig.ListConfigurationProfilesInput{ApplicationId: &id, MaxResults: aws.Int32(50), NextToken: next})
		if err != nil {
			return nil, nil, err
		}
		return o.Items, o.NextToken, nil
	})
	if err != nil {
		return nil, err
	}
	var out []astern.Discovered
	for _, e := range environments {
		deployed, err := deployedTo(ctx, c, id, e)
		if err != nil {
			return nil, err
		}
		for _, p := range profiles {
			if aws.ToString(p.LocationUri) == hosted && slices.Contains(deployed, aws.ToString(p.Name)) {
				out = append(out, discovered(s, name, aws.ToString(e.Name), len(environments) > 1, p))
			}
		}
	}
	return out, nil
}

// deployedTo returns the names of the profiles that were deployed to an environment, not long ago.
func deployedTo(ctx context.Context, c *appconfig.Client, application string, e types.Environment) ([]string, error) {
	var out []string
	pages := appconfig.NewListDeploymentsPaginator(c, &appconfig.ListDeploymentsInput{ApplicationId: &application, EnvironmentId: e.Id, MaxResults: aws.Int32(50)})
	for seen := 0; pages.HasMorePages() && seen < lookBack; {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, awsapi.Explain(err, "listing the deployments of "+aws.ToString(e.Name), aws.ToString(e.Id))
		}
		seen += len(page.Items)
		for _, d := range page.Items {
			if name := aws.ToString(d.ConfigurationName); !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out, nil
}

// discovered is a profile in an environment, as a component.
func discovered(s awsapi.Settings, application, environment string, several bool, p types.ConfigurationProfileSummary) astern.Discovered {
	name := application + "-" + aws.ToString(p.Name)
	if several {
		name += "-" + environment
	}
	out := astern.Discovered{Name: name, Kind: Kind,
		Settings: Settings{Settings: s, Application: application, Environment: environment, Configuration: aws.ToString(p.Name)},
		Guessed:  []string{"strategy is " + atOnce + ": a way back reaches everybody at once"}}
	if several {
		out.Guessed = append(out.Guessed, fmt.Sprintf("it is the environment %s of AppConfig; is it of this environment here?", environment))
	}
	return out
}
