package labtest

import (
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/lab"
)

// window is how long a change without a condition came after the question that decides whether it is made: from when that
// began, to when the change did, by the lab's clock, which goes on as ours does while nothing steps it.
type window struct {
	verb             string
	question, change string // operations
	took             time.Duration
}

// deciding is the change that a verb without a condition makes, and the question before it whose answer could show somebody newer.
// Each names what is changed by an input. Where that is asked of something else, fence is how its path ends: of several changes side by
// side each asks then, and the first question is taken for the first change, which comes after its own.
type deciding struct{ change, names, question, asks, fence string }

// windows are the verbs without a condition that change something, by kind and verb.
var windows = map[string]deciding{
	"aws.ecs update":        {"UpdateService", "service", "DescribeServices", "services", ""},
	"aws.ecs force":         {"UpdateService", "service", "DescribeServices", "services", ""},
	"aws.ecs register":      {"RegisterTaskDefinition", "family", "DescribeTaskDefinition", "taskDefinition", ""},
	"aws.ecs end-share":     {"DeleteService", "service", "DescribeServices", "services", ""},
	"aws.ssm put":           {"PutParameter", "Name", "GetParameterHistory", "Name", ""},
	"aws.appconfig deploy":  {"StartDeployment", "EnvironmentId", "ListDeployments", "EnvironmentId", ""},
	"aws.s3site put":        {"CopyObject", "Key", "HeadObject", "", "/_current.json"},
	"aws.s3site switch":     {"CopyObject", "Key", "HeadObject", "", "/_current.json"},
	"aws.s3site prune":      {"DeleteObject", "Key", "HeadObject", "", "/_current.json"},
	"aws.secret move":       {"UpdateSecretVersionStage", "SecretId", "DescribeSecret", "SecretId", ""},
	"aws.s3site invalidate": {}, // it overwrites nothing, whenever it comes: no question is before it
}

// noteWindows notes the first change that the call has made since the journal's number, where its verb has no condition.
func (x *execution) noteWindows(call astern.Call, since int64) {
	x.Helper()
	if !slices.ContainsFunc(x.driver.Verbs, func(v astern.VerbInfo) bool { return v.Verb == call.Verb && v.Exclusion == astern.Window }) {
		return
	}
	all := x.account.ours(0)
	slices.SortFunc(all, func(a, b lab.Entry) int { return int(a.Seq - b.Seq) })
	changed := slices.IndexFunc(all, func(e lab.Entry) bool { return e.Seq > since && !e.ReadOnly && x.world.Effect(e) != "" })
	if changed < 0 {
		return
	}
	change := all[changed]
	d, known := windows[call.Kind+" "+call.Verb]
	name, _ := change.Parameters[d.names].(string)
	switch {
	case known && d.change == "":
		return
	case d.change != change.Operation || name == "":
		x.Errorf("%s of %s changes by %s:%s, and its window is not known", call.Verb, call.Kind, change.Service, change.Operation)
		return
	}
	was, asked := d.last(all[:changed], since, change.Service, name)
	if !asked {
		x.Errorf("%s of %s changes %s by %s:%s, which it has never looked at", call.Verb, call.Kind, name, change.Service, change.Operation)
		return
	}
	x.windows = append(x.windows, window{call.Verb, was.Service + ":" + was.Operation, change.Service + ":" + change.Operation, change.Time.Sub(was.Time)})
}

// last returns the question before a change of the name: the last, or, at a fence, the first since the call began.
func (d deciding) last(before []lab.Entry, since int64, service, name string) (lab.Entry, bool) {
	if d.fence == "" {
		for _, e := range slices.Backward(before) {
			if e.Service == service && e.Operation == d.question && isNamed(e.Parameters[d.asks], name) {
				return e, true
			}
		}
		return lab.Entry{}, false
	}
	i := slices.IndexFunc(before, func(e lab.Entry) bool {
		return e.Seq > since && e.Service == service && e.Operation == d.question && strings.HasSuffix(e.Path, d.fence)
	})
	if i < 0 {
		return lab.Entry{}, false
	}
	return before[i], true
}

// isNamed reports whether an input, or one of a list, is a name or an ARN of it, or the name of a secret's ARN.
func isNamed(input any, name string) bool {
	switch v := input.(type) {
	case string:
		last, _, _ := strings.Cut(v[strings.LastIndexByte(v, '/')+1:], ":") // a task definition's number is not of its family
		return v == name || last == name || strings.Contains(name, ":secret:"+v+"-")
	case []any:
		return slices.ContainsFunc(v, func(one any) bool { return isNamed(one, name) })
	}
	return false
}

// countWindows keeps the longest window of each verb.
func (x *table) countWindows(e *execution) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, w := range e.windows {
		e.Logf("%s: %s came %s after %s", w.verb, w.change, w.took, w.question)
		name := windowOf(w.verb)
		x.counts[name] = max(x.counts[name], float64(w.took.Microseconds())/1000)
	}
	x.kind = e.driver.Kind
}

// allWindows requires that the plans have shown the window of each verb of the kind that has one.
func (x *table) allWindows() {
	x.Helper()
	for which, d := range windows {
		kind, verb, _ := strings.Cut(which, " ")
		if _, measured := x.counts[windowOf(verb)]; kind == x.kind && d.change != "" && !measured {
			x.Errorf("the window of %s was not measured", verb)
		}
	}
}

func windowOf(verb string) string { return "max_window_ms_" + verb }
