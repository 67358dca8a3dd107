package awsssm

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// Observe reads the component's state; values are no part of it. The paths:
//
//	arn             the parameter: with it account and region
//	revision        the revision whose value it has
//	content         why no two parameters' revisions can be compared
//	latest          number of the newest version, whatever its value
//	version/REV     number of a version that has the revision's value
//	created/REV     when that was written
//	labels/REV      its labels
//	full            why Parameter Store takes no further version, absent when it does
//	type/REV        String, StringList or SecureString, and its tier
//	key/REV         "Enabled", or what is with the key of yours that encrypts it; key-dies/REV when the key is deleted
func (d *driver) Observe(ctx context.Context, c astern.Component, scope astern.Scope) (astern.State, error) {
	p, err := resolve(c)
	if err != nil {
		return astern.State{}, err
	}
	sight := awsapi.NewSight(c, scope, d.now())
	session, err := d.accounts.Session(ctx, p.Settings.Settings)
	var all []version
	var whole string
	var keys *awsapi.Keys
	if err == nil {
		keys = awsapi.NewKeys(session.Read)
		client := ssm.NewFromConfig(session.Read)
		if all, err = history(ctx, client, p, false); err == nil {
			whole, err = arn(ctx, client, p)
		}
	}
	switch {
	case astern.CodeOf(err) == astern.NotFound:
		sight.Unknown("revision", astern.Errorf(astern.NotFound, "there is no parameter %s in %s", p.Parameter, p.Where()))
		return sight.State(), nil
	case err != nil:
		sight.Fail(err, []string{""}, "arn", "revision")
		return sight.State(), nil
	}
	sight.Known("arn", whole)
	sight.Known("content", "its value, which is never compared")
	sight.Known("revision", all[0].revision())
	sight.Known("latest", strconv.FormatInt(all[0].number, 10))
	if stuck := full(all); stuck != nil {
		sight.Known("full", stuck.Error())
	}
	for _, v := range all {
		rev := v.revision()
		if s, ok := source(all, rev); !ok || s.number != v.number {
			continue
		}
		sight.Known("version/"+rev, strconv.FormatInt(v.number, 10))
		sight.Known("type/"+rev, strings.TrimSpace(string(v.entry.Type)+" "+string(v.entry.Tier)))
		if v.entry.LastModifiedDate != nil {
			sight.Known("created/"+rev, v.entry.LastModifiedDate.UTC().Format(time.RFC3339))
		}
		if id := aws.ToString(v.entry.KeyId); id != "" && !strings.HasSuffix(id, "alias/aws/ssm") && sight.Wants("key/"+rev, "key-dies/"+rev) {
			keys.Describe(ctx, sight, rev, id)
		}
		labels := slices.Clone(v.entry.Labels)
		if slices.Sort(labels); len(labels) > 0 {
			sight.Known("labels/"+rev, strings.Join(labels, " "))
		}
	}
	return sight.State(), nil
}

// page lists one page of the parameters of a region.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeParameters.html
func page(ctx context.Context, session *awsapi.Session, s awsapi.Settings, token *string) ([]astern.Discovered, *string, error) {
	list, err := ssm.NewFromConfig(session.Read).DescribeParameters(ctx, &ssm.DescribeParametersInput{MaxResults: aws.Int32(50), NextToken: token})
	if err != nil {
		return nil, nil, awsapi.Explain(err, "listing the parameters of "+s.Region, "")
	}
	var out []astern.Discovered
	for _, m := range list.Parameters {
		name := aws.ToString(m.Name)
		out = append(out, astern.Discovered{Name: name, Kind: Kind, Settings: Settings{Settings: s, Parameter: name}})
	}
	return out, list.NextToken, nil
}
