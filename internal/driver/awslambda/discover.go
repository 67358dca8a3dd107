package awslambda

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// maxFunctions bounds what is looked at in one region.
const maxFunctions = 5000

// Discover lists the functions of each region that a place names ("aws:eu-central-1"), and returns those that have an alias:
// a function without one has nothing that could be moved.
func (d *driver) Discover(ctx context.Context, places []string) ([]astern.Discovered, error) {
	regions, err := awsapi.Places(places)
	if err != nil {
		return nil, err
	}
	var out []astern.Discovered
	for _, s := range regions {
		found, err := d.region(ctx, s)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// region returns what is found in one region, in the order of the list.
func (d *driver) region(ctx context.Context, s awsapi.Settings) ([]astern.Discovered, error) {
	session, err := d.accounts.Session(ctx, s)
	if err != nil {
		return nil, err
	}
	s.Region = session.Region
	c := lambda.NewFromConfig(session.Read)
	var functions []string
	pages := lambda.NewListFunctionsPaginator(c, &lambda.ListFunctionsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, awsapi.Explain(err, "listing the functions of "+s.Region, "")
		}
		for _, f := range page.Functions {
			functions = append(functions, aws.ToString(f.FunctionName))
		}
		if len(functions) > maxFunctions {
			return nil, astern.Errorf(astern.Refused, "listing the functions of %s: there are more than %d", s.Region, maxFunctions)
		}
	}
	found, errs := make([]*astern.Discovered, len(functions)), make([]error, len(functions))
	slots := make(chan struct{}, sideBySide)
	var wait sync.WaitGroup
	for i, name := range functions {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			found[i], errs[i] = recognize(ctx, c, s, name)
		})
	}
	wait.Wait()
	var out []astern.Discovered
	for i := range functions {
		if errs[i] != nil {
			return nil, errs[i]
		}
		if found[i] != nil {
			out = append(out, *found[i])
		}
	}
	return out, nil
}

// usual are names of aliases that callers use, the most telling first.
var usual = []string{"live", "prod", "production", "current", "stable", "main"}

// recognize returns the function as a component, nil when it has no alias.
func recognize(ctx context.Context, c *lambda.Client, s awsapi.Settings, name string) (*astern.Discovered, error) {
	var aliases []types.AliasConfiguration
	pages := lambda.NewListAliasesPaginator(c, &lambda.ListAliasesInput{FunctionName: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, awsapi.Explain(err, "listing the aliases of "+name, name)
		}
		aliases = append(aliases, page.Aliases...)
	}
	if len(aliases) == 0 {
		return nil, nil
	}
	chosen := aws.ToString(aliases[0].Name)
	var names []string
	for _, a := range aliases {
		names = append(names, aws.ToString(a.Name))
	}
	for _, u := range usual {
		for _, n := range names {
			if strings.EqualFold(n, u) {
				chosen = n
				return discovered(s, name, chosen, names), nil
			}
		}
	}
	return discovered(s, name, chosen, names), nil
}

func discovered(s awsapi.Settings, name, alias string, aliases []string) *astern.Discovered {
	d := &astern.Discovered{Name: name, Kind: Kind, Settings: Settings{Settings: s, Function: name, Alias: alias}}
	if len(aliases) > 1 {
		d.Guessed = append(d.Guessed, fmt.Sprintf("callers use the alias %s (there are %s)", alias, strings.Join(aliases, ", ")))
	}
	d.Guessed = append(d.Guessed, "archive is not known: add bucket and key of the code of each revision, if it is kept")
	return d
}
