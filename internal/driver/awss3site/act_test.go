package awss3site

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi/awstest"
)

// versions counts the versions of an object.
func (x *site) versions(key string) int {
	x.Helper()
	out, err := x.clients.s3.ListObjectVersions(context.Background(), &s3.ListObjectVersionsInput{Bucket: &x.clients.p.Bucket, Prefix: &key})
	x.must(err)
	return len(out.Versions)
}

// target returns what is known of a revision.
func (x *site) target(rev string) astern.Target {
	x.Helper()
	for _, t := range x.driver.Router.Targets(x.c, x.observe(), x.history) {
		if t.Revision == rev {
			return t
		}
	}
	x.Fatalf("%s is no target", rev)
	return astern.Target{}
}

func (x *site) evidence(rev string) string {
	x.Helper()
	var out []string
	for _, e := range x.target(rev).Evidence {
		out = append(out, string(e.Readiness)+": "+e.What)
	}
	return strings.Join(out, "\n")
}

// Open pages keep what they ask for, until what only other releases have is taken away; what no release has stays, and what
// was taken away is there for the way back.
func TestPrune(t *testing.T) {
	t.Parallel()
	for name, versioned := range map[string]bool{"versioned": true, "unversioned": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newSite(t, versioned, func(s *Settings) { s.Prefix = "web/" })
			x.upload(map[string]string{"upload/by a user.png": "png"})
			x.carry(astern.VerbRollback, "v1", nil)
			served := func(want map[string]string, more ...string) {
				t.Helper()
				for path, text := range want {
					if got := x.text(path); got != text {
						t.Errorf("%s is %q, want %q", path, got, text)
					}
				}
				for i := 0; i+1 < len(more); i += 2 {
					if got := x.text(more[i]); got != more[i+1] {
						t.Errorf("%s is %q, want %q", more[i], got, more[i+1])
					}
				}
			}
			served(one, "assets/app.2.js", "js 2 "+key)
			if s := x.observe(); s.Values["kept"].Text != "1" || s.Values["foreign"].Text != "1" || s.Values["revision"].Text != "v1" {
				t.Errorf("%v", s.Values)
			}
			x.carry(astern.VerbRedeploy, "v1", nil)
			served(one, "assets/app.2.js", "", "upload/by a user.png", "png")
			x.carry(astern.VerbDeploy, "v2", nil)
			served(two, "assets/app.2.js", "js 2 "+key)
			f := x.recorded("v1", "index.html")
			if head, err := x.clients.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &x.clients.p.Bucket, Key: aws.String("web/index.html")}); err != nil ||
				aws.ToString(head.CacheControl) != f.CacheControl || f.CacheControl != "no-cache" || aws.ToString(head.ContentType) != "text/html" {
				t.Errorf("the headers of the entry point: %+v, %v", head, err)
			}
			if !versioned {
				x.delete(x.clients.p.copyKey(x.recorded("v1", "logo.svg").SHA256), "")
				if text := x.evidence("v1"); !strings.Contains(text, "broken: logo.svg is in no version of the bucket any more") {
					t.Errorf("without the copy: %s", text)
				}
			}
		})
	}
}

// Who is held up between looking for what only other releases have and deleting it, while somebody goes to one of these, deletes nothing
// of it.
func TestPruneOvertaken(t *testing.T) {
	t.Parallel()
	x := newSite(t, true, nil)
	x.carry(astern.VerbRollback, "v1", nil)
	calls := x.steps(astern.VerbRedeploy, "v1", nil)
	prune := slices.IndexFunc(calls, func(c astern.Call) bool { return c.Verb == verbPrune })
	if prune < 0 {
		t.Fatal("nothing is to be deleted")
	}
	if call, op := x.do(calls[:prune]); op.Status != astern.OpDone {
		t.Fatalf("%s: %+v", call.Step, op)
	}
	taken := false
	x.cloud.Inject(t, awstest.Fault{Operation: "GetObject", About: x.clients.p.Bucket + "/" + x.clients.p.manifestKey("v2"), Times: 1, Before: func() {
		taken = true
		x.carry(astern.VerbDeploy, "v2", nil)
	}})
	call, op := x.do(calls[prune:])
	if !taken || call.Verb != verbPrune || op.Status == astern.OpDone || op.Code != astern.Conflict || !strings.Contains(op.Error, "another execution was there: ex-") {
		t.Errorf("taken over %t; %s: %+v", taken, call.Step, op)
	}
	for path, text := range two {
		if got := x.text(path); got != text {
			t.Errorf("of what the newer one serves, %s is %q, want %q", path, got, text)
		}
	}
}

