package lab

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits of running functions.
const (
	maxArchives  = 512 << 20 // bytes of all that are kept
	maxSandboxes = 16
)

// functions runs the functions of the account: archives with a program named bootstrap, as processes of this machine.
type functions struct {
	mu       sync.Mutex
	archives map[string][]byte     // by SHA-256, as Lambda writes it
	bytes    int                   // of all archives
	idle     map[string][]*sandbox // by function, version and code
	running  int
	made     int
	folder   string // of this life of the account; "" until it is needed
	life     int    // how often the account was emptied
	base     string
	random   *rand.Rand
	async    sync.WaitGroup
}

func (f *functions) reset() {
	f.mu.Lock()
	var all []*sandbox
	for _, some := range f.idle {
		all = append(all, some...)
	}
	f.running -= len(all)
	f.idle, f.archives, f.bytes = nil, nil, 0
	folder := f.folder
	f.folder = ""
	f.life++
	f.mu.Unlock()
	for _, s := range all {
		s.close()
	}
	if folder != "" {
		_ = os.RemoveAll(folder) // what is left there is in nobody's way
	}
}

// keep remembers an archive, so that it can be run.
func (f *functions) keep(archive []byte) {
	sum := sha256.Sum256(archive)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.archives == nil || f.bytes+len(archive) > maxArchives {
		f.archives, f.bytes = map[string][]byte{}, 0
	}
	key := base64.StdEncoding.EncodeToString(sum[:])
	if f.archives[key] == nil {
		f.archives[key] = archive
		f.bytes += len(archive)
	}
}

// target is the version that a call goes to.
type target struct {
	name, version, arn, sha string
	qualifier               string // that it was called by; weighted is true of an alias with weights
	weighted                bool
	timeout                 time.Duration
	memory                  string
	env                     map[string]any
}

