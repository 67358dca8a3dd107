package lab

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How long Lambda works on what it was told, by the lab's clock. AWS says seconds for the first, minutes for the second.
const (
	functionSettles    = 500 * time.Millisecond
	provisionedSettles = time.Minute
)

// lambdaState is what moto does not keep of functions. Keys are ACCOUNT/REGION/FUNCTION, with :QUALIFIER for versions
// and aliases.
type lambdaState struct {
	locks locks

	mu          sync.Mutex
	last        int64 // revision
	revisions   map[string]string
	created     map[string]time.Time
	updated     map[string]time.Time
	provisioned map[string]provisioned
}

// provisioned is the provisioned concurrency of a version or alias.
type provisioned struct {
	requested int
	since     time.Time
}

func (s *lambdaState) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.revisions, s.created, s.updated, s.provisioned = 0, nil, nil, nil, nil
}

// revise gives a function, version or alias a new revision id.
func (s *lambdaState) revise(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fresh(key)
}

func (s *lambdaState) fresh(key string) string {
	if s.revisions == nil {
		s.revisions = map[string]string{}
	}
	s.last++
	s.revisions[key] = fmt.Sprintf("1ab00000-0000-4000-a000-%012x", s.last)
	return s.revisions[key]
}

// revision returns the revision id; what the lab has not seen made gets one now.
func (s *lambdaState) revision(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id := s.revisions[key]; id != "" {
		return id
	}
	return s.fresh(key)
}

// mark notes a time of a function.
func (s *lambdaState) mark(times *map[string]time.Time, key string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *times == nil {
		*times = map[string]time.Time{}
	}
	(*times)[key] = at
}

// within reports whether that time of a function is less than d ago.
func (s *lambdaState) within(times map[string]time.Time, key string, now time.Time, d time.Duration) bool {
	at, ok := times[key]
	return ok && now.Sub(at) < d
}

// forget forgets a function with all its versions and aliases, or one of those.
func (s *lambdaState) forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := func(k string) bool { return k == key || strings.HasPrefix(k, key+":") }
	maps.DeleteFunc(s.revisions, func(k, _ string) bool { return mine(k) })
	maps.DeleteFunc(s.created, func(k string, _ time.Time) bool { return mine(k) })
	maps.DeleteFunc(s.updated, func(k string, _ time.Time) bool { return mine(k) })
	maps.DeleteFunc(s.provisioned, func(k string, _ provisioned) bool { return mine(k) })
}

// functionOf returns the key of the function that a call is about, and the qualifier that its name or parameters hold.
// A function is named by its name, ACCOUNT:function:NAME, or its ARN, each with :QUALIFIER.
func functionOf(c *Call) (key, qualifier string) {
	name := c.Text("FunctionName")
	if _, after, ok := strings.Cut(name, "function:"); ok {
		name = after
	}
	name, qualifier, _ = strings.Cut(name, ":")
	if q := c.Text("Qualifier"); q != "" {
		qualifier = q
	}
	return c.Account + "/" + c.Region + "/" + name, qualifier
}

// lambdaOverlays correct what moto lets pass: archives that are not there, revisions that are not the latest, versions
// that an alias still needs, updates while another one is under way. They add provisioned concurrency.
//
// https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html
func (l *Lab) lambdaOverlays() map[string]Overlay {
	out := map[string]Overlay{
		"lambda:CreateFunction":     l.createFunction,
		"lambda:UpdateFunctionCode": l.changeFunction(l.updateCode),
		"lambda:PublishVersion":     l.changeFunction(l.publishVersion),
		"lambda:DeleteFunction":     l.deleteFunction,
		"lambda:CreateAlias":        l.changeAlias,
		"lambda:UpdateAlias":        l.changeAlias,
		"lambda:DeleteAlias":        l.deleteAlias,
		"lambda:Invoke":             l.invoke,

		"lambda:ListVersionsByFunction": l.listVersions,

		"lambda:PutProvisionedConcurrencyConfig":    l.putProvisioned,
		"lambda:GetProvisionedConcurrencyConfig":    l.getProvisioned,
		"lambda:DeleteProvisionedConcurrencyConfig": l.deleteProvisioned,
		"lambda:ListProvisionedConcurrencyConfigs":  l.listProvisioned,
	}
	for _, o := range []string{"UpdateFunctionConfiguration", "AddPermission", "RemovePermission"} {
		out["lambda:"+o] = l.changeFunction(nil)
	}
	for _, o := range []string{"GetFunction", "GetFunctionConfiguration", "ListFunctions", "GetAlias", "ListAliases", "GetPolicy"} {
		out["lambda:"+o] = func(ctx context.Context, c *Call, next Next) Reply { return l.current(c, next(ctx, c)) }
	}
	return out
}

