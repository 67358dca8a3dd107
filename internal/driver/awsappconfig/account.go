package awsappconfig

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/appconfig"
	"github.com/aws/aws-sdk-go-v2/service/appconfig/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// Bounds of what is read.
const (
	maxNamed       = 5000 // applications, environments or profiles that are looked through for a name
	maxVersions    = 2000 // hosted versions of a profile
	maxDeployments = 1000 // deployments of an environment, the newest
	enough         = 50   // deployments of the profile, after which no older ones are read
)

// revertWindow is how long after its completion a deployment can be taken back.
// https://docs.aws.amazon.com/appconfig/latest/userguide/appconfig-deploying-reverting.html
const revertWindow = 72 * time.Hour

// hosted is where AppConfig keeps configuration itself.
const hosted = "hosted"

// flagType is the type of profiles that hold feature flags.
const flagType = "AWS.AppConfig.FeatureFlags"

// ids are the identities of what the settings name.
type ids struct{ application, environment, profile string }

// String writes them as a state and a step hold them.
func (i ids) String() string { return i.application + "/" + i.environment + "/" + i.profile }

// parseIDs reads what String writes.
func parseIDs(text string) (ids, bool) {
	parts := strings.Split(text, "/")
	if len(parts) != 3 || slices.ContainsFunc(parts, func(p string) bool { return !idShape.MatchString(p) }) {
		return ids{}, false
	}
	return ids{parts[0], parts[1], parts[2]}, true
}

// version is a hosted version of the profile.
type version struct {
	number             int64
	label, contentType string
}

// deployment is a deployment of some profile to the environment.
type deployment struct {
	number         int64
	profile        string // its name
	version, label string
	state          types.DeploymentState
	percent        float64
	minutes, bake  int64
	started, ended time.Time // ended is zero while it is under way
}

// open reports whether it occupies the environment: there is one at a time.
func (d deployment) open() bool {
	return slices.Contains([]types.DeploymentState{types.DeploymentStateValidating, types.DeploymentStateDeploying, types.DeploymentStateBaking,
		types.DeploymentStateRollingBack}, d.state)
}

// growing reports whether some clients have its version, and others that of before.
func (d deployment) growing() bool {
	return d.state == types.DeploymentStateDeploying || d.state == types.DeploymentStateValidating
}

// stands reports whether everybody has its version.
func (d deployment) stands() bool {
	return d.state == types.DeploymentStateBaking || d.state == types.DeploymentStateComplete
}

// configuration is what was seen of a profile in an environment.
type configuration struct {
	ids
	name, location, kind string
	validators           []string
	monitors             []string     // ARNs of alarms
	versions             []version    // the newest first
	latest               deployment   // of the environment, whatever profile it is of
	all                  []deployment // of the profile, the newest first
	last                 *appconfig.GetDeploymentOutput
	names                map[int64]string // of versions
}

// ask reads the profile, its environment, its versions and its deployments. It returns a NotFound error when one of what the
// settings name does not exist.
func ask(ctx context.Context, c *appconfig.Client, p place) (configuration, error) {
	var out configuration
	var err error
	if out.ids, err = identify(ctx, c, p); err != nil {
		return out, err
	}
	e, err := c.GetEnvironment(ctx, &appconfig.GetEnvironmentInput{ApplicationId: &out.application, EnvironmentId: &out.environment})
	if err != nil {
		return out, awsapi.Explain(err, "reading the environment "+p.Environment, p.Environment)
	}
	for _, m := range e.Monitors {
		out.monitors = append(out.monitors, aws.ToString(m.AlarmArn))
	}
	profile, err := c.GetConfigurationProfile(ctx, &appconfig.GetConfigurationProfileInput{ApplicationId: &out.application, ConfigurationProfileId: &out.profile})
	if err != nil {
		return out, awsapi.Explain(err, "reading the configuration profile "+p.Configuration, p.Configuration)
	}
	out.name, out.location, out.kind = aws.ToString(profile.Name), aws.ToString(profile.LocationUri), aws.ToString(profile.Type)
	for _, v := range profile.Validators {
		out.validators = append(out.validators, string(v.Type))
	}
	if out.location == hosted {
		if out.versions, err = askVersions(ctx, c, out.ids); err != nil {
			return out, err
		}
	}
	if err := out.deployments(ctx, c); err != nil {
		return out, err
	}
	out.nameVersions()
	return out, nil
}

