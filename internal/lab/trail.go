package lab

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"
)

// What LookupEvents holds, and how much it tells at once.
//
// https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
const (
	trailPage = 50
	trailKept = 90 * 24 * time.Hour
)

// trailOverlays let CloudTrail's event history tell what the journal has: moto has none.
func (l *Lab) trailOverlays() map[string]Overlay {
	return map[string]Overlay{"cloudtrail:LookupEvents": l.lookupEvents}
}

// lookup is the input of LookupEvents.
type lookup struct {
	LookupAttributes []struct{ AttributeKey, AttributeValue string }
	StartTime        *float64
	EndTime          *float64
	EventCategory    string
	MaxResults       *int
	NextToken        string
}

func (l *Lab) lookupEvents(_ context.Context, c *Call, _ Next) Reply {
	var q lookup
	if err := json.Unmarshal(c.Body, &q); err != nil {
		return errorReply(c, 400, "SerializationException", "The request is no JSON that LookupEvents takes.")
	}
	asked := hash(c)
	before, reply := q.check(c, asked)
	if reply != nil {
		return *reply
	}
	most := trailPage
	if q.MaxResults != nil {
		most = *q.MaxResults
	}
	out := struct {
		Events    []event
		NextToken string `json:",omitempty"`
	}{Events: []event{}}
	entries := l.journal.all()
	oldest := l.Now().Add(-trailKept)
	for i := len(entries) - 1; i >= 0; i-- {
		e := entries[i]
		if before > 0 && e.at >= before || e.Time.Before(oldest) || q.EventCategory == "insight" {
			continue
		}
		v, ok := l.eventOf(e)
		if !ok || v.region != c.Region || e.Account != c.Account || !q.matches(v, e) {
			continue
		}
		if len(out.Events) == most {
			out.NextToken = base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf("%d %d", out.Events[most-1].at, asked)))
			break
		}
		out.Events = append(out.Events, v)
	}
	return jsonReply(c, 200, out)
}

// hash is of what a token goes on with: the same question.
func hash(c *Call) uint32 {
	h := fnv.New32a()
	for _, name := range []string{"LookupAttributes", "StartTime", "EndTime", "EventCategory"} {
		fmt.Fprintln(h, c.Input[name]) // maps print in order
	}
	fmt.Fprintln(h, c.Region, c.Account)
	return h.Sum32()
}

// check refuses what CloudTrail refuses, and reads the token: events before that number are wanted.
func (q lookup) check(c *Call, asked uint32) (before int64, refuse *Reply) {
	no := func(code, message string) (int64, *Reply) {
		r := errorReply(c, 400, code, message)
		return 0, &r
	}
	if q.MaxResults != nil && (*q.MaxResults < 1 || *q.MaxResults > trailPage) {
		return no("InvalidMaxResultsException", "A value of 1 to 50 is required.")
	}
	if q.StartTime != nil && q.EndTime != nil && *q.EndTime < *q.StartTime {
		return no("InvalidTimeRangeException", "The start time must be before the end time.")
	}
	if len(q.LookupAttributes) > 1 {
		return no("InvalidLookupAttributesException", "Only one lookup attribute can be specified.")
	}
	for _, a := range q.LookupAttributes {
		if !isOneOf(a.AttributeKey, "EventId", "EventName", "ReadOnly", "Username", "ResourceType", "ResourceName", "EventSource", "AccessKeyId") {
			return no("InvalidLookupAttributesException", "There is no lookup attribute "+strconv.Quote(a.AttributeKey)+".")
		}
	}
	if q.EventCategory != "" && q.EventCategory != "insight" {
		return no("InvalidEventCategoryException", "The event category must be insight.")
	}
	if q.NextToken == "" {
		return 0, nil
	}
	var of uint32
	b, err := base64.StdEncoding.DecodeString(q.NextToken)
	if err == nil {
		_, err = fmt.Sscanf(string(b), "%d %d", &before, &of)
	}
	if err != nil || of != asked {
		return no("InvalidNextTokenException", "The token is not one of this lookup.")
	}
	return before, nil
}