func (l *Lab) createFunction(ctx context.Context, c *Call, next Next) Reply {
	s := &l.states.lambda
	key, _ := functionOf(c)
	defer s.locks.lock(key)()
	code, _ := c.Input["Code"].(map[string]any)
	code = maps.Clone(code) // the journal keeps what was asked
	q, refuse := l.fetched(ctx, c, code, func(in map[string]any) { in["Code"] = code })
	if refuse != nil {
		return *refuse
	}
	r := next(ctx, q)
	if r.Status < 300 {
		s.forget(key)
		s.revise(key)
		s.mark(&s.created, key, l.Now())
	}
	return l.current(c, r)
}

// changeFunction makes the overlay of a call that changes a function: one at a time, on the revision that the caller has
// seen, and not while Lambda still works on the change before. How says what else is to be done, nil for nothing.
func (l *Lab) changeFunction(how func(context.Context, *Call) (*Call, *Reply)) Overlay {
	return func(ctx context.Context, c *Call, next Next) Reply {
		s := &l.states.lambda
		key, qualifier := functionOf(c)
		defer s.locks.lock(key)()
		if r := next(ctx, l.reading(c)); r.Status != 200 { // moto's words for what does not exist
			return r
		}
		if qualifier != "" && qualifier != "$LATEST" { // permissions of a version or alias
			key += ":" + qualifier
		}
		if r := l.stale(c, key); r != nil {
			return *r
		}
		code := isOneOf(c.Operation, "UpdateFunctionCode", "UpdateFunctionConfiguration", "PublishVersion")
		if r := l.busy(c, key); r != nil && code {
			return *r
		}
		q := c
		if how != nil {
			var refuse *Reply
			if q, refuse = how(ctx, c); refuse != nil {
				return *refuse
			}
		}
		r := next(ctx, q)
		dry, _ := c.Input["DryRun"].(bool)
		if r.Status < 300 && c.Operation != "PublishVersion" && !dry {
			s.revise(key)
			if code {
				s.mark(&s.updated, key, l.Now())
			}
		}
		return l.current(c, r)
	}
}

// reading is the call that asks for the function's configuration instead.
func (l *Lab) reading(c *Call) *Call {
	q := *c
	q.Method, q.Operation, q.Body, q.Query = http.MethodGet, "GetFunctionConfiguration", nil, nil
	key, _ := functionOf(c)
	q.Path = "/2015-03-31/functions/" + key[strings.LastIndexByte(key, '/')+1:] + "/configuration"
	return &q
}

// stale refuses a change of a revision that is not the latest.
func (l *Lab) stale(c *Call, key string) *Reply {
	if asked := c.Text("RevisionId"); asked == "" || asked == l.states.lambda.revision(key) {
		return nil
	}
	r := errorReply(c, http.StatusPreconditionFailed, "PreconditionFailedException",
		"The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")
	return &r
}

// busy refuses a change while Lambda works on the one before.
//
// https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
func (l *Lab) busy(c *Call, key string) *Reply {
	s := &l.states.lambda
	state, arn := "", "arn:aws:lambda:"+c.Region+":"+c.Account+":function:"+key[strings.LastIndexByte(key, '/')+1:]
	now := l.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.within(s.created, key, now, functionSettles):
		state = "The function is currently in the following state: Pending"
	case s.within(s.updated, key, now, functionSettles):
		state = "An update is in progress for resource: " + arn
	default:
		return nil
	}
	r := errorReply(c, http.StatusConflict, "ResourceConflictException", "The operation cannot be performed at this time. "+state)
	return &r
}

func (l *Lab) updateCode(ctx context.Context, c *Call) (*Call, *Reply) {
	in := maps.Clone(c.Input)
	return l.fetched(ctx, c, in, func(all map[string]any) {
		for _, name := range []string{"S3Bucket", "S3Key", "S3ObjectVersion"} {
			delete(all, name)
		}
		all["ZipFile"] = in["ZipFile"]
	})
}