// identify finds the ids of what the settings name, by id or else by name.
func identify(ctx context.Context, c *appconfig.Client, p place) (ids, error) {
	var out ids
	var err error
	out.application, err = find(ctx, "application", p.Application,
		func(ctx context.Context) (string, error) {
			o, err := c.GetApplication(ctx, &appconfig.GetApplicationInput{ApplicationId: &p.Application})
			if err != nil {
				return "", err
			}
			return aws.ToString(o.Id), nil
		},
		func(ctx context.Context, next *string) ([]entry, *string, error) {
			o, err := c.ListApplications(ctx, &appconfig.ListApplicationsInput{MaxResults: aws.Int32(50), NextToken: next})
			if err != nil {
				return nil, nil, err
			}
			return entries(o.Items, func(x types.Application) entry { return entry{aws.ToString(x.Id), aws.ToString(x.Name)} }), o.NextToken, nil
		})
	if err != nil {
		return out, err
	}
	out.environment, err = find(ctx, "environment", p.Environment,
		func(ctx context.Context) (string, error) {
			o, err := c.GetEnvironment(ctx, &appconfig.GetEnvironmentInput{ApplicationId: &out.application, EnvironmentId: &p.Environment})
			if err != nil {
				return "", err
			}
			return aws.ToString(o.Id), nil
		},
		func(ctx context.Context, next *string) ([]entry, *string, error) {
			o, err := c.ListEnvironments(ctx, &appconfig.ListEnvironmentsInput{ApplicationId: &out.application, MaxResults: aws.Int32(50), NextToken: next})
			if err != nil {
				return nil, nil, err
			}
			return entries(o.Items, func(x types.Environment) entry { return entry{aws.ToString(x.Id), aws.ToString(x.Name)} }), o.NextToken, nil
		})
	if err != nil {
		return out, err
	}
	out.profile, err = find(ctx, "configuration profile", p.Configuration,
		func(ctx context.Context) (string, error) {
			o, err := c.GetConfigurationProfile(ctx, &appconfig.GetConfigurationProfileInput{ApplicationId: &out.application, ConfigurationProfileId: &p.Configuration})
			if err != nil {
				return "", err
			}
			return aws.ToString(o.Id), nil
		},
		func(ctx context.Context, next *string) ([]entry, *string, error) {
			o, err := c.ListConfigurationProfiles(ctx, &appconfig.ListConfigurationProfilesInput{ApplicationId: &out.application, MaxResults: aws.Int32(50), NextToken: next})
			if err != nil {
				return nil, nil, err
			}
			return entries(o.Items, func(x types.ConfigurationProfileSummary) entry {
				return entry{aws.ToString(x.Id), aws.ToString(x.Name)}
			}), o.NextToken, nil
		})
	return out, err
}

// entry is one of a list of what has an id and a name.
type entry struct{ id, name string }

func entries[T any](items []T, of func(T) entry) []entry {
	out := make([]entry, len(items))
	for i, x := range items {
		out[i] = of(x)
	}
	return out
}