// One object goes back alone.
func TestPick(t *testing.T) {
	t.Parallel()
	x := newSite(t, true, nil)
	x.carry(astern.VerbRollback, "", &astern.ObjectChange{Object: "logo.svg", Revision: "v1"})
	s := x.observe("logo.svg")
	rev := s.Values["revision"].Text
	if x.text("logo.svg") != "old logo" || x.text("index.html") != "two" || !strings.HasPrefix(rev, "v2-o") || s.Values["release/"+rev].Text == "" {
		t.Errorf("%s: %v", rev, s.Values)
	}
	_, err := x.driver.Picker.Pick(x.c, s, astern.ObjectChange{Object: "logo.svg", Revision: "v1"})
	if astern.CodeOf(err) != astern.Refused {
		t.Errorf("the same once more: %v", err)
	}
	_, err = x.driver.Picker.Pick(x.c, s, astern.ObjectChange{Object: "nope", Revision: "v1"})
	if astern.CodeOf(err) != astern.NotFound {
		t.Errorf("an object that is nowhere: %v", err)
	}
	x.cloud.Inject(t, awstest.Fault{Operation: "GetObject", About: x.clients.p.Bucket + "/" + x.clients.p.manifestKey("v1"), Status: 403, Code: "AccessDenied", Message: "Access Denied", Times: 1})
	_, err = x.driver.Picker.Pick(x.c, x.observe("logo.svg"), astern.ObjectChange{Object: "logo.svg", Revision: "v1"})
	if astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), "s3:GetObject") {
		t.Errorf("a release that can't be read: %v", err)
	}
	x.carry(astern.VerbRollback, "v1", nil)
	if x.text("index.html") != "one" {
		t.Error("the way from there is blocked")
	}
}

// Keys may hold anything.
func TestOddKeys(t *testing.T) {
	t.Parallel()
	x := newSite(t, true, nil)
	odd := map[string]string{}
	for i, key := range []string{"a b/it's \"quoted\" $(x).txt", "..hidden/x", "plus+plus.txt", "100%/50%25.txt", "ümläut/ö.txt", "q?a=b&c#d.txt", "semi;colon,comma.txt", "snow☃man.txt", "a&lt;b.txt",
		"up/../down.txt", "x//y.txt", "./here.txt", "../above.txt", "/lead.txt"} {
		odd[key] = fmt.Sprint("first ", i)
	}
	x.carry(astern.VerbRollback, "v1", nil)
	x.upload(odd)
	x.upload(map[string]string{"index.html": "three"})
	x.carry(astern.VerbDeploy, "v3", nil)
	for key := range odd {
		x.upload(map[string]string{key: "second"})
	}
	x.upload(map[string]string{"index.html": "four"})
	x.carry(astern.VerbDeploy, "v4", nil)
	x.carry(astern.VerbRollback, "v3", nil)
	there, _, err := x.clients.present(t.Context())
	x.must(err)
	for key, text := range odd {
		if _, ok := there[key]; !ok {
			t.Errorf("%q is not among the keys: somebody on the way took it for another", key)
		}
		if got := x.text(key); got != text {
			t.Errorf("%q is %q, want %q", key, got, text)
		}
	}
}