// fetched reads the archive that code names in S3, as Lambda does at that moment, and returns the call with the archive
// itself: moto takes archives that are not there, and knows no versions of them. put puts code into the call's members.
func (l *Lab) fetched(ctx context.Context, c *Call, code map[string]any, put func(map[string]any)) (*Call, *Reply) {
	bucket, _ := code["S3Bucket"].(string)
	object, _ := code["S3Key"].(string)
	if bucket == "" || object == "" {
		if b, err := base64.StdEncoding.DecodeString(fmt.Sprint(code["ZipFile"])); err == nil && code["ZipFile"] != nil {
			l.states.functions.keep(b)
		}
		return c, nil
	}
	in := map[string]any{"Bucket": bucket, "Key": object}
	if v, ok := code["S3ObjectVersion"].(string); ok {
		in["VersionId"] = v
	}
	r, err := l.send(ctx, "s3", "GetObject", c, in)
	if err == nil && asleep(l.states.s3.class(c, bucket, object, r.Header.Get("X-Amz-Version-Id"))) {
		r = xmlReply(c, http.StatusForbidden, "<Error><Code>InvalidObjectState</Code><Message>The operation is not valid for the object's storage class</Message></Error>")
		no := noArchive(c, r)
		return nil, &no
	}
	if err != nil {
		no := noArchive(c, r)
		return nil, &no
	}
	delete(code, "S3Bucket")
	delete(code, "S3Key")
	delete(code, "S3ObjectVersion")
	l.states.functions.keep(r.Body)
	code["ZipFile"] = base64.StdEncoding.EncodeToString(r.Body)
	all := maps.Clone(c.Input)
	put(all)
	delete(all, "FunctionName")
	if c.Operation == "CreateFunction" {
		all["FunctionName"] = c.Input["FunctionName"]
	}
	q := *c
	b, err := json.Marshal(all)
	if err != nil {
		no := errorReply(c, http.StatusInternalServerError, "ServiceException", "The lab can't write the call for moto.")
		return nil, &no
	}
	q.Body = b
	return &q, nil
}

// noArchive says that the archive is not there, in the words of AWS.
func noArchive(c *Call, r Reply) Reply {
	code, message := refused("rest-xml", r)
	for known, words := range map[string]string{"NoSuchKey": "The specified key does not exist.", "NoSuchBucket": "The specified bucket does not exist",
		"NoSuchVersion": "The specified version does not exist."} {
		if code == known {
			message = words
		}
	}
	return errorReply(c, http.StatusBadRequest, "InvalidParameterValueException",
		"Error occurred while GetObject. S3 Error Code: "+code+". S3 Error Message: "+message)
}

// publishVersion refuses to publish other code than the caller means.
func (l *Lab) publishVersion(ctx context.Context, c *Call) (*Call, *Reply) {
	want := c.Text("CodeSha256")
	if want == "" {
		return c, nil
	}
	have, err := l.ask(ctx, "lambda", "GetFunctionConfiguration", c, map[string]any{"FunctionName": c.Text("FunctionName")})
	if err != nil || have["CodeSha256"] == want {
		return c, nil
	}
	r := errorReply(c, http.StatusBadRequest, "InvalidParameterValueException", fmt.Sprintf(
		"CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). Please try again with the CodeSHA256 in $LATEST.", want, have["CodeSha256"]))
	return nil, &r
}

// listVersions refuses to list those of a function that is not there, and lists those of one that is named by its ARN; moto
// knows of none of either.
//
// https://docs.aws.amazon.com/lambda/latest/api/API_ListVersionsByFunction.html
func (l *Lab) listVersions(ctx context.Context, c *Call, next Next) Reply {
	if r := next(ctx, l.reading(c)); r.Status != http.StatusOK { // moto's words for what does not exist
		return r
	}
	q := *c
	key, _ := functionOf(c)
	q.Path = "/2015-03-31/functions/" + key[strings.LastIndexByte(key, '/')+1:] + "/versions"
	return l.current(c, next(ctx, &q))
}

func (l *Lab) deleteFunction(ctx context.Context, c *Call, next Next) Reply {
	s := &l.states.lambda
	key, qualifier := functionOf(c)
	defer s.locks.lock(key)()
	if qualifier == "$LATEST" {
		return errorReply(c, http.StatusBadRequest, "InvalidParameterValueException", "$LATEST version cannot be deleted without deleting the function.")
	}
	if _, err := strconv.Atoi(qualifier); err == nil {
		if holders := l.holders(ctx, c, qualifier); len(holders) > 0 {
			return errorReply(c, http.StatusConflict, "ResourceConflictException",
				"Failed to delete version "+qualifier+" because the following aliases refer to it: "+strings.Join(holders, ", "))
		}
		key += ":" + qualifier
	}
	r := next(ctx, c)
	if r.Status < 300 {
		s.forget(key)
	}
	return r
}

