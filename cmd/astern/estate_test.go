package main

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/astern-dev/astern/internal/lab"
)

// estate runs a lab until the script ends, whose clock goes fifty times as fast as ours, with the services shop and shop-staging
// as `services` makes them (their tasks have a role), the two configurations of `configurations` in the environments prod and
// staging, and the bucket shop-site, which keeps versions, behind a distribution. The script gets its id as $DISTRIBUTION and the
// address of its edge as $EDGE.
func estate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: estate")
	}
	ctx, l := context.Background(), laboratory(ts)
	role, err := iam.NewFromConfig(clientOptions(ts)).CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("tasks"), AssumeRolePolicyDocument: aws.String("{}")})
	ts.Check(err)
	_, err = ecs.NewFromConfig(clientOptions(ts)).CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String("main")})
	ts.Check(err)
	for _, name := range []string{"shop", "shop-staging"} {
		ts.Check(served(ts, l, name, role.Role.Arn))
	}
	configured(ts, "prod", "staging")
	objects := s3.NewFromConfig(clientOptions(ts), func(o *s3.Options) { o.UsePathStyle = true })
	bucket := aws.String("shop-site")
	_, err = objects.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket,
		CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraintEuCentral1}})
	ts.Check(err)
	_, err = objects.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: bucket,
		VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled}})
	ts.Check(err)
	front, err := cloudfront.NewFromConfig(clientOptions(ts)).CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: &cftypes.DistributionConfig{
		CallerReference: bucket, Comment: aws.String("site"), Enabled: aws.Bool(true), DefaultRootObject: aws.String("index.html"),
		Origins: &cftypes.Origins{Quantity: aws.Int32(1), Items: []cftypes.Origin{{Id: aws.String("s3"), DomainName: aws.String("shop-site.s3.eu-central-1.amazonaws.com"),
			S3OriginConfig: &cftypes.S3OriginConfig{OriginAccessIdentity: aws.String("")}}}},
		DefaultCacheBehavior: &cftypes.DefaultCacheBehavior{TargetOriginId: aws.String("s3"), ViewerProtocolPolicy: cftypes.ViewerProtocolPolicyAllowAll}}})
	ts.Check(err)
	ts.Setenv("DISTRIBUTION", *front.Distribution.Id)
	ts.Setenv("EDGE", ts.Getenv("AWS_ENDPOINT_URL")+"/_edge/"+*front.Distribution.Id)
	hurry(ts, l)
}

// holding is what a script's programs are held to.
type holding struct {
	actions map[string]bool // all that a policy named
	keys    map[string]bool // of the users that had them
	after   int64           // the last call before this hold
	users   int
}

var (
	holdsMu sync.Mutex
	holds   = map[*lab.Lab]*holding{}
)

func holdOf(ts *testscript.TestScript) *holding {
	holdsMu.Lock()
	defer holdsMu.Unlock()
	l := here(ts)
	if holds[l] == nil {
		holds[l] = &holding{actions: map[string]bool{}, keys: map[string]bool{}}
	}
	return holds[l]
}

// held makes a user who has these policies alone, as the files have them but for some actions, and gives its key to the script's
// programs. It is our lab that refuses what they don't allow (HoldToPolicies): moto by itself lets everybody do everything.
func held(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: held FILE… [-ACTION…]")
	}
	h, ctx, c := holdOf(ts), context.Background(), iam.NewFromConfig(clientOptions(ts))
	h.users++
	name := aws.String("astern-" + strconv.Itoa(h.users))
	_, err := c.CreateUser(ctx, &iam.CreateUserInput{UserName: name})
	ts.Check(err)
	var files []string
	without := map[string]bool{}
	for _, a := range args {
		if action, ok := strings.CutPrefix(a, "-"); ok {
			without[action] = false
		} else {
			files = append(files, a)
		}
	}
	for _, file := range files {
		text := thinned(ts, ts.ReadFile(file), h, without)
		p, err := c.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String(*name + "-" + strings.TrimSuffix(file, ".json")), PolicyDocument: &text})
		ts.Check(err)
		_, err = c.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: name, PolicyArn: p.Policy.Arn})
		ts.Check(err)
	}
	for action, was := range without {
		if !was {
			ts.Fatalf("no policy allows %s, so it can't be taken out", action)
		}
	}
	key, err := c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: name})
	ts.Check(err)
	ts.Setenv("AWS_ACCESS_KEY_ID", *key.AccessKey.AccessKeyId)
	h.keys[*key.AccessKey.AccessKeyId] = true
	if calls := here(ts).Calls("", "", 0); len(calls) > 0 {
		h.after = calls[len(calls)-1].Seq
	}
	here(ts).HoldToPolicies(true)
}

