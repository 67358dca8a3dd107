package awssecret

import (
	"slices"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// Permissions returns what the driver asks Secrets Manager and KMS for. secretsmanager:GetSecretValue is not among it: no
// value is ever asked for.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html
func (validator) Permissions(c astern.Component) []astern.Permission {
	p, problems := examine(c)
	if len(problems) > 0 {
		return nil
	}
	secret := []string{p.arn()}
	onlyCurrent := map[string]map[string][]string{"StringEquals": {"secretsmanager:VersionStage": {labelCurrent}}}
	return slices.Concat(
		awsapi.Permissions(astern.UseRead, "versions and labels of the secret", secret, "secretsmanager:DescribeSecret", "secretsmanager:ListSecretVersionIds"),
		awsapi.Depending(awsapi.Permissions(astern.UseRead, "whether the key of the secret can be used", []string{p.ARN("kms", "key/*")}, "kms:DescribeKey")),
		awsapi.ForVerbs(awsapi.When(awsapi.Permissions(astern.UseRecover, "moving the label AWSCURRENT", secret, "secretsmanager:UpdateSecretVersionStage"), onlyCurrent), verbMove),
		awsapi.Permissions(astern.UseDiscover, "finding secrets", []string{"*"}, "secretsmanager:ListSecrets"))
}

// arn is the secret's: of one that is declared by its name, Secrets Manager adds six characters.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html
func (p place) arn() string {
	if strings.HasPrefix(p.Secret, "arn:") {
		return p.Secret
	}
	return p.ARN("secretsmanager", "secret:"+p.Secret+"-??????")
}
