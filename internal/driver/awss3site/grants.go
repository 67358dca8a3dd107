package awss3site

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/astern-dev/astern/internal/awsapi"
)

// grants notes who may read an entry point by its ACL, beside its owner: a copy is granted to nobody else. In a bucket without ACLs,
// as all are since April 2023 where nobody said otherwise, S3 answers with the owner alone. The one entry point stands for all
// objects: an upload gives them the same ACL.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAcl.html
func (v *viewing) grants(ctx context.Context, live map[string]object) {
	i := slices.IndexFunc(v.p.Entries, func(path string) bool { _, ok := live[path]; return ok })
	if i < 0 {
		return
	}
	key := v.p.Prefix + v.p.Entries[i]
	out, err := v.s3.GetObjectAcl(ctx, &s3.GetObjectAclInput{Bucket: &v.p.Bucket, Key: &key})
	switch {
	case awsapi.Is(err, "NotImplemented", "NoSuchKey"): // a storage without ACLs, or an object that went away meanwhile
		return
	case err != nil:
		v.unknown("grants", v.explain(err, "reading the ACL of", key))
		return
	}
	var others []string
	for _, g := range out.Grants {
		if g.Grantee == nil || out.Owner != nil && aws.ToString(g.Grantee.ID) == aws.ToString(out.Owner.ID) && g.Grantee.URI == nil {
			continue
		}
		who := "another account"
		if uri := aws.ToString(g.Grantee.URI); uri != "" {
			who = uri[strings.LastIndexByte(uri, '/')+1:]
		}
		if !slices.Contains(others, who) {
			others = append(others, who)
		}
	}
	if len(others) > 0 {
		v.known("grants", few(others))
	}
}
