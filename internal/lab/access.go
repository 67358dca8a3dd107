package lab

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Access is whether calls are held to the policies of who makes them. Users whose keys the account has made and roles
// that were assumed are; any other key is the root user's, as it is without.

// HoldToPolicies begins or ends to judge calls by policies.
func (l *Lab) HoldToPolicies(on bool) { l.judging.Store(on) }

// refuses judges a call by the policies of its caller. It answers nil for what is allowed.
func (l *Lab) refuses(ctx context.Context, c *Call) *Reply {
	id, known := l.states.identities.known(c.AccessKey)
	if !l.judging.Load() || !known || c.Operation == "" || c.Service == "sts" && c.Operation == "GetCallerIdentity" {
		return nil
	}
	root := *c
	root.AccessKey = "lab"
	if id.account != Account {
		root.AccessKey = c.AccessKey // moto tells accounts by the key
	}
	own, boundary, err := l.policiesOf(ctx, &root, id.arn)
	if err != nil {
		r := iamRefusal(c, err)
		return &r
	}
	for _, q := range l.questions(ctx, &root) {
		resources := q.resources
		if len(resources) == 0 {
			resources = []string{""}
		}
		for _, resource := range resources {
			j, err := bounded(own, boundary, q, resource)
			if err != nil {
				r := iamRefusal(c, err)
				return &r
			}
			if j.decision != allowed {
				r := errorReply(c, http.StatusForbidden, deniedCode(c), denial(id.arn, q.action, resource, j.decision))
				return &r
			}
		}
	}
	return nil
}

func deniedCode(c *Call) string {
	if c.protocol == "json" || c.protocol == "rest-json" {
		return "AccessDeniedException"
	}
	return "AccessDenied"
}

// denial is how AWS says it.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
func denial(who, action, resource string, d decision) string {
	on := ""
	if resource != "" && resource != "*" {
		on = " on resource: " + resource
	}
	why := fmt.Sprintf("because no identity-based policy allows the %s action", action)
	if d == explicitDeny {
		why = "with an explicit deny in an identity-based policy"
	}
	return fmt.Sprintf("User: %s is not authorized to perform: %s%s %s", who, action, on, why)
}

// objectActions are operations of S3 whose action has another name, and whether it is on objects or on the bucket.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
var objectActions = map[string]string{"HeadObject": "GetObject", "CopyObject": "PutObject", "UploadPart": "PutObject", "UploadPartCopy": "PutObject",
	"CreateMultipartUpload": "PutObject", "CompleteMultipartUpload": "PutObject", "ListParts": "ListMultipartUploadParts"}

var bucketActions = map[string]string{"ListObjects": "ListBucket", "ListObjectsV2": "ListBucket", "HeadBucket": "ListBucket", "ListObjectVersions": "ListBucketVersions",
	"ListBuckets": "ListAllMyBuckets", "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration", "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
	"ListMultipartUploads": "ListBucketMultipartUploads", "DeleteObjects": "DeleteObject"}

