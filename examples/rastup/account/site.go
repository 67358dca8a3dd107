package account

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Page returns the page that visitors get in a release. In that of the bad one the search has lost its place: it stays empty.
func Page(release string) string {
	body := `<main id="search"><input name="q" placeholder="Find a DJ"></main>`
	if release == Bad {
		body = `<main id="undefined"></main>`
	}
	return fmt.Sprintf("<!doctype html><title>Rastup</title>%s<script src=\"/assets/app.%s.js\"></script>\n", body, release)
}

// site makes the front end: in production CloudFront stands before it.
func (a *Account) site(ctx context.Context) error {
	for _, bucket := range []string{Bucket, "rastup-staging-frontend"} {
		if err := a.bucket(ctx, bucket); err != nil {
			return err
		}
		for _, release := range []string{Older, Good} {
			if err := a.upload(ctx, bucket, release); err != nil {
				return err
			}
		}
	}
	name := Bucket
	out, err := cloudfront.NewFromConfig(a.config).CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: &types.DistributionConfig{
		CallerReference: &name, Comment: aws.String("rastup.com"), Enabled: aws.Bool(true), DefaultRootObject: aws.String("index.html"),
		Origins: &types.Origins{Quantity: aws.Int32(1), Items: []types.Origin{{Id: aws.String("s3"), DomainName: aws.String(Bucket + ".s3." + a.config.Region + ".amazonaws.com"),
			S3OriginConfig: &types.S3OriginConfig{OriginAccessIdentity: aws.String("")}}}},
		DefaultCacheBehavior: &types.DefaultCacheBehavior{TargetOriginId: aws.String("s3"), ViewerProtocolPolicy: types.ViewerProtocolPolicyAllowAll,
			CachePolicyId: aws.String(cachingOptimized)}}})
	if err != nil {
		return doing("making the distribution", err)
	}
	a.Distribution = aws.ToString(out.Distribution.Id)
	return nil
}

// cachingOptimized is the policy that AWS recommends for S3.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html
const cachingOptimized = "658327ea-f89d-4fab-a63d-7e88639e58f6"

// upload puts a release of the front end, as a CI does: the page last.
func (a *Account) upload(ctx context.Context, bucket, release string) error {
	for _, f := range []struct{ key, kind, cache, content string }{
		{"assets/app." + release + ".js", "text/javascript", "public, max-age=31536000, immutable", "console.log('rastup " + release + "')\n"},
		{"assets/rastup.css", "text/css", "public, max-age=60", "main { max-width: 60rem; margin: auto } /* " + release + " */\n"},
		{"index.html", "text/html", "public, max-age=60", Page(release)},
	} {
		_, err := a.s3().PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &f.key, ContentType: &f.kind, CacheControl: &f.cache, Body: strings.NewReader(f.content)})
		if err != nil {
			return doing("uploading "+f.key+" of "+release, err)
		}
	}
	return nil
}

// releaseSite uploads the bad front end, and has CloudFront forget the one before.
func (a *Account) releaseSite(ctx context.Context) error {
	if err := a.upload(ctx, Bucket, Bad); err != nil {
		return err
	}
	_, err := cloudfront.NewFromConfig(a.config).CreateInvalidation(ctx, &cloudfront.CreateInvalidationInput{DistributionId: &a.Distribution,
		InvalidationBatch: &types.InvalidationBatch{CallerReference: aws.String("release " + Bad), Paths: &types.Paths{Quantity: aws.Int32(1), Items: []string{"/*"}}}})
	return doing("having CloudFront forget the front end before", err)
}
