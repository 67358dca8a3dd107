package awss3site

import (
	"slices"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// Permissions returns what the driver asks S3 and CloudFront for, and what S3 asks KMS for on our behalf. Versions of objects
// are what a site goes back to: no permission deletes one, and the one that deletes objects is for pruning alone.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
func (validator) Permissions(c astern.Component) []astern.Permission {
	p, problems := examine(c)
	if len(problems) > 0 {
		return nil
	}
	bucket, objects := []string{p.BucketARN(p.Bucket, "")}, []string{p.BucketARN(p.Bucket, p.Prefix+"*")}
	if p.Prefix != "" {
		objects = append(objects, p.BucketARN(p.Bucket, p.records+"*"))
	}
	entry := p.BucketARN(p.Bucket, p.Prefix+p.Entries[0])
	own := func(list []astern.Permission) []astern.Permission { return awsapi.When(list, p.OwnBucket()) }
	puts := []string{verbAdopt, verbCompose, verbPut, verbSwitch, verbPrune} // each writes into the records
	out := slices.Concat(
		// Without s3:ListBucket what is not there is answered as denied, whatever its key: so there is no condition on prefixes.
		own(awsapi.Permissions(astern.UseRead, "what the bucket holds, and for how long", bucket, "s3:ListBucket", "s3:ListBucketVersions",
			"s3:GetBucketVersioning", "s3:GetLifecycleConfiguration")),
		own(awsapi.Permissions(astern.UseRead, "objects of the site and records of its releases", objects, "s3:GetObject", "s3:GetObjectVersion")),
		own(awsapi.Permissions(astern.UseRead, "whether visitors read the site by ACL", objects[:1], "s3:GetObjectAcl")),
		awsapi.ForVerbs(example(own(awsapi.Permissions(astern.UseRecover, "putting objects, and records of releases", objects, "s3:PutObject")), p, entry), puts...),
		awsapi.Depending(awsapi.ForVerbs(own(awsapi.Permissions(astern.UseRecover, "objects that have tags", objects, "s3:GetObjectTagging",
			"s3:GetObjectVersionTagging", "s3:PutObjectTagging")), verbPut, verbSwitch, verbAdopt)),
		awsapi.Depending(awsapi.ForVerbs(awsapi.When(awsapi.Permissions(astern.UseRecover, "objects that a key of yours encrypts", []string{p.ARN("kms", "key/*")},
			"kms:Decrypt", "kms:GenerateDataKey"), p.ThroughService("s3", "aws:s3:arn", append(bucket, objects...)...)), puts...)),
		awsapi.ForVerbs(awsapi.On(own(awsapi.Permissions(astern.UsePrune, "deleting objects that only other releases have",
			objects[:1], "s3:DeleteObject")), entry), verbPrune),
		awsapi.Permissions(astern.UseDiscover, "finding sites", []string{"*"}, "s3:ListAllMyBuckets", "cloudfront:ListDistributions"),
		awsapi.Permissions(astern.UseDiscover, "finding sites", []string{p.BucketARN("*", "index.html")}, "s3:GetObject"))
	if p.Prefix == "" { // its objects are all of the bucket's, and the records are what it goes back by
		records := awsapi.Permissions(astern.UsePrune, "keeping the records of releases", []string{p.BucketARN(p.Bucket, p.records+"*")}, "s3:DeleteObject")
		records[0].Forbidden = true
		out = append(out, records...)
	}
	if p.Distribution != "" {
		front := []string{p.GlobalARN("cloudfront", "distribution/"+p.Distribution)}
		out = append(out, slices.Concat(
			awsapi.Permissions(astern.UseRead, "the distribution before the bucket", front, "cloudfront:GetDistribution"),
			awsapi.ForVerbs(awsapi.Permissions(astern.UseRecover, "having CloudFront forget, and waiting until it has", front, "cloudfront:CreateInvalidation",
				"cloudfront:GetInvalidation", "cloudfront:ListInvalidations"), verbInvalidate))...)
	}
	return out
}

// example gives what is put an object of each pattern that every recovery puts: an entry point, and the mark in the records.
func example(list []astern.Permission, p place, entry string) []astern.Permission {
	for i := range list {
		list[i].Example = entry
		if i > 0 {
			list[i].Example = p.BucketARN(p.Bucket, p.markerKey())
		}
	}
	return list
}
