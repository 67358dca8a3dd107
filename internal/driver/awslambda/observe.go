package awslambda

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// sideBySide is how many calls one observation makes at a time.
const sideBySide = 8

// Observe reads the component's state. The paths:
//
//	arn                 the function: with it account and region
//	revision            what the alias serves, the main revision first; absent when there is no alias, and unknown when there is
//	                    no function
//	routing             shares of the versions beside the main one: "7=0.25"
//	latest              hash of the code in $LATEST
//	version/REV         the version's number
//	release/REV         hash of its package
//	content/REV         the same, and content that it is what tells two functions' versions apart
//	release-time/REV    when it was published
//	package/REV         "Zip, 1234 bytes, python3.13"
//	state/REV           "Active", or what is in the way
//	role/REV            "there ARN" or "gone ARN"
//	layers/REV          "there" or "gone ARN…"; absent when it has none
//	runtime/REV         name of the runtime
//	role, state         those of $LATEST, which a version that is brought back from its archive gets; only where one is declared
//	event-sources       event source mappings of the function, a line each
//	provisioned         provisioned concurrency of the alias
//	reserved            reserved concurrency of the function
//	archive/REV         object version of the archive of a revision that is not published any more
//	archive-hash/REV    its SHA-256, where S3 knows it
//	archive-dies/REV    when a lifecycle rule deletes it
//	archives            why the archives could not be listed; absent when they could
func (d *driver) Observe(ctx context.Context, c astern.Component, scope astern.Scope) (astern.State, error) {
	p, err := resolve(c)
	if err != nil {
		return astern.State{}, err
	}
	l := &look{place: p, Sight: awsapi.NewSight(c, scope, d.now())}
	var config aws.Config
	if l.lambda, config, err = d.client(ctx, p, false); err == nil {
		l.function, err = ask(ctx, l.lambda, p)
	}
	switch {
	case astern.CodeOf(err) == astern.NotFound:
		l.Unknown("revision", astern.Errorf(astern.NotFound, "there is no function %s in %s", p.Function, config.Region))
	case err != nil:
		l.Fail(err, []string{""}, "revision", "arn")
	default:
		l.base()
		l.closely(ctx, config)
		l.around(ctx)
		if p.Archive != nil && l.Wants("archive/", "archive-hash/", "archive-dies/", "archives") {
			l.archives(ctx, config)
		}
	}
	return l.State(), nil
}

// look is one observation.
type look struct {
	place
	*awsapi.Sight
	lambda   *lambda.Client
	function function
}

// base notes what the lists say.
func (l *look) base() {
	f := l.function
	l.Known("arn", f.arn)
	l.Known("content", "the digest of its package")
	l.Known("latest", f.latest.hash)
	if !f.alias.absent {
		l.Known("revision", f.serves())
		if r := f.alias.routing(); r != "" {
			l.Known("routing", r)
		}
	}
	for _, v := range f.judged() {
		l.Known("version/"+v.revision, strconv.FormatInt(v.number, 10))
		l.Known("release/"+v.revision, v.hash)
		l.Known("content/"+v.revision, "code "+v.hash)
		if at := v.modified(); !at.IsZero() {
			l.Known("release-time/"+v.revision, at.Format(time.RFC3339))
		}
		l.Known("package/"+v.revision, strings.TrimSuffix(fmt.Sprintf("%s, %d bytes, %s", v.config.PackageType, v.config.CodeSize, v.config.Runtime), ", "))
		if v.config.Runtime != "" {
			l.Known("runtime/"+v.revision, string(v.config.Runtime))
		}
	}
}

