package awsecs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// need is something that a task needs in order to start: a role, a secret, a parameter, a log group, a file.
type need struct{ kind, name, region string }

// What the kinds of needs are called.
const (
	needRole      = "role"
	needSecret    = "secret"
	needParameter = "parameter"
	needLogs      = "log group"
	needFile      = "environment file" // by ARN: arn:aws:s3:::BUCKET/KEY
	needFiles     = "file system"      // of EFS, by its id
)

// needsOf lists what tasks of a definition need, each once.
func needsOf(d types.TaskDefinition) []need {
	var out []need
	add := func(n need) {
		if n.name != "" && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	add(need{kind: needRole, name: aws.ToString(d.ExecutionRoleArn)})
	add(need{kind: needRole, name: aws.ToString(d.TaskRoleArn)})
	for _, v := range d.Volumes {
		if f := v.EfsVolumeConfiguration; f != nil {
			add(need{kind: needFiles, name: aws.ToString(f.FileSystemId)})
		}
	}
	for _, c := range d.ContainerDefinitions {
		for _, f := range c.EnvironmentFiles {
			add(need{kind: needFile, name: aws.ToString(f.Value)})
		}
		secrets := slices.Clone(c.Secrets)
		if l := c.LogConfiguration; l != nil {
			secrets = append(secrets, l.SecretOptions...)
			if l.LogDriver == types.LogDriverAwslogs && l.Options["awslogs-create-group"] != "true" {
				add(need{kind: needLogs, name: l.Options["awslogs-group"], region: l.Options["awslogs-region"]})
			}
		}
		if r := c.RepositoryCredentials; r != nil {
			add(need{kind: needSecret, name: aws.ToString(r.CredentialsParameter)})
		}
		for _, s := range secrets {
			from := aws.ToString(s.ValueFrom)
			if strings.HasPrefix(from, "arn:") && strings.Contains(from, ":secretsmanager:") {
				add(need{kind: needSecret, name: from})
			} else {
				add(need{kind: needParameter, name: from})
			}
		}
	}
	return out
}

// provider looks for what tasks need, for each thing once in an observation. Values of secrets are never asked for.
type provider struct {
	config aws.Config
	mu     sync.Mutex
	known  map[need]func() error
}

// missing says which of the needs are not there; the error is why one of them could not be looked for.
func (p *provider) missing(ctx context.Context, needs []need) (gone []string, err error) {
	var errs []error
	for _, n := range needs {
		if n.kind == needFiles { // see mounts
			continue
		}
		switch err := p.look(ctx, n)(); {
		case astern.CodeOf(err) == astern.NotFound:
			gone = append(gone, n.kind+" "+n.name)
		case err != nil:
			errs = append(errs, err)
		}
	}
	return gone, errors.Join(errs...)
}

func (p *provider) look(ctx context.Context, n need) func() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[need]func() error{}
	}
	if p.known[n] == nil {
		ask := map[string]func(context.Context, need) error{needRole: p.role, needSecret: p.secret, needParameter: p.parameter, needLogs: p.logs, needFile: p.file}[n.kind]
		p.known[n] = sync.OnceValue(func() error { return ask(ctx, n) })
	}
	return p.known[n]
}

// role asks for a role. https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html
func (p *provider) role(ctx context.Context, n need) error {
	name := n.name[strings.LastIndex(n.name, "/")+1:]
	_, err := iam.NewFromConfig(p.config).GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	return awsapi.Explain(err, "looking for the role "+name, n.name)
}

// secret asks whether a secret has the version that a task is given: arn:…:secret:NAME[:JSON-KEY:STAGE:VERSION].
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
func (p *provider) secret(ctx context.Context, n need) error {
	parts := strings.Split(n.name, ":")
	if len(parts) < 7 { // credentials of a registry may be named: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RepositoryCredentials.html
		parts = []string{"", "", "", p.config.Region, "", "", n.name}
	}
	id, stage, version := strings.TrimLeft(strings.Join(parts[:7], ":"), ":"), "AWSCURRENT", ""
	if parts[0] == "" {
		id = n.name
	}
	if len(parts) > 8 && parts[8] != "" {
		stage = parts[8]
	}
	if len(parts) > 9 {
		version = parts[9]
	}
	c := secretsmanager.NewFromConfig(p.config, func(o *secretsmanager.Options) { o.Region = parts[3] })
	out, err := c.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	doing := "looking for the secret " + parts[6]
	if err != nil {
		return awsapi.Explain(err, doing, id)
	}
	if out.DeletedDate != nil {
		return astern.Errorf(astern.NotFound, "%s: it is marked for deletion", doing)
	}
	for v, stages := range out.VersionIdsToStages {
		if version != "" && v == version || version == "" && slices.Contains(stages, stage) {
			return nil
		}
	}
	return astern.Errorf(astern.NotFound, "%s: it has no version %s", doing, strings.TrimSpace(stage+" "+version))
}