// invoke runs a function.
//
// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
func (l *Lab) invoke(ctx context.Context, c *Call, next Next) Reply {
	if c.AccessKey == "" { // a page in a browser can call a port of this machine, but not sign
		return errorReply(c, http.StatusForbidden, "MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	key, qualifier := functionOf(c)
	t, refuse := l.resolve(ctx, c, key[strings.LastIndexByte(key, '/')+1:], qualifier)
	if refuse != nil {
		return *refuse
	}
	f := &l.states.functions
	f.mu.Lock()
	archive, known := f.archives[t.sha]
	f.mu.Unlock()
	if !known {
		return errorReply(c, http.StatusNotImplemented, "LabNotImplemented", "The lab has not seen the archive of "+t.name+
			": it runs what came by CreateFunction and UpdateFunctionCode.")
	}
	header := http.Header{"X-Amzn-Requestid": {requestID(c)}, "X-Amz-Executed-Version": {t.version}, "Content-Type": {"application/json"}}
	switch c.Header.Get("X-Amz-Invocation-Type") {
	case "DryRun":
		return Reply{http.StatusNoContent, header, nil}
	case "Event":
		f.async.Add(1)
		go func() {
			defer f.async.Done()
			l.run(ctx, c, t, archive)
		}()
		return Reply{http.StatusAccepted, header, nil}
	}
	out, log, ok := l.run(ctx, c, t, archive)
	if !ok {
		return errorReply(c, http.StatusTooManyRequests, "TooManyRequestsException", "Rate Exceeded.")
	}
	if out.problem != "" {
		header.Set("X-Amz-Function-Error", out.problem)
	}
	if c.Header.Get("X-Amz-Log-Type") == "Tail" {
		header.Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString([]byte(log[max(0, len(log)-4096):])))
	}
	return Reply{http.StatusOK, header, out.payload}
}

// resolve says which version a call goes to. An alias with weights sends it by chance.
func (l *Lab) resolve(ctx context.Context, c *Call, name, qualifier string) (target, *Reply) {
	in := map[string]any{"FunctionName": name}
	weighted := false
	if qualifier != "" && qualifier != "$LATEST" {
		in["Qualifier"] = qualifier
		if _, err := strconv.Atoi(qualifier); err != nil {
			alias, err := l.ask(ctx, "lambda", "GetAlias", c, map[string]any{"FunctionName": name, "Name": qualifier})
			if err == nil {
				in["Qualifier"] = l.draw(alias)
				weighted = len(objectOf(objectOf(alias["RoutingConfig"])["AdditionalVersionWeights"])) > 0
			}
		}
	}
	conf, err := l.ask(ctx, "lambda", "GetFunctionConfiguration", c, in)
	if err != nil {
		r := errorReply(c, http.StatusNotFound, "ResourceNotFoundException", "Function not found: arn:aws:lambda:"+c.Region+":"+c.Account+":function:"+
			strings.TrimSuffix(name+":"+qualifier, ":"))
		return target{}, &r
	}
	s, key := &l.states.lambda, c.Account+"/"+c.Region+"/"+name
	s.mu.Lock()
	pending := s.within(s.created, key, l.Now(), functionSettles)
	s.mu.Unlock()
	if pending {
		return target{}, l.busy(c, key)
	}
	if runtime := fmt.Sprint(conf["Runtime"]); !strings.HasPrefix(runtime, "provided") {
		r := errorReply(c, http.StatusNotImplemented, "LabNotImplemented", "The lab does not run "+name+" of the runtime "+runtime+
			": it runs archives with a bootstrap, of provided.al2 and provided.al2023.")
		return target{}, &r
	}
	t := target{name: name, qualifier: qualifier, weighted: weighted, timeout: 3 * time.Second}
	t.version, _ = conf["Version"].(string)
	t.arn, _ = conf["FunctionArn"].(string)
	t.sha, _ = conf["CodeSha256"].(string)
	t.memory = fmt.Sprint(conf["MemorySize"])
	if n, ok := conf["Timeout"].(float64); ok && n > 0 && n <= 900 {
		t.timeout = time.Duration(n * float64(time.Second))
	}
	env, _ := conf["Environment"].(map[string]any)
	t.env, _ = env["Variables"].(map[string]any)
	return t, nil
}

// draw is the version to which an alias sends this call.
func (l *Lab) draw(alias map[string]any) any {
	routing, _ := alias["RoutingConfig"].(map[string]any)
	weights, _ := routing["AdditionalVersionWeights"].(map[string]any)
	f := &l.states.functions
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.random == nil {
		f.random = rand.New(rand.NewPCG(l.seed, 2))
	}
	at := f.random.Float64()
	for _, version := range names(weights) {
		w, _ := weights[version].(float64)
		if at < w {
			return version
		}
		at -= w
	}
	return alias["FunctionVersion"]
}

// run lets a sandbox answer one call, and tells CloudWatch. ok is false when too many are running.
func (l *Lab) run(ctx context.Context, c *Call, t target, archive []byte) (out outcome, log string, ok bool) {
	i := &invocation{id: requestID(c), arn: t.arn, payload: c.Body, done: make(chan outcome, 1)}
	if len(i.payload) == 0 {
		i.payload = []byte("{}")
	}
	began := time.Now()
	s, key, err := l.sandboxFor(c, t, archive)
	switch {
	case err == nil && s == nil:
		return outcome{}, "", false
	case err != nil:
		out = failed("Runtime.InvalidEntrypoint", "RequestId: "+i.id+" Error: "+err.Error())
	default:
		i.timeout = t.timeout
		i.deadline = time.Now().Add(t.timeout)
		out = s.call(l.life, i)
		log = s.said.next()
		l.states.functions.give(key, s)
	}
	took := time.Since(began)
	log = fmt.Sprintf("START RequestId: %s Version: %s\n%s", i.id, t.version, log)
	if out.problem != "" {
		log = strings.TrimSuffix(log, "\n") + "\n[ERROR] " + string(out.payload[:min(len(out.payload), 4096)]) + "\n"
	}
	log = strings.TrimSuffix(log, "\n") + fmt.Sprintf("\nEND RequestId: %s\nREPORT RequestId: %s\tDuration: %.2f ms\tMemory Size: %s MB\n", i.id, i.id, float64(took.Microseconds())/1000, t.memory)
	l.report(ctx, c, t, log, out.problem != "", took)
	return out, log, true
}

// sandboxFor takes an idle sandbox or starts one; nil when there are too many.
func (l *Lab) sandboxFor(c *Call, t target, archive []byte) (s *sandbox, key string, err error) {
	f := &l.states.functions
	key = strings.Join([]string{t.arn, t.version, t.sha, fmt.Sprint(t.env), t.memory}, " ")
	f.mu.Lock()
	for n := len(f.idle[key]); n > 0; n = len(f.idle[key]) {
		s = f.idle[key][n-1]
		f.idle[key] = f.idle[key][:n-1]
		if s.alive() {
			f.mu.Unlock()
			return s, key, nil
		}
		f.running--
		s.shut()
	}
	if f.running >= maxSandboxes {
		f.evict()
	}
	if f.running >= maxSandboxes {
		f.mu.Unlock()
		return nil, key, nil
	}
	if f.folder == "" {
		if f.folder, err = os.MkdirTemp(f.base, "functions-"); err != nil {
			f.mu.Unlock()
			return nil, key, err
		}
	}
	f.running++
	f.made++
	folder, life := filepath.Join(f.folder, strconv.Itoa(f.made)), f.life
	f.mu.Unlock()
	if s, err = startSandbox(folder, archive, environmentOf(c, t)); err != nil {
		f.mu.Lock()
		f.running--
		f.mu.Unlock()
		return nil, key, err
	}
	s.life = life
	return s, key, nil
}

// evict ends one sandbox that has nothing to do.
func (f *functions) evict() {
	for key, some := range f.idle {
		if n := len(some); n > 0 {
			some[n-1].close()
			f.idle[key] = some[:n-1]
			f.running--
			return
		}
	}
}

// give takes a sandbox back.
func (f *functions) give(key string, s *sandbox) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !s.alive() || s.life != f.life { // or the account was emptied meanwhile
		f.running--
		s.close()
		return
	}
	if f.idle == nil {
		f.idle = map[string][]*sandbox{}
	}
	f.idle[key] = append(f.idle[key], s)
}

