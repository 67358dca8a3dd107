package awslambda

import (
	"slices"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// Permissions returns what the driver asks Lambda, IAM and S3 for.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
func (validator) Permissions(c astern.Component) []astern.Permission {
	p, problems := examine(c)
	if len(problems) > 0 {
		return nil
	}
	function := p.ARN("lambda", "function:"+p.Function)
	// A call with a qualifier is judged by the qualified name.
	qualified := []string{function, function + ":*"}
	out := slices.Concat(
		awsapi.Permissions(astern.UseRead, "versions and alias of the function", []string{function}, "lambda:ListVersionsByFunction", "lambda:GetAlias", "lambda:GetFunctionConcurrency"),
		awsapi.Permissions(astern.UseRead, "the state of versions", qualified, "lambda:GetFunctionConfiguration"),
		awsapi.Permissions(astern.UseRead, "concurrency that is kept ready for the alias", []string{function + ":" + p.Alias}, "lambda:GetProvisionedConcurrencyConfig"),
		awsapi.Permissions(astern.UseRead, "what calls the function by itself", []string{"*"}, "lambda:ListEventSourceMappings"),
		awsapi.Permissions(astern.UseRead, "whether the layers of versions are there", []string{layerARN(p.Settings.Settings)}, "lambda:GetLayerVersion"),
		awsapi.Permissions(astern.UseRead, "whether the roles of versions are there", []string{p.GlobalARN("iam", "role/*")}, "iam:GetRole"),
		awsapi.ForVerbs(awsapi.Permissions(astern.UseRecover, "moving the alias", []string{function}, "lambda:UpdateAlias"), verbShift, verbMove),
		awsapi.Permissions(astern.UseDiscover, "finding functions", []string{"*"}, "lambda:ListFunctions"),
		awsapi.Permissions(astern.UseDiscover, "finding functions", []string{p.ARN("lambda", "function:*")}, "lambda:ListAliases"))
	if a := p.Archive; a != nil {
		objects := []string{p.BucketARN(a.Bucket, a.key("*"))}
		out = append(out, slices.Concat(
			awsapi.When(awsapi.Permissions(astern.UseRead, "which archives there are", []string{p.BucketARN(a.Bucket, "")}, "s3:ListBucket"), p.OwnBucket()),
			awsapi.When(awsapi.Permissions(astern.UseRead, "what an archive holds", objects, "s3:GetObject"), p.OwnBucket()),
			awsapi.ForVerbs(awsapi.Permissions(astern.UseRecover, "putting the code of an archive into the function", []string{function}, "lambda:UpdateFunctionCode"), verbCode),
			awsapi.ForVerbs(awsapi.When(awsapi.Permissions(astern.UseRecover, "Lambda reads the archive on our behalf", objects, "s3:GetObject", "s3:GetObjectVersion"),
				p.OwnBucket()), verbCode),
			awsapi.ForVerbs(awsapi.Permissions(astern.UseRecover, "publishing a version", []string{function}, "lambda:PublishVersion"), verbPublish),
			keys(p))...)
	}
	return out
}

// keys is what reading archives takes that a key of the account's own encrypts. The context is the object, or the bucket
// where it has a key.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html#encryption-context
func keys(p place) []astern.Permission {
	a := p.Archive
	return awsapi.Depending(awsapi.ForVerbs(awsapi.When(awsapi.Permissions(astern.UseRecover, "archives that a key of yours encrypts", []string{p.ARN("kms", "key/*")}, "kms:Decrypt"),
		p.ThroughService("s3", "aws:s3:arn", p.BucketARN(a.Bucket, ""), p.BucketARN(a.Bucket, a.key("*")))), verbCode))
}

// layerARN is every layer: those of other accounts are used too.
func layerARN(s awsapi.Settings) string {
	parts := strings.Split(s.ARN("lambda", "layer:*:*"), ":")
	parts[4] = "*"
	return strings.Join(parts, ":")
}