// parameter asks whether there is a parameter, by its name or ARN, without its value.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeParameters.html
func (p *provider) parameter(ctx context.Context, n need) error {
	name, region := n.name, ""
	if parts := strings.SplitN(n.name, ":", 6); len(parts) == 6 && parts[0] == "arn" {
		region, name = parts[3], strings.TrimPrefix(parts[5], "parameter")
		if strings.Count(name, "/") == 1 { // the name of one outside of a hierarchy has no slash
			name = strings.TrimPrefix(name, "/")
		}
	}
	c := ssm.NewFromConfig(p.config, func(o *ssm.Options) {
		if region != "" {
			o.Region = region
		}
	})
	doing := "looking for the parameter " + name
	pages := ssm.NewDescribeParametersPaginator(c, &ssm.DescribeParametersInput{ParameterFilters: []ssmtypes.ParameterStringFilter{
		{Key: aws.String("Name"), Option: aws.String("Equals"), Values: []string{name}}}})
	for pages.HasMorePages() { // a page may be empty, and not the last
		page, err := pages.NextPage(ctx)
		if err != nil {
			return awsapi.Explain(err, doing, n.name)
		}
		if len(page.Parameters) > 0 {
			return nil
		}
	}
	return astern.Errorf(astern.NotFound, "%s: there is none", doing)
}

// logs asks whether there is a log group.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeLogGroups.html
func (p *provider) logs(ctx context.Context, n need) error {
	doing := "looking for the log group " + n.name
	pages := cloudwatchlogs.NewDescribeLogGroupsPaginator(logsIn(p.config, n.region), &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &n.name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return awsapi.Explain(err, doing, n.name)
		}
		for _, g := range page.LogGroups {
			if aws.ToString(g.LogGroupName) == n.name {
				return nil
			}
		}
	}
	return astern.Errorf(astern.NotFound, "%s: there is none", doing)
}

// file asks whether an environment file is there, without reading it: it may hold secrets.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/use-environment-file.html
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
func (p *provider) file(ctx context.Context, n need) error {
	doing := "looking for the environment file " + n.name
	parts := strings.SplitN(n.name, ":", 6)
	if len(parts) != 6 || parts[2] != "s3" {
		return astern.Errorf(astern.Invalid, "%s: that is no ARN of an object", doing)
	}
	bucket, key, _ := strings.Cut(parts[5], "/")
	out, err := s3.NewFromConfig(p.config, awsapi.PathStyle).ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &key, MaxKeys: aws.Int32(1)})
	switch {
	case awsapi.Is(err, "NoSuchBucket"):
		return astern.Errorf(astern.NotFound, "%s: there is no such bucket", doing)
	case err != nil:
		return awsapi.Explain(err, doing, "arn:"+parts[1]+":s3:::"+bucket)
	case len(out.Contents) == 0 || aws.ToString(out.Contents[0].Key) != key: // what begins with it comes after it
		return astern.Errorf(astern.NotFound, "%s: there is none", doing)
	}
	return nil
}

func logsIn(config aws.Config, region string) *cloudwatchlogs.Client {
	return cloudwatchlogs.NewFromConfig(config, func(o *cloudwatchlogs.Options) {
		if region != "" {
			o.Region = region
		}
	})
}

// counted words how many of each kind there are: "2 roles, 1 secret".
func counted(lines string) string {
	n := map[string]int{}
	for line := range strings.Lines(lines) {
		for _, kind := range []string{needRole, needSecret, needParameter, needLogs, needFile} {
			if strings.HasPrefix(line, kind+" ") {
				n[kind]++
			}
		}
	}
	var out []string
	for _, kind := range slices.Sorted(maps.Keys(n)) {
		plural := "s"
		if n[kind] == 1 {
			plural = ""
		}
		out = append(out, fmt.Sprintf("%d %s%s", n[kind], kind, plural))
	}
	return strings.Join(out, ", ")
}