func (q lookup) matches(v event, e Entry) bool {
	at := v.EventTime
	if q.StartTime != nil && at < *q.StartTime || q.EndTime != nil && at > *q.EndTime {
		return false
	}
	for _, a := range q.LookupAttributes {
		var have string
		switch a.AttributeKey {
		case "EventId":
			have = v.EventID
		case "EventName":
			have = v.EventName
		case "ReadOnly":
			have = v.ReadOnly
		case "Username":
			have = v.Username
		case "EventSource":
			have = v.EventSource
		case "AccessKeyId":
			have = e.AccessKey
		default:
			return v.about(a.AttributeKey, a.AttributeValue)
		}
		if have != a.AttributeValue {
			return false
		}
	}
	return true
}

// event is one of CloudTrail's.
type event struct {
	EventID         string `json:"EventId"`
	EventName       string
	ReadOnly        string
	AccessKeyID     string `json:"AccessKeyId,omitempty"`
	EventTime       float64
	EventSource     string
	Username        string
	Resources       []resource
	CloudTrailEvent string

	at     int64
	region string
}

type resource struct{ ResourceType, ResourceName string }

func (v event) about(key, value string) bool {
	for _, r := range v.Resources {
		if key == "ResourceName" && r.ResourceName == value || key == "ResourceType" && r.ResourceType == value {
			return true
		}
	}
	return false
}

// eventOf turns a call into an event. ok is false for what the event history does not hold: calls on data, and what
// never came to the account.
//
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/logging-data-events-with-cloudtrail.html
func (l *Lab) eventOf(e Entry) (v event, ok bool) {
	if e.Status == 0 || e.Service == "" || e.Operation == "" || onData(e) {
		return event{}, false
	}
	who := l.states.identities.of(e.AccessKey)
	v = event{EventID: fmt.Sprintf("1ab00000-0000-4000-9000-%012x", e.Seq), EventName: l.eventName(e.Service, e.Operation),
		ReadOnly: strconv.FormatBool(e.ReadOnly), AccessKeyID: e.AccessKey, EventTime: float64(e.Time.Unix()),
		EventSource: eventSource(e.Service), Username: who.user, Resources: resourcesOf(e), at: e.at, region: e.Region}
	if isOneOf(e.Service, "iam", "cloudfront", "route53") { // global services tell of themselves in one region
		v.region = homeRegion
	}
	kind := "IAMUser"
	if strings.Contains(who.arn, ":assumed-role/") {
		kind = "AssumedRole"
	}
	record := map[string]any{"eventVersion": "1.11", "eventID": v.EventID, "eventName": v.EventName, "eventSource": v.EventSource,
		"eventTime": e.Time.Format(time.RFC3339), "awsRegion": v.region, "sourceIPAddress": e.source, "userAgent": e.agent,
		"readOnly": e.ReadOnly, "eventType": "AwsApiCall", "managementEvent": true, "eventCategory": "Management", "recipientAccountId": e.Account,
		"requestID":    fmt.Sprintf("1ab00000-0000-4000-8000-%012x", e.Seq),
		"userIdentity": map[string]any{"type": kind, "arn": who.arn, "accountId": e.Account, "accessKeyId": e.AccessKey, "userName": who.user},
		// Responses are not kept.
		"requestParameters": lowered(e.Parameters), "responseElements": nil}
	if e.Error != "" {
		record["errorCode"], record["errorMessage"] = e.Error, e.Message
	}
	b, err := json.Marshal(record)
	v.CloudTrailEvent = string(b)
	return v, err == nil
}

// lowered is the parameters as CloudTrail names them.
func lowered(in map[string]any) map[string]any {
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]any, len(in))
	for name, v := range in {
		out[strings.ToLower(name[:1])+name[1:]] = v
	}
	return out
}

// onData tells calls on data from those that manage resources.
func onData(e Entry) bool {
	switch e.Service {
	case "s3":
		_, object := e.Parameters["Key"]
		return object || isOneOf(e.Operation, "ListObjects", "ListObjectsV2", "ListObjectVersions", "HeadBucket", "DeleteObjects", "ListMultipartUploads")
	case "lambda":
		return strings.HasPrefix(e.Operation, "Invoke")
	case "dynamodb":
		return isOneOf(e.Operation, "GetItem", "PutItem", "UpdateItem", "DeleteItem", "BatchGetItem", "BatchWriteItem", "TransactGetItems",
			"TransactWriteItems", "Query", "Scan", "ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction")
	case "monitoring":
		return isOneOf(e.Operation, "PutMetricData", "GetMetricData", "GetMetricWidgetImage")
	case "logs":
		return e.Operation == "PutLogEvents"
	case "events":
		return e.Operation == "PutEvents"
	}
	return e.Service == "appconfigdata"
}