// What goes wrong in a call is told with the call, the object and the IAM action; nothing is lost and nothing done twice.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		verb   string
		fault  awstest.Fault // its About is below the bucket
		status astern.OpStatus
		code   astern.Code
		text   string
	}{
		"denied": {verbSwitch, awstest.Fault{Operation: "PutObject", About: "/index.html", Status: 403, Code: "AccessDenied", Message: "Access Denied", Times: 1},
			astern.OpFailed, astern.Denied, "allow s3:PutObject on arn:aws:s3:::"},
		"throttled": {verbSwitch, awstest.Fault{Operation: "PutObject", About: "/index.html", Status: 503, Code: "SlowDown", Message: "Please reduce your request rate.", Times: 1},
			astern.OpFailed, astern.Throttled, "SlowDown"},
		"an error of the cloud": {verbSwitch, awstest.Fault{Operation: "PutObject", About: "/index.html", Status: 500, Code: "InternalError", Message: "We encountered an internal error.", Times: 1},
			astern.OpUnsure, astern.Unavailable, "InternalError"},
		"a reply lost after the effect": {verbSwitch, awstest.Fault{Operation: "PutObject", About: "/index.html", LoseReply: true, Times: 1}, astern.OpUnsure, astern.Unavailable, "index.html"},
		"a request lost":                {verbSwitch, awstest.Fault{Operation: "PutObject", About: "/index.html", LoseRequest: true, Times: 1}, astern.OpUnsure, astern.Unavailable, "index.html"},
		"an asset's reply lost":         {verbPut, awstest.Fault{Operation: "PutObject", About: "/logo.svg", LoseReply: true, Times: 1}, astern.OpUnsure, astern.Unavailable, "logo.svg"},
		"the list is denied": {verbPut, awstest.Fault{Operation: "GetObject", About: "/", Status: 403, Code: "AccessDenied", Message: "Access Denied", Times: 1},
			astern.OpFailed, astern.Denied, "allow s3:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newSite(t, true, func(s *Settings) { s.Entries = nil })
			calls := x.steps(astern.VerbRollback, "v1", nil)
			c.fault.About = x.clients.p.Bucket + c.fault.About
			for i, call := range calls {
				if call.Verb != c.verb {
					if _, op := x.do(calls[i : i+1]); op.Status != astern.OpDone {
						t.Fatalf("%s: %+v", call.Step, op)
					}
					continue
				}
				image, err := x.driver.Actor.Before(t.Context(), call)
				x.must(err)
				call.Image = image
				x.cloud.Inject(t, c.fault)
				op := x.driver.Actor.Start(t.Context(), call)
				if op.Status != c.status || op.Code != c.code || !strings.Contains(op.Error+" "+op.Hint, c.text) {
					t.Errorf("%+v", op)
				}
				want := astern.FoundNo
				if c.fault.LoseReply && c.verb == verbSwitch {
					want = astern.FoundYes
				}
				if f := x.driver.Actor.Find(t.Context(), call); f.Answer != want {
					t.Errorf("found: %+v", f)
				}
				call.Token += "-2"
				if op := x.driver.Actor.Start(t.Context(), call); op.Status != astern.OpDone {
					t.Errorf("once more: %+v", op)
				}
				if f := x.driver.Actor.Find(t.Context(), call); f.Answer != astern.FoundYes {
					t.Errorf("then found: %+v", f)
				}
			}
			if x.text("index.html") != "one" || x.versions("index.html") != 3 || x.versions("logo.svg") != 3 {
				t.Errorf("%q in %d versions, the logo in %d", x.text("index.html"), x.versions("index.html"), x.versions("logo.svg"))
			}
		})
	}
}

// Somebody who uploads in between is not overwritten.
func TestSomebodyInBetween(t *testing.T) {
	t.Parallel()
	x := newSite(t, true, nil)
	calls := x.steps(astern.VerbRollback, "v1", nil)
	x.cloud.Inject(t, awstest.Fault{Operation: "PutObject", About: x.clients.p.Bucket + "/index.html", Times: 1,
		Before: func() { x.upload(map[string]string{"index.html": "three"}) }})
	call, op := x.do(calls)
	if call.Verb != verbSwitch || op.Status == astern.OpDone || op.Code != astern.Conflict || x.text("index.html") != "three" {
		t.Errorf("%s: %+v, and served is %q", call.Step, op, x.text("index.html"))
	}
	if s := x.observe(); !strings.HasPrefix(s.Values["revision"].Text, unrecorded) {
		t.Errorf("what is served is called %q", s.Values["revision"])
	}
	// What nobody recorded is recorded before it is left, so the undo finds it.
	calls = x.steps(astern.VerbRollback, "v1", nil)
	if _, op := x.do(calls); op.Status != astern.OpDone || x.text("index.html") != "one" {
		t.Fatalf("%+v", op)
	}
	x.undo(calls)
	if x.text("index.html") != "three" {
		t.Errorf("after the undo %q is served", x.text("index.html"))
	}
}