// closely reads the state of each version, and whether what it needs is there. A role or a layer that many versions have is
// asked for once.
func (l *look) closely(ctx context.Context, config aws.Config) {
	var jobs []func()
	roles, layers := map[string]*once{}, map[string]*once{}
	directory := iam.NewFromConfig(config)
	for _, v := range l.function.judged() {
		if l.Wants("state/" + v.revision) {
			jobs = append(jobs, func() { l.stateOf(ctx, "state/"+v.revision, strconv.FormatInt(v.number, 10)) })
		}
		if role := aws.ToString(v.config.Role); l.Wants("role/"+v.revision) && role != "" {
			o := shared(roles, role)
			jobs = append(jobs, func() {
				l.there("role/"+v.revision, role, o.ask(func() error { return askRole(ctx, directory, role) }))
			})
		}
		if l.Wants("layers/"+v.revision) && len(v.config.Layers) > 0 {
			jobs = append(jobs, func() { l.layersOf(ctx, v, layers) })
			for _, y := range v.config.Layers {
				shared(layers, aws.ToString(y.Arn))
			}
		}
	}
	if l.Archive != nil && l.Wants("state") {
		jobs = append(jobs, func() { l.stateOf(ctx, "state", latest) })
	}
	if role := aws.ToString(l.function.latest.config.Role); l.Archive != nil && l.Wants("role") && role != "" {
		o := shared(roles, role)
		jobs = append(jobs, func() { l.there("role", role, o.ask(func() error { return askRole(ctx, directory, role) })) })
	}
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

// once asks one thing once.
type once struct {
	sync.Once
	err error
}

func (o *once) ask(f func() error) error {
	o.Do(func() { o.err = f() })
	return o.err
}

func shared(m map[string]*once, key string) *once {
	if m[key] == nil {
		m[key] = &once{}
	}
	return m[key]
}

// there notes whether something that is needed exists.
func (l *look) there(path, what string, err error) {
	switch {
	case err == nil:
		l.Known(path, "there "+what)
	case astern.CodeOf(err) == astern.NotFound:
		l.Known(path, "gone "+what)
	default:
		l.Unknown(path, err)
	}
}

// askRole asks for the role of a version.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html
func askRole(ctx context.Context, c *iam.Client, arn string) error {
	name := arn[strings.LastIndex(arn, "/")+1:]
	_, err := c.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	return awsapi.Explain(err, "looking for the role "+name, arn)
}

// layersOf asks for each layer of a version.
// https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersion.html
func (l *look) layersOf(ctx context.Context, v version, asked map[string]*once) {
	var gone []string
	for _, y := range v.config.Layers {
		arn := aws.ToString(y.Arn)
		i := strings.LastIndex(arn, ":")
		number, err := strconv.ParseInt(arn[i+1:], 10, 64)
		if err == nil {
			err = asked[arn].ask(func() error {
				_, err := l.lambda.GetLayerVersion(ctx, &lambda.GetLayerVersionInput{LayerName: aws.String(arn[:i]), VersionNumber: &number})
				return awsapi.Explain(err, "looking for a layer", arn)
			})
		}
		switch {
		case astern.CodeOf(err) == astern.NotFound:
			gone = append(gone, arn)
		case err != nil:
			l.Unknown("layers/"+v.revision, err)
			return
		}
	}
	if len(gone) > 0 {
		l.Known("layers/"+v.revision, "gone "+strings.Join(gone, " "))
		return
	}
	l.Known("layers/"+v.revision, "there")
}

// stateOf asks for the state of a version, which no list tells.
// https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
func (l *look) stateOf(ctx context.Context, path, number string) {
	out, err := l.lambda.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &l.Function, Qualifier: &number})
	if err != nil {
		l.Unknown(path, awsapi.Explain(err, fmt.Sprintf("reading version %s of %s", number, l.Function), l.function.arn+":"+number))
		return
	}
	text := string(out.State)
	if out.State == "" {
		text = "Active" // older functions carry no state
	} else if why := aws.ToString(out.StateReason); why != "" && text != "Active" {
		text += ": " + awsapi.OneLine(why)
	}
	l.Known(path, text)
}

// around reads what calls the function besides the alias, and how much of it may run.
func (l *look) around(ctx context.Context) {
	if l.Wants("event-sources") {
		l.eventSources(ctx)
	}
	if l.Wants("provisioned") && !l.function.alias.absent {
		out, err := l.lambda.GetProvisionedConcurrencyConfig(ctx, &lambda.GetProvisionedConcurrencyConfigInput{FunctionName: &l.Function, Qualifier: &l.Alias})
		switch {
		case awsapi.Is(err, "ProvisionedConcurrencyConfigNotFoundException"):
		case err != nil:
			l.Unknown("provisioned", awsapi.Explain(err, "reading the provisioned concurrency of "+l.Alias, l.function.arn+":"+l.Alias))
		default:
			l.Known("provisioned", fmt.Sprintf("%d, %s", aws.ToInt32(out.RequestedProvisionedConcurrentExecutions), out.Status))
		}
	}
	if l.Wants("reserved") {
		out, err := l.lambda.GetFunctionConcurrency(ctx, &lambda.GetFunctionConcurrencyInput{FunctionName: &l.Function})
		if err != nil {
			l.Unknown("reserved", awsapi.Explain(err, "reading the reserved concurrency of "+l.Function, l.function.arn))
		} else if out.ReservedConcurrentExecutions != nil {
			l.Known("reserved", strconv.Itoa(int(*out.ReservedConcurrentExecutions)))
		}
	}
}

// eventSources lists what calls the function by itself, and through what.
// https://docs.aws.amazon.com/lambda/latest/api/API_ListEventSourceMappings.html
func (l *look) eventSources(ctx context.Context) {
	var lines []string
	pages := lambda.NewListEventSourceMappingsPaginator(l.lambda, &lambda.ListEventSourceMappingsInput{FunctionName: &l.Function})
	for pages.HasMorePages() && len(lines) < 1000 {
		page, err := pages.NextPage(ctx)
		if err != nil {
			l.Unknown("event-sources", awsapi.Explain(err, "reading the event sources of "+l.Function, l.function.arn))
			return
		}
		for _, m := range page.EventSourceMappings {
			through := latest
			if q, ok := strings.CutPrefix(aws.ToString(m.FunctionArn), l.function.arn+":"); ok {
				through = q
			}
			lines = append(lines, through+" "+awsapi.OneLine(aws.ToString(m.EventSourceArn)))
		}
	}
	if len(lines) > 0 {
		slices.Sort(lines)
		l.Known("event-sources", strings.Join(lines, "\n"))
	}
}