// holders are the aliases that send calls to a version.
func (l *Lab) holders(ctx context.Context, c *Call, version string) (out []string) {
	found, err := l.ask(ctx, "lambda", "ListAliases", c, map[string]any{"FunctionName": c.Text("FunctionName")})
	if err != nil {
		return nil
	}
	for _, a := range list(found["Aliases"]) {
		alias, _ := a.(map[string]any)
		routing, _ := alias["RoutingConfig"].(map[string]any)
		weights, _ := routing["AdditionalVersionWeights"].(map[string]any)
		if _, weighted := weights[version]; weighted || alias["FunctionVersion"] == version {
			out = append(out, fmt.Sprint(alias["Name"]))
		}
	}
	return out
}

func (l *Lab) changeAlias(ctx context.Context, c *Call, next Next) Reply {
	s := &l.states.lambda
	key, _ := functionOf(c)
	defer s.locks.lock(key)()
	alias := key + ":" + c.Text("Name")
	if c.Operation == "UpdateAlias" {
		if r := next(ctx, l.readingAlias(c)); r.Status >= 300 {
			return r
		}
		if r := l.stale(c, alias); r != nil {
			return *r
		}
	}
	r := next(ctx, c)
	if r.Status < 300 {
		s.revise(alias)
		s.mu.Lock()
		if p, ok := s.provisioned[alias]; ok { // it is set up again for the version that the alias has now
			p.since = l.Now()
			s.provisioned[alias] = p
		}
		s.mu.Unlock()
	}
	return l.current(c, r)
}

func (l *Lab) deleteAlias(ctx context.Context, c *Call, next Next) Reply {
	key, _ := functionOf(c)
	defer l.states.lambda.locks.lock(key)()
	r := next(ctx, c)
	if r.Status < 300 {
		l.states.lambda.forget(key + ":" + c.Text("Name"))
	}
	return r
}

func (l *Lab) readingAlias(c *Call) *Call {
	q := *c
	q.Method, q.Operation, q.Body = http.MethodGet, "GetAlias", nil
	return &q
}

// current corrects what a reply says of functions and aliases: revision ids and states.
func (l *Lab) current(c *Call, r Reply) Reply {
	if r.Status >= 300 || len(r.Body) == 0 {
		return r
	}
	if isOneOf(c.Operation, "GetAlias", "UpdateAlias") { // moto says that it made one
		r.Status = http.StatusOK
	}
	d := json.NewDecoder(bytes.NewReader(r.Body))
	d.UseNumber() // numbers stay as they were written
	var doc map[string]any
	if d.Decode(&doc) != nil {
		return r
	}
	all := []any{doc, doc["Configuration"]}
	for _, name := range []string{"Functions", "Versions", "Aliases"} {
		more, _ := doc[name].([]any)
		all = append(all, more...)
	}
	for _, one := range all {
		if m, ok := one.(map[string]any); ok {
			l.correct(c, m)
		}
	}
	if c.Operation == "GetPolicy" {
		key, qualifier := functionOf(c)
		if qualifier != "" {
			key += ":" + qualifier
		}
		doc["RevisionId"] = l.states.lambda.revision(key)
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return r
	}
	r.Body = b
	return r
}

// correct corrects one function or alias.
func (l *Lab) correct(c *Call, m map[string]any) {
	s := &l.states.lambda
	arn, _ := m["FunctionArn"].(string)
	if arn == "" {
		arn, _ = m["AliasArn"].(string)
	}
	_, name, ok := strings.Cut(arn, ":function:")
	if !ok {
		return
	}
	name, qualifier, _ := strings.Cut(name, ":")
	key := c.Account + "/" + c.Region + "/" + name
	_, function := m["CodeSha256"]
	if qualifier != "" && qualifier != "$LATEST" {
		m["RevisionId"] = s.revision(key + ":" + qualifier)
		return
	}
	m["RevisionId"] = s.revision(key)
	if !function {
		return
	}
	now := l.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.within(s.created, key, now, functionSettles):
		m["State"], m["StateReason"], m["StateReasonCode"] = "Pending", "The function is being created.", "Creating"
		m["LastUpdateStatus"] = "Successful"
	case s.within(s.updated, key, now, functionSettles):
		m["LastUpdateStatus"], m["LastUpdateStatusReason"] = "InProgress", "The function is being created."
		m["LastUpdateStatusReasonCode"] = "Creating"
	default:
		m["State"], m["LastUpdateStatus"] = "Active", "Successful"
	}
}