// thinned is a policy without some actions, of which it notes that they were in it.
func thinned(ts *testscript.TestScript, text string, h *holding, without map[string]bool) string {
	var doc struct {
		Version   string
		Statement []map[string]any
	}
	ts.Check(json.Unmarshal([]byte(text), &doc))
	for i, s := range doc.Statement {
		actions, _ := s["Action"].([]any)
		doc.Statement[i]["Action"] = slices.DeleteFunc(actions, func(a any) bool {
			h.actions[a.(string)] = true
			_, out := without[a.(string)]
			if out {
				without[a.(string)] = true
			}
			return out
		})
	}
	doc.Statement = slices.DeleteFunc(doc.Statement, func(s map[string]any) bool { return len(s["Action"].([]any)) == 0 })
	b, err := json.Marshal(doc)
	ts.Check(err)
	return string(b)
}

// mine are the calls that users with policies made.
func (h *holding) mine(ts *testscript.TestScript, after int64) []lab.Entry {
	return slices.DeleteFunc(slices.Clone(here(ts).Calls("", "", after)), func(e lab.Entry) bool { return !h.keys[e.AccessKey] })
}

func denied(e lab.Entry) bool { return e.Status == 403 || strings.HasPrefix(e.Error, "AccessDenied") }

// refused demands that of the calls since the last hold these were refused for want of a permission, and no others.
func refused(ts *testscript.TestScript, neg bool, want []string) {
	if neg {
		ts.Fatalf("refused can't be negated")
	}
	h, got := holdOf(ts), map[string]bool{}
	calls := h.mine(ts, h.after)
	for _, e := range calls {
		if denied(e) {
			got[e.Service+":"+e.Operation] = true
		}
	}
	slices.Sort(want)
	if all := slices.Sorted(maps.Keys(got)); len(calls) == 0 || !slices.Equal(all, want) {
		ts.Fatalf("of %d calls these were refused: %v, want %v", len(calls), all, want)
	}
}

// unused demands that all actions which the script's policies allow were used by some call, but for these: a policy that is
// wider than the work is no least privilege.
func unused(ts *testscript.TestScript, neg bool, want []string) {
	if neg {
		ts.Fatalf("unused can't be negated")
	}
	h := holdOf(ts)
	left := maps.Clone(h.actions)
	for _, e := range h.mine(ts, 0) {
		if !denied(e) {
			for _, a := range actionsOf(e) {
				delete(left, a)
			}
		}
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(left)); !slices.Equal(got, want) {
		ts.Fatalf("no call needed %s\nwant %s", strings.Join(got, " "), strings.Join(want, " "))
	}
}

// actionsOf are the permissions that a call needs, by their names in IAM.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
func actionsOf(e lab.Entry) []string {
	service, has := e.Service, func(member string) bool { return e.Parameters[member] != nil }
	switch service {
	case "monitoring":
		service = "cloudwatch"
	case "appconfigdata":
		service = "appconfig"
	case "ecs":
		out := []string{"ecs:" + e.Operation}
		if e.Operation == "CreateService" || e.Operation == "RegisterTaskDefinition" {
			if has("tags") {
				out = append(out, "ecs:TagResource")
			}
			if has("executionRoleArn") {
				out = append(out, "iam:PassRole")
			}
		}
		return out
	case "s3":
		switch e.Operation {
		case "ListObjectsV2", "HeadBucket":
			return []string{"s3:ListBucket"}
		case "ListObjectVersions":
			return []string{"s3:ListBucketVersions"}
		case "GetBucketLifecycleConfiguration":
			return []string{"s3:GetLifecycleConfiguration"}
		case "CopyObject":
			return []string{"s3:PutObject", "s3:GetObjectVersion"}
		case "GetObject", "HeadObject":
			if has("VersionId") || has("versionId") {
				return []string{"s3:GetObjectVersion"}
			}
			return []string{"s3:GetObject"}
		}
	}
	return []string{service + ":" + e.Operation}
}