// The edge forgets, and is asked until it answers the release from no older cache; an invalidation whose reply was lost is
// found by our reference and not made again.
func TestEdge(t *testing.T) {
	t.Parallel()
	var edge string
	x := newSite(t, true, func(s *Settings) {
		edge = newCloud(t).edge(t, s.Bucket, "")
		s.Distribution, s.Edge = "new", edge
	})
	calls := x.steps(astern.VerbRollback, "v1", nil)
	before := x.cloud.invalidations(x.clients.p.Distribution)
	for i, call := range calls {
		if call.Verb == verbInvalidate {
			x.cloud.mu.Lock()
			x.cloud.lose[x.clients.p.Distribution] = true
			x.cloud.mu.Unlock()
			op := x.driver.Actor.Start(t.Context(), call)
			f := x.driver.Actor.Find(t.Context(), call)
			if op.Status != astern.OpUnsure || f.Answer != astern.FoundYes {
				t.Errorf("a lost reply: %+v, found %+v", op, f)
			}
		}
		_ = i
	}
	if _, op := x.do(calls); op.Status != astern.OpDone {
		t.Fatalf("%+v", op)
	}
	if n := x.cloud.invalidations(x.clients.p.Distribution) - before; n != 1 {
		t.Errorf("%d invalidations were made", n)
	}
	forget := calls[len(calls)-2]
	forget.Deadline = time.Now().Add(-time.Second)
	if op := x.driver.Actor.Poll(t.Context(), forget, astern.Op{Handle: map[string]string{"invalidation": "INOBODYKNOWS"}}); op.Status != astern.OpUnsure || !strings.Contains(op.Error, "names no invalidation") {
		t.Errorf("an answer without an invalidation: %+v", op)
	}
	prove := calls[len(calls)-1]
	if prove.Verb != verbProve {
		t.Fatalf("the last step is %s", prove.Verb)
	}
	op := x.driver.Actor.Start(t.Context(), prove)
	if op.Status != astern.OpDone || !strings.Contains(op.Progress, "X-Cache: Hit from cloudfront, Age: 0, Cache-Control: no-cache") {
		t.Errorf("%+v", op)
	}
	prove.Args["since"] = astern.Text(time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	op = x.driver.Actor.Start(t.Context(), prove)
	if op.Status != astern.OpRunning || !strings.Contains(op.Progress, "older than the invalidation") {
		t.Errorf("an old cache: %+v", op)
	}
	// An edge that goes on serving the old page is no proof.
	x.cloud.mu.Lock()
	x.cloud.stuck[x.clients.p.Bucket] = true
	x.cloud.mu.Unlock()
	calls = x.steps(astern.VerbDeploy, "v2", nil)
	for i := range calls {
		if calls[i].Verb == verbProve {
			calls[i].Deadline = time.Now().Add(-time.Second)
		}
	}
	if call, op := x.do(calls); call.Verb != verbProve || op.Status != astern.OpFailed || !strings.Contains(op.Error, "other content than v2 has") {
		t.Errorf("%s: %+v", call.Step, op)
	}
}

// A deployment that is no upload is refused, and so is a name that is taken.
func TestAdopt(t *testing.T) {
	t.Parallel()
	x := newSite(t, true, nil)
	_, err := x.driver.Router.Route(x.c, x.observe(), astern.Target{Address: x.c.Address(), Revision: "v3"}, astern.Options{Verb: astern.VerbDeploy, Percent: 100})
	if astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), "upload the release") {
		t.Errorf("nothing was uploaded: %v", err)
	}
	x.upload(map[string]string{"index.html": "three"})
	calls := x.steps(astern.VerbDeploy, "v3", nil)
	x.upload(map[string]string{"index.html": "four"})
	if _, op := x.do(calls); op.Status != astern.OpFailed || !strings.Contains(op.Error, "changed since this was planned") {
		t.Errorf("changed meanwhile: %+v", op)
	}
	call := x.steps(astern.VerbDeploy, "v3", nil)[0]
	call.Args["revision"] = astern.Text("v2")
	if _, op := x.do([]astern.Call{call}); op.Code != astern.Conflict || !strings.Contains(op.Error, "recorded already with other objects") {
		t.Errorf("a name that is taken: %+v", op)
	}
}

// A prune that can't read what another release had deletes nothing of anybody, and says so; where the record is none it says what stays.
func TestPruneUnread(t *testing.T) {
	t.Parallel()
	x := newSite(t, true, nil)
	x.carry(astern.VerbRollback, "v1", nil)
	calls := x.steps(astern.VerbRedeploy, "v1", nil)
	at := x.clients.p.manifestKey("v2")
	x.cloud.Inject(t, awstest.Fault{Operation: "GetObject", About: x.clients.p.Bucket + "/" + at, Status: 403, Code: "AccessDenied", Message: "Access Denied", Times: 1})
	if call, op := x.do(calls); call.Verb != verbPrune || op.Status != astern.OpFailed || op.Code != astern.Denied || x.text("assets/app.2.js") == "" {
		t.Errorf("denied: %s %+v", call.Step, op)
	}
	x.write(at, "{")
	calls[len(calls)-1].Token += "-2"
	op := x.driver.Actor.Start(t.Context(), calls[len(calls)-1])
	if op.Status != astern.OpDone || !strings.Contains(op.Progress, "0 objects deleted; what only these had stays, for their records are none: v2") {
		t.Errorf("without a record: %+v", op)
	}
	route, err := x.driver.Router.Route(x.c, x.observe(), astern.Target{Address: x.c.Address(), Revision: "v1"}, astern.Options{Verb: astern.VerbRedeploy, Percent: 100})
	x.must(err)
	if notes := strings.Join(route.Notes, "\n"); !strings.Contains(notes, "what only these have is not taken away: v2 (") {
		t.Errorf("the plan says %q", notes)
	}
}
