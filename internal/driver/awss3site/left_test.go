package awss3site

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/astern-dev/astern"
)

// undo takes the calls back, as an undo plan does: the last comes first.
func (x *site) undo(calls []astern.Call, before ...func(astern.Call)) {
	x.Helper()
	for i := len(calls) - 1; i >= 0; i-- {
		steps, err := x.driver.Router.Undo(x.c, calls[i], nil)
		x.must(err)
		for _, s := range steps {
			call := calls[i]
			call.Step, call.Verb, call.Args, call.Token, call.Image = s.ID, s.Verb, s.Args, call.Token+"-undo-"+s.ID, nil
			for _, f := range before {
				f(call)
			}
			if _, op := x.do([]astern.Call{call}); op.Status != astern.OpDone {
				x.Fatalf("undoing %s: %+v", calls[i].Step, op)
			}
		}
	}
}

// A release that lacks an entry point, and a bucket with what no record can hold, are left all the same.
func TestLeavesWhatCanNotBeRecorded(t *testing.T) {
	t.Parallel()
	x := newSite(t, true, nil)
	x.delete("404.html", "")
	for key, class := range map[string]s3types.StorageClass{"backups/db.gz": s3types.StorageClassDeepArchive, "assets/icon\r": s3types.StorageClassStandard} {
		_, err := x.clients.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &x.clients.p.Bucket, Key: aws.String(key), Body: strings.NewReader("x"), StorageClass: class})
		x.must(err)
	}
	x.upload(map[string]string{"index.html": "bad"})
	s := x.observe()
	route, err := x.driver.Router.Route(x.c, s, astern.Target{Address: x.c.Address(), Revision: "v2"}, astern.Options{Verb: astern.VerbRollback, Percent: 100})
	x.must(err)
	if notes := strings.Join(route.Notes, "\n"); !strings.Contains(notes, "has no 404.html: an undo puts back what there is") {
		t.Errorf("the notes: %s", notes)
	}
	calls := x.steps(astern.VerbRollback, "v2", nil)
	op := x.driver.Actor.Start(t.Context(), calls[0])
	for _, want := range []string{"is recorded with 4 objects", "1 that are archived: backups/db.gz", `1 that have control characters in their keys: "assets/icon`} {
		if calls[0].Verb != verbAdopt || op.Status != astern.OpDone || !strings.Contains(op.Progress, want) {
			t.Errorf("%s: %+v, want %s", calls[0].Step, op, want)
		}
	}
	if call, op := x.do(calls[1:]); op.Status != astern.OpDone || x.text("index.html") != "two" || x.text("404.html") != "not found 2" {
		t.Fatalf("%s: %+v", call.Step, op)
	}
	x.undo(calls[1:])
	if x.text("index.html") != "bad" {
		t.Errorf("after the undo %q is served", x.text("index.html"))
	}
	if call, op := x.do(x.steps(astern.VerbRollback, "v1", nil)); op.Status != astern.OpDone || x.text("404.html") != "not found 1" {
		t.Errorf("%s: %+v", call.Step, op)
	}
}