// find returns the id of what is named: list pages through all of them, and get asks for it as an id where they are many.
func find(ctx context.Context, what, named string, get func(context.Context) (string, error),
	list func(ctx context.Context, next *string) ([]entry, *string, error)) (string, error) {
	doing := "looking for the " + what + " " + named
	var found []string
	for seen, next := 0, (*string)(nil); ; {
		page, more, err := list(ctx, next)
		if err != nil {
			return "", awsapi.Explain(err, doing, "")
		}
		for _, x := range page {
			if x.id == named {
				return x.id, nil
			}
			if x.name == named {
				found = append(found, x.id)
			}
		}
		if more == nil || *more == "" {
			break
		}
		if seen == 0 && idShape.MatchString(named) {
			if id, err := get(ctx); err == nil && id == named {
				return id, nil
			} else if err != nil && !awsapi.Is(err, "ResourceNotFoundException", "BadRequestException") {
				return "", awsapi.Explain(err, doing, named)
			}
		}
		if seen += len(page); seen > maxNamed {
			return "", astern.Errorf(astern.Refused, "%s: there are more than %d", doing, maxNamed).WithHint("write its id")
		}
		next = more
	}
	switch {
	case len(found) == 0:
		return "", astern.Errorf(astern.NotFound, "%s: there is none of that name or id", doing)
	case len(found) > 1:
		return "", astern.Errorf(astern.Refused, "%s: %d have that name", doing, len(found)).WithHint("write its id: one of %s", awsapi.OneLine(strings.Join(found, ", ")))
	case !idShape.MatchString(found[0]):
		return "", astern.Errorf(astern.Internal, "%s: %q is no id", doing, awsapi.OneLine(found[0]))
	}
	return found[0], nil
}

// askVersions lists the hosted versions, the newest first, without what is in them.
// https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_ListHostedConfigurationVersions.html
func askVersions(ctx context.Context, c *appconfig.Client, i ids) ([]version, error) {
	var out []version
	doing := "listing the versions of the configuration profile " + i.profile
	pages := appconfig.NewListHostedConfigurationVersionsPaginator(c, &appconfig.ListHostedConfigurationVersionsInput{ApplicationId: &i.application,
		ConfigurationProfileId: &i.profile, MaxResults: aws.Int32(50)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, awsapi.Explain(err, doing, i.profile)
		}
		for _, v := range page.Items {
			out = append(out, version{int64(v.VersionNumber), aws.ToString(v.VersionLabel), aws.ToString(v.ContentType)})
		}
		if len(out) > maxVersions {
			return nil, astern.Errorf(astern.Refused, "%s: it has more than %d", doing, maxVersions).WithHint("delete versions that nobody goes back to")
		}
	}
	slices.SortFunc(out, func(a, b version) int { return int(b.number - a.number) })
	return out, nil
}

// deployments reads those of the environment, the newest first, as far back as anybody goes, and the last one of the profile
// with all that is known of it.
// https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_ListDeployments.html
func (c *configuration) deployments(ctx context.Context, client *appconfig.Client) error {
	doing := "listing the deployments of the environment " + c.environment
	pages := appconfig.NewListDeploymentsPaginator(client, &appconfig.ListDeploymentsInput{ApplicationId: &c.application, EnvironmentId: &c.environment, MaxResults: aws.Int32(50)})
	for seen := 0; pages.HasMorePages() && len(c.all) < enough && seen < maxDeployments; {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return awsapi.Explain(err, doing, c.environment)
		}
		seen += len(page.Items)
		for _, x := range page.Items {
			d := summarized(x)
			if d.number > c.latest.number {
				c.latest = d
			}
			if d.profile == c.name {
				c.all = append(c.all, d)
			}
		}
	}
	slices.SortFunc(c.all, func(a, b deployment) int { return int(b.number - a.number) })
	if len(c.all) == 0 {
		return nil
	}
	last, err := client.GetDeployment(ctx, &appconfig.GetDeploymentInput{ApplicationId: &c.application, EnvironmentId: &c.environment, DeploymentNumber: aws.Int32(int32(c.all[0].number))})
	if err != nil {
		return awsapi.Explain(err, fmt.Sprintf("reading deployment %d of the environment %s", c.all[0].number, c.environment), c.environment)
	}
	if aws.ToString(last.ConfigurationProfileId) != c.profile { // the list names profiles only
		return astern.Errorf(astern.Refused, "%s: two configuration profiles are called %s, and which of them a deployment is of can't be told", doing, awsapi.OneLine(c.name)).
			WithHint("give one of them another name: aws appconfig update-configuration-profile --name …")
	}
	c.last = last
	return nil
}

