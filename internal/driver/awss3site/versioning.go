package awss3site

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// versioning reads whether the bucket keeps versions: enabled, suspended or off.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketVersioning.html
func (c clients) versioning(ctx context.Context) (string, error) {
	out, err := c.s3.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &c.p.Bucket})
	if err != nil {
		return "", c.explain(err, "reading the versioning of", "")
	}
	switch out.Status {
	case s3types.BucketVersioningStatusEnabled:
		return versioningEnabled, nil
	case s3types.BucketVersioningStatusSuspended:
		return versioningSuspended, nil
	}
	return versioningOff, nil
}

const (
	versioningEnabled   = "enabled"
	versioningSuspended = "suspended"
	versioningOff       = "off"
)