// environmentOf is what Lambda tells a function: nothing of the user's own environment. AWS is the lab.
func environmentOf(c *Call, t target) []string {
	out := []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=en_US.UTF-8", "TZ=:UTC", "_HANDLER=bootstrap", "AWS_REGION=" + c.Region,
		"AWS_DEFAULT_REGION=" + c.Region, "AWS_LAMBDA_FUNCTION_NAME=" + t.name, "AWS_LAMBDA_FUNCTION_VERSION=" + t.version,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=" + t.memory, "AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/" + t.name,
		"AWS_ACCESS_KEY_ID=lab", "AWS_SECRET_ACCESS_KEY=lab", "AWS_ENDPOINT_URL=http://" + c.host}
	for _, name := range names(t.env) {
		out = append(out, name+"="+fmt.Sprint(t.env[name]))
	}
	return out
}

// report tells CloudWatch what a function said and how it went, as Lambda does.
//
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
func (l *Lab) report(ctx context.Context, c *Call, t target, log string, wrong bool, took time.Duration) {
	group, stream := "/aws/lambda/"+t.name, "["+t.version+"]lab"
	now := l.Now()
	l.tell(ctx, "logs", "CreateLogGroup", c, map[string]any{"logGroupName": group})
	l.tell(ctx, "logs", "CreateLogStream", c, map[string]any{"logGroupName": group, "logStreamName": stream})
	var lines []any
	for _, line := range strings.Split(strings.TrimSpace(log), "\n") {
		lines = append(lines, map[string]any{"timestamp": now.UnixMilli(), "message": line})
	}
	l.tell(ctx, "logs", "PutLogEvents", c, map[string]any{"logGroupName": group, "logStreamName": stream, "logEvents": lines})
	errors := 0
	if wrong {
		errors = 1
	}
	var data []any
	for _, of := range t.dimensions() {
		for name, value := range map[string]any{"Invocations": 1, "Errors": errors, "Duration": float64(took.Microseconds()) / 1000} {
			data = append(data, map[string]any{"MetricName": name, "Value": value, "Timestamp": now.UTC().Format(time.RFC3339), "Dimensions": of})
		}
	}
	l.tell(ctx, "monitoring", "PutMetricData", c, map[string]any{"Namespace": "AWS/Lambda", "MetricData": data})
}

// dimensions are those that Lambda publishes a call under: the function; what it was called by; and, of an alias with weights,
// the version that was executed.
//
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html
func (t target) dimensions() [][]any {
	dimension := func(name, value string) any { return map[string]any{"Name": name, "Value": value} }
	function := dimension("FunctionName", t.name)
	out := [][]any{{function}}
	if t.qualifier == "" {
		return out
	}
	resource := dimension("Resource", t.name+":"+t.qualifier)
	out = append(out, []any{function, resource})
	if t.weighted {
		out = append(out, []any{function, resource, dimension("ExecutedVersion", t.version)})
	}
	return out
}
