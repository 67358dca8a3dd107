package awssecret

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// defaultKey is what the cloud says of the key that every account has.
const defaultKey = "DefaultEncryptionKey"

// maxVersions bounds the versions that are listed; Secrets Manager keeps about a hundred.
const maxVersions = 1000

// Observe reads the component's state; the value of the secret is no part of it. The paths:
//
//	arn             the secret: with it account and region
//	revision        the version that has the label AWSCURRENT
//	content         why no two secrets' versions can be compared
//	stages/REV      labels of a version, "" for one without
//	created/REV     when it was made
//	key/REV         "Enabled", or what is with the key that encrypts it; key-dies/REV when the key is deleted
//	pending         the version that a rotation is making; absent when none is under way
//	rotation        when the secret is rotated next, "on" where that is not known; absent when it is not rotated
//	deleted         when it was scheduled for deletion
//	owner           the service that manages it
//	primary         the region that it is a replica of
func (d *driver) Observe(ctx context.Context, c astern.Component, scope astern.Scope) (astern.State, error) {
	p, err := resolve(c)
	if err != nil {
		return astern.State{}, err
	}
	sight := awsapi.NewSight(c, scope, d.now())
	session, err := d.accounts.Session(ctx, p.Settings.Settings)
	var s secret
	var versions []types.SecretVersionsListEntry
	if err == nil {
		client := secretsmanager.NewFromConfig(session.Read)
		if s, err = ask(ctx, client, p); err == nil {
			versions, err = list(ctx, client, s.arn)
		}
	}
	switch {
	case astern.CodeOf(err) == astern.NotFound:
		sight.Unknown("revision", astern.Errorf(astern.NotFound, "there is no secret %s in %s", p.Secret, p.Where()))
		return sight.State(), nil
	case err != nil:
		sight.Fail(err, []string{""}, "arn", "revision")
		return sight.State(), nil
	}
	base(sight, s, session.Region)
	keys := awsapi.NewKeys(session.Read)
	for _, v := range versions {
		rev := aws.ToString(v.VersionId)
		if !versionShape.MatchString(rev) {
			continue
		}
		stages := slices.Clone(v.VersionStages)
		slices.Sort(stages)
		sight.Known("stages/"+rev, strings.Join(stages, " "))
		if v.CreatedDate != nil {
			sight.Known("created/"+rev, v.CreatedDate.UTC().Format(time.RFC3339))
		}
		if sight.Wants("key/"+rev, "key-dies/"+rev) {
			if id := keyOf(s, v); id != "" && !strings.HasSuffix(id, "alias/aws/secretsmanager") {
				keys.Describe(ctx, sight, rev, id)
			}
		}
	}
	return sight.State(), nil
}

// base notes what the description says.
func base(sight *awsapi.Sight, s secret, region string) {
	sight.Known("arn", s.arn)
	sight.Known("content", "its value, which is never compared")
	if current := s.holder(labelCurrent); current != "" {
		sight.Known("revision", current)
	}
	if pending := s.rotating(); pending != "" {
		sight.Known("pending", pending)
	}
	if aws.ToBool(s.out.RotationEnabled) {
		next := "on"
		if s.out.NextRotationDate != nil {
			next = s.out.NextRotationDate.UTC().Format(time.RFC3339)
		}
		sight.Known("rotation", next)
	}
	if s.out.DeletedDate != nil {
		sight.Known("deleted", s.out.DeletedDate.UTC().Format(time.RFC3339))
	}
	if owner := aws.ToString(s.out.OwningService); owner != "" {
		sight.Known("owner", awsapi.OneLine(owner))
	}
	if primary := aws.ToString(s.out.PrimaryRegion); primary != "" && primary != region {
		sight.Known("primary", primary)
	}
}

// list returns the versions, also those without a label.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecretVersionIds.html
func list(ctx context.Context, c *secretsmanager.Client, arn string) ([]types.SecretVersionsListEntry, error) {
	var out []types.SecretVersionsListEntry
	pages := secretsmanager.NewListSecretVersionIdsPaginator(c, &secretsmanager.ListSecretVersionIdsInput{SecretId: &arn, IncludeDeprecated: aws.Bool(true)})
	for pages.HasMorePages() && len(out) < maxVersions {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, awsapi.Explain(err, "listing the versions of the secret", arn)
		}
		out = append(out, page.Versions...)
	}
	return out, nil
}

// keyOf returns the key that encrypts a version, "" for the one that every account has.
func keyOf(s secret, v types.SecretVersionsListEntry) string {
	for _, k := range v.KmsKeyIds {
		if k != defaultKey {
			return k
		}
	}
	if len(v.KmsKeyIds) > 0 {
		return ""
	}
	return aws.ToString(s.out.KmsKeyId)
}

// page lists one page of the secrets of a region; those that a service manages are left out.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html
func page(ctx context.Context, session *awsapi.Session, s awsapi.Settings, token *string) ([]astern.Discovered, *string, error) {
	list, err := secretsmanager.NewFromConfig(session.Read).ListSecrets(ctx, &secretsmanager.ListSecretsInput{MaxResults: aws.Int32(100), NextToken: token})
	if err != nil {
		return nil, nil, awsapi.Explain(err, "listing the secrets of "+s.Region, "")
	}
	var out []astern.Discovered
	for _, e := range list.SecretList {
		if e.DeletedDate != nil || aws.ToString(e.OwningService) != "" {
			continue
		}
		out = append(out, astern.Discovered{Name: aws.ToString(e.Name), Kind: Kind, Settings: Settings{Settings: s, Secret: aws.ToString(e.Name)},
			Guessed: []string{"nothing tries an earlier credential: declare a check, and name it in tries"}})
	}
	return out, list.NextToken, nil
}
