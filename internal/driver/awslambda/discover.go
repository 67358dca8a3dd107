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

// page looks at one page of the functions of a region, and returns those that have an alias: a function without one has
// nothing that could be moved.
// https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html
func page(ctx context.Context, session *awsapi.Session, s awsapi.Settings, token *string) ([]astern.Discovered, *string, error) {
	c := lambda.NewFromConfig(session.Read)
	list, err := c.ListFunctions(ctx, &lambda.ListFunctionsInput{Marker: token})
	if err != nil {
		return nil, nil, awsapi.Explain(err, "listing the functions of "+s.Region, "")
	}
	found, errs := make([]*astern.Discovered, len(list.Functions)), make([]error, len(list.Functions))
	slots := make(chan struct{}, sideBySide)
	var wait sync.WaitGroup
	for i, f := range list.Functions {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			found[i], errs[i] = recognize(ctx, c, s, aws.ToString(f.FunctionName))
		})
	}
	wait.Wait()
	var out []astern.Discovered
	for i := range found {
		switch {
		case astern.CodeOf(errs[i]) == astern.NotFound: // deleted since the list was made
		case errs[i] != nil:
			return nil, nil, errs[i]
		case found[i] != nil:
			out = append(out, *found[i])
		}
	}
	return out, list.NextMarker, nil
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