// summarized reads one of a list of deployments.
func summarized(x types.DeploymentSummary) deployment {
	d := deployment{number: int64(x.DeploymentNumber), profile: aws.ToString(x.ConfigurationName), version: aws.ToString(x.ConfigurationVersion), label: aws.ToString(x.VersionLabel),
		state: x.State, percent: float64(aws.ToFloat32(x.PercentageComplete)), minutes: int64(x.DeploymentDurationInMinutes), bake: int64(x.FinalBakeTimeInMinutes),
		started: aws.ToTime(x.StartedAt)}
	if !d.open() {
		d.ended = aws.ToTime(x.CompletedAt)
	}
	return d
}

// nameVersions gives each version its revision: its label where that is the name of a revision that no other version has, else its
// number. Versions that are gone are known from their deployments.
func (c *configuration) nameVersions() {
	labels := map[int64]string{}
	for _, d := range slices.Backward(c.all) {
		if n, err := strconv.ParseInt(d.version, 10, 64); err == nil {
			labels[n] = d.label
		}
	}
	for _, v := range c.versions {
		labels[v.number] = v.label
	}
	used := map[string]int{}
	for n, l := range labels {
		used[strconv.FormatInt(n, 10)]++
		used[l]++
	}
	c.names = map[int64]string{}
	for n, l := range labels {
		c.names[n] = strconv.FormatInt(n, 10)
		if astern.ValidRevision(l) && used[l] == 1 {
			c.names[n] = l
		}
	}
}

// of returns the version that a deployment is of: its number, or its label where that was asked for.
func (c configuration) of(d deployment) (number int64, revision string) {
	n, err := strconv.ParseInt(d.version, 10, 64)
	if err != nil {
		i := slices.IndexFunc(c.versions, func(v version) bool { return v.label == d.version && v.label != "" })
		if i < 0 {
			return 0, d.version
		}
		n = c.versions[i].number
	}
	return n, c.names[n]
}

// before returns the deployment whose version everybody had before the one at that place of the list, where there was one.
func (c configuration) before(i int) (deployment, bool) {
	for _, d := range c.all[i+1:] {
		if d.stands() {
			return d, true
		}
	}
	return deployment{}, false
}

// standing returns the last deployment whose version everybody got. One that was stopped on its way changes it as little as none.
func (c configuration) standing() (deployment, bool) {
	if len(c.all) > 0 && c.all[0].stands() {
		return c.all[0], true
	}
	return c.before(-1)
}

// serves returns the revisions that clients have, "" when nothing was ever deployed: two while a deployment grows, that
// of before first.
func (c configuration) serves() string {
	if len(c.all) == 0 {
		return ""
	}
	_, now := c.of(c.all[0])
	if c.all[0].stands() {
		return now
	}
	was := ""
	if d, ok := c.before(0); ok {
		_, was = c.of(d)
	}
	switch {
	case c.all[0].growing() && was == now, c.all[0].growing() && was == "":
		return now
	case c.all[0].growing():
		return was + "+" + now
	}
	return was
}

// back is what taking the last deployment back leads to.
type back struct {
	number   int64
	revision string
	until    time.Time // zero while it is under way
}

// revertible returns what taking the last deployment back leads to, where the cloud still does it: it must be the last one
// of the environment, and one of this profile.
func (c configuration) revertible() (back, bool) {
	if len(c.all) == 0 || c.all[0].number != c.latest.number {
		return back{}, false
	}
	d := c.all[0]
	was, ok := c.before(0)
	if !ok || !d.growing() && !d.stands() {
		return back{}, false
	}
	out := back{number: d.number}
	if _, out.revision = c.of(was); d.state == types.DeploymentStateComplete {
		out.until = d.ended.Add(revertWindow)
	}
	return out, true
}