// questions are what a call is judged by: mostly one action on one resource. Of services that are not listed here any
// resource counts.
func (l *Lab) questions(ctx context.Context, c *Call) []question {
	arn := func(service, region, account, resource string) string {
		return strings.Join([]string{"arn:aws", service, region, account, resource}, ":")
	}
	prefix := map[string]string{"monitoring": "cloudwatch", "appconfigdata": "appconfig"}[c.Service]
	if prefix == "" {
		prefix = c.Service
	}
	q := question{action: prefix + ":" + c.Operation, context: map[string][]string{"aws:ResourceAccount": {c.Account}, "aws:RequestedRegion": {c.Region}}}
	switch c.Service {
	case "s3":
		return s3Questions(c, q)
	case "lambda":
		if c.Operation == "Invoke" {
			q.action = "lambda:InvokeFunction"
		}
		q.action = strings.TrimRight(q.action, "0123456789v_")
		switch name, layer := c.Text("FunctionName"), c.Text("LayerName"); {
		case strings.HasPrefix(name, "arn:"):
			q.resources = []string{name}
		case name != "" && !strings.HasSuffix(c.Operation, "EventSourceMappings"):
			q.resources = []string{arn("lambda", c.Region, c.Account, strings.TrimSuffix("function:"+name+":"+c.Text("Qualifier"), ":"))}
		case layer != "":
			q.resources = []string{strings.TrimSuffix(layer+":"+c.Text("VersionNumber"), ":")}
		default:
			q.resources = []string{"*"}
		}
	case "secretsmanager":
		q.resources = []string{"*"}
		if id := c.Text("SecretId"); strings.HasPrefix(id, "arn:") {
			q.resources = []string{id}
		} else if id != "" {
			is, _ := l.ask(ctx, "secretsmanager", "DescribeSecret", c, map[string]any{"SecretId": id}) // of none there is, the name has to do
			q.resources = []string{textOf(is["ARN"])}
			if q.resources[0] == "" {
				q.resources[0] = arn("secretsmanager", c.Region, c.Account, "secret:"+id+"-??????")
			}
		}
		if stage := c.Text("VersionStage"); stage != "" {
			q.context["secretsmanager:VersionStage"] = []string{stage}
		}
	case "ssm":
		q.resources = []string{"*"}
		if name := c.Text("Name"); name != "" {
			q.resources = []string{arn("ssm", c.Region, c.Account, "parameter/"+strings.TrimPrefix(name, "/"))}
		}
		if c.Operation == "PutParameter" {
			q.context["ssm:Overwrite"] = []string{fmt.Sprint(truthOf(c.Input["Overwrite"]))}
		}
	case "cloudfront":
		q.resources = []string{"*"}
		for _, member := range []string{"DistributionId", "Id"} {
			if id := c.Text(member); id != "" {
				q.resources = []string{arn("cloudfront", "", c.Account, "distribution/"+id)}
				break
			}
		}
	case "iam":
		q.resources = iamResources(c)
	case "ecs":
		return ecsQuestions(c, q)
	case "appconfig", "appconfigdata":
		q.resources = l.configResources(c)
	case "api.ecr", "ecr":
		if name := c.Text("repositoryName"); name != "" {
			q.resources = []string{arn("ecr", c.Region, c.Account, "repository/"+name)}
		}
	case "logs":
		if group, stream := c.Text("logGroupName"), c.Text("logStreamName"); c.Operation == "GetLogEvents" {
			q.resources = []string{arn("logs", c.Region, c.Account, "log-group:"+group+":log-stream:"+stream)}
		}
	}
	return []question{q}
}

// iamResources are the role, user or policy that a call is about.
func iamResources(c *Call) []string {
	for member, kind := range map[string]string{"RoleName": "role/", "UserName": "user/", "PolicySourceArn": "", "PolicyArn": ""} {
		switch v := c.Text(member); {
		case v != "" && kind == "":
			return []string{v}
		case v != "":
			return []string{"arn:aws:iam::" + c.Account + ":" + kind + v}
		}
	}
	return nil
}

// s3Questions are those of S3, which asks for more than one permission where an object is copied, and for others where a
// version is named.
func s3Questions(c *Call, q question) []question {
	bucket := "arn:aws:s3:::" + c.Text("Bucket")
	key := c.Text("Key")
	if other := bucketActions[c.Operation]; other != "" {
		q.action = "s3:" + other
	}
	if prefix, ok := c.Input["Prefix"].(string); ok {
		q.context["s3:prefix"] = []string{prefix}
	}
	if key == "" {
		q.resources = []string{bucket}
		switch {
		case c.Text("Bucket") == "":
			q.resources = []string{"*"}
		case c.Operation == "DeleteObjects":
			q.resources = []string{bucket + "/*"} // its keys are in the body: it needs all
		}
		return []question{q}
	}
	q.resources = []string{bucket + "/" + key}
	if other := objectActions[c.Operation]; other != "" {
		q.action = "s3:" + other
	}
	if c.Text("VersionId") != "" && slices.Contains([]string{"GetObject", "HeadObject", "DeleteObject"}, c.Operation) {
		q.action += "Version"
	}
	out := []question{q}
	if from := c.Header.Get("X-Amz-Copy-Source"); from != "" {
		source := question{action: "s3:GetObject", context: maps.Clone(q.context)}
		from, version, _ := strings.Cut(from, "?versionId=")
		if version != "" {
			source.action += "Version"
		}
		if plain, err := url.PathUnescape(from); err == nil {
			from = plain
		}
		source.resources = []string{"arn:aws:s3:::" + strings.TrimPrefix(from, "/")}
		out = append(out, source)
	}
	return out
}
