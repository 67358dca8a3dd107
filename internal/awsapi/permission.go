package awsapi

import (
	"cmp"
	"strings"

	"github.com/astern-dev/astern"
)

// ARN names a resource of a service in the region and account of the settings; what they don't say is *, which a policy takes
// for all there are.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
func (s Settings) ARN(service, resource string) string {
	return strings.Join([]string{"arn", s.partition(), service, cmp.Or(s.Region, "*"), s.accountOr("*"), resource}, ":")
}

// GlobalARN is ARN for a service that is one for all regions.
func (s Settings) GlobalARN(service, resource string) string {
	return strings.Join([]string{"arn", s.partition(), service, "", s.accountOr("*"), resource}, ":")
}

// BucketARN names a bucket, or with a key objects of it: neither has a region or an account in its name.
func (s Settings) BucketARN(bucket, key string) string {
	arn := "arn:" + s.partition() + ":s3:::" + bucket
	if key != "" {
		arn += "/" + key
	}
	return arn
}

// partition is that of the role, or else of the region.
// https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html
func (s Settings) partition() string {
	if parts := strings.Split(s.Role, ":"); len(parts) > 1 {
		return parts[1]
	}
	switch {
	case strings.HasPrefix(s.Region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(s.Region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// accountOr is the account that the settings declare, or that of the role.
func (s Settings) accountOr(otherwise string) string {
	if parts := strings.Split(s.Role, ":"); s.Account == "" && len(parts) > 4 {
		return parts[4]
	}
	return cmp.Or(s.Account, otherwise)
}

// OwnBucket is the condition that a bucket is of the account that is declared: names of buckets can be taken by others.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html
func (s Settings) OwnBucket() map[string]map[string][]string {
	account := s.accountOr("")
	if account == "" {
		return nil
	}
	return map[string]map[string][]string{"StringEquals": {"aws:ResourceAccount": {account}}}
}

// ThroughService is the condition that a key is used by a service on our behalf, for what the encryption context names.
// https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service
func (s Settings) ThroughService(service, context string, values ...string) map[string]map[string][]string {
	return map[string]map[string][]string{"StringLike": {"kms:ViaService": {service + "." + cmp.Or(s.Region, "*") + ".amazonaws.com"},
		"kms:EncryptionContext:" + context: values}}
}

// Permissions makes a list of them for one use: each action on each resource.
func Permissions(use astern.PermissionUse, why string, resources []string, actions ...string) []astern.Permission {
	var out []astern.Permission
	for _, r := range resources {
		for _, a := range actions {
			out = append(out, astern.Permission{Action: a, Resource: r, Use: use, Why: why})
		}
	}
	return out
}

// ForVerbs gives the permissions the verbs of the steps that need them.
func ForVerbs(list []astern.Permission, verbs ...string) []astern.Permission {
	for i := range list {
		list[i].Verbs = verbs
	}
	return list
}

// When gives the permissions a condition, nil for none.
func When(list []astern.Permission, when map[string]map[string][]string) []astern.Permission {
	for i := range list {
		list[i].When = when
	}
	return list
}

// Depending marks permissions that are needed only for some contents.
func Depending(list []astern.Permission) []astern.Permission {
	for i := range list {
		list[i].Depends = true
	}
	return list
}

// On gives the permissions a resource that a recovery needs, as an example of their pattern.
func On(list []astern.Permission, example string) []astern.Permission {
	for i := range list {
		list[i].Example = example
	}
	return list
}
