package awsssm

import (
	"slices"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// Permissions returns what the driver asks Parameter Store for, and what that asks KMS for on our behalf.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html
// https://docs.aws.amazon.com/systems-manager/latest/userguide/secure-string-parameter-kms-permissions.html
func (validator) Permissions(c astern.Component) []astern.Permission {
	p, problems := examine(c)
	if len(problems) > 0 {
		return nil
	}
	parameter := []string{p.ARN("ssm", "parameter/"+strings.TrimPrefix(p.Parameter, "/"))}
	overwriting := map[string]map[string][]string{"Bool": {"ssm:Overwrite": {"true"}}}
	return slices.Concat(
		awsapi.Permissions(astern.UseRead, "versions of the parameter", parameter, "ssm:GetParameter", "ssm:GetParameterHistory"),
		awsapi.Depending(awsapi.Permissions(astern.UseRead, "whether the key of a version can be used", []string{p.ARN("kms", "key/*")}, "kms:DescribeKey")),
		awsapi.ForVerbs(awsapi.When(awsapi.Permissions(astern.UseRecover, "putting an earlier value again", parameter, "ssm:PutParameter"), overwriting), verbPut),
		awsapi.Depending(awsapi.ForVerbs(awsapi.When(awsapi.Permissions(astern.UseRecover, "values that a key of yours encrypts", []string{p.ARN("kms", "key/*")},
			"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"), p.ThroughService("ssm", "PARAMETER_ARN", parameter[0])), verbPut)),
		awsapi.Permissions(astern.UseDiscover, "finding parameters", []string{"*"}, "ssm:DescribeParameters"))
}