// eventSource is the service as CloudTrail names it.
func eventSource(service string) string {
	if service == "application-autoscaling" { // https://docs.aws.amazon.com/autoscaling/application/userguide/logging-using-cloudtrail.html
		service = "autoscaling"
	}
	return service + ".amazonaws.com"
}

// trailNames are the names of S3's events where they differ from those of the operations.
//
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-s3-info.html
var trailNames = map[string]string{
	"s3:PutBucketLifecycleConfiguration": "PutBucketLifecycle", "s3:GetBucketLifecycleConfiguration": "GetBucketLifecycle",
	"s3:PutBucketNotificationConfiguration": "PutBucketNotification", "s3:GetBucketNotificationConfiguration": "GetBucketNotification",
	"s3:PutPublicAccessBlock": "PutBucketPublicAccessBlock", "s3:GetPublicAccessBlock": "GetBucketPublicAccessBlock",
	"s3:DeletePublicAccessBlock": "DeleteBucketPublicAccessBlock",
}

// secondVersions are Lambda's operations whose events end in v2.
var secondVersions = map[string]bool{"UpdateFunctionCode": true, "UpdateFunctionConfiguration": true, "AddPermission": true, "RemovePermission": true,
	"GetFunction": true, "GetFunctionConfiguration": true, "GetPolicy": true, "TagResource": true, "UntagResource": true}

// eventName is the operation as CloudTrail names it. Lambda's hold the date of the interface, which its paths begin with.
//
// https://docs.aws.amazon.com/lambda/latest/dg/logging-using-cloudtrail.html
func (l *Lab) eventName(service, operation string) string {
	if name := trailNames[service+":"+operation]; name != "" {
		return name
	}
	if service != "lambda" {
		return operation
	}
	o := l.models.byName[service].byName[operation]
	if o == nil || len(o.segments[0]) != len("2015-03-31") || o.segments[0] > "2019" { // newer interfaces have no date in the name
		return operation
	}
	name := operation + strings.ReplaceAll(o.segments[0], "-", "")
	if secondVersions[operation] {
		name += "v2"
	}
	return name
}

// kinds are the members that name a resource, with what it is.
var kinds = map[string][][2]string{
	"lambda":         {{"FunctionName", "AWS::Lambda::Function"}},
	"s3":             {{"Bucket", "AWS::S3::Bucket"}},
	"ecs":            {{"service", "AWS::ECS::Service"}, {"cluster", "AWS::ECS::Cluster"}, {"taskDefinition", "AWS::ECS::TaskDefinition"}, {"family", "AWS::ECS::TaskDefinition"}},
	"ecr":            {{"repositoryName", "AWS::ECR::Repository"}},
	"secretsmanager": {{"SecretId", "AWS::SecretsManager::Secret"}, {"Name", "AWS::SecretsManager::Secret"}},
	"ssm":            {{"Name", "AWS::SSM::Parameter"}},
	"cloudfront":     {{"DistributionId", "AWS::CloudFront::Distribution"}, {"Id", "AWS::CloudFront::Distribution"}},
	"cloudformation": {{"StackName", "AWS::CloudFormation::Stack"}},
	"dynamodb":       {{"TableName", "AWS::DynamoDB::Table"}},
	"rds":            {{"DBInstanceIdentifier", "AWS::RDS::DBInstance"}, {"DBClusterIdentifier", "AWS::RDS::DBCluster"}},
	"route53":        {{"HostedZoneId", "AWS::Route53::HostedZone"}},
	"appconfig":      {{"ApplicationId", "AWS::AppConfig::Application"}, {"EnvironmentId", "AWS::AppConfig::Environment"}},
	"iam":            {{"RoleName", "AWS::IAM::Role"}, {"UserName", "AWS::IAM::User"}, {"PolicyArn", "AWS::IAM::Policy"}},
	"events":         {{"Name", "AWS::Events::Rule"}},
	"logs":           {{"logGroupName", "AWS::Logs::LogGroup"}},
}

func resourcesOf(e Entry) []resource {
	out := []resource{}
	for _, k := range kinds[e.Service] {
		if name, ok := e.Parameters[k[0]].(string); ok && name != "" {
			out = append(out, resource{k[1], name})
		}
	}
	return out
}
