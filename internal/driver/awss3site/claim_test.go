package awss3site

import (
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi/awstest"
)

// by is a claim of the site by an owner.
func (x *site) by(owner string, fence int64) astern.Claim {
	return astern.Claim{Fence: fence, Execution: "ex-" + owner, Address: x.c.Address(), At: time.Now().UTC().Truncate(time.Second), Owner: owner, By: "op of " + owner, Open: true}
}

// said is what the site's marker says of who acts there.
func (x *site) said() astern.Claim {
	x.Helper()
	m, _, err := x.clients.marker(x.Context())
	x.must(err)
	return m.claim()
}

func (x *site) claim(mine, seen astern.Claim, over ...string) error {
	return x.driver.Claimer.Claim(x.Context(), x.c, mine, map[string]astern.Claim{"": seen}, over)
}

// A claim is refused where another one stands, and where something else stands than was seen, and leaves what it says.
func TestClaimIsConditional(t *testing.T) {
	t.Parallel()
	x := newSite(t, true, nil)
	last := x.said()
	a, b := x.by("aa", last.Fence+1), x.by("bb", last.Fence+2)
	x.must(x.claim(a, last))
	refused := func(says string, mine, seen astern.Claim, over ...string) {
		t.Helper()
		if err := x.claim(mine, seen, over...); astern.CodeOf(err) != astern.Conflict || !strings.Contains(err.Error(), says) {
			t.Errorf("claiming says %v, not %q", err, says)
		}
		if got := x.said(); got != a {
			t.Errorf("it left %+v", got)
		}
	}
	refused("it is held by ex-aa of "+x.c.Address()+" with fence", b, a)
	refused("op of aa, of another state folder, which has not ended", b, last)
	refused("another execution was there since", b, last, "aa") // over an owner who was not seen there
	older := a
	older.Fence--
	refused("another execution was there since", older, a)
	x.must(x.driver.Claimer.Release(t.Context(), x.c, b, nil)) // somebody else's stays
	if got := x.said(); got != a {
		t.Errorf("releasing another's left %+v", got)
	}
	equal := x.by("cc", a.Fence)
	refused("another execution was there since", equal, a, "aa")
	x.must(x.claim(b, a, "aa")) // taken over
	x.must(x.driver.Claimer.Release(t.Context(), x.c, a, nil))
	if got := x.said(); got != b {
		t.Errorf("the one that was taken over has given back %+v", got)
	}
	x.must(x.driver.Claimer.Release(t.Context(), x.c, b, nil))
	if b.Open = false; x.said() != b {
		t.Errorf("released it says %+v", x.said())
	}
}

// Whoever claims between another's look and its claim is kept.
func TestClaimsAtTheSameMoment(t *testing.T) {
	t.Parallel()
	x := newSite(t, true, nil)
	last := x.said()
	x.cloud.Inject(t, awstest.Fault{Operation: "PutObject", About: x.clients.p.Bucket + "/" + x.clients.p.markerKey(), Times: 1, Before: func() {
		x.must(x.claim(x.by("aa", last.Fence+1), last))
	}})
	err := x.claim(x.by("bb", last.Fence+1), last)
	if astern.CodeOf(err) != astern.Conflict || !strings.Contains(err.Error(), "it is held by ex-aa of ") {
		t.Errorf("the second is told %v", err)
	}
	if got := x.said(); got.Owner != "aa" || !got.Open {
		t.Errorf("the second left %+v", got)
	}
}

// A claim whose reply is lost, or that the cloud can't take for a moment, is made once more; what the steps before have done is known still.
func TestClaimIsRepeated(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]awstest.Fault{
		"the reply is lost": {LoseReply: true, Times: 1},
		"slow down":         {Status: 503, Code: "SlowDown", Message: "Please reduce your request rate.", Times: 5},
		"at the same time":  {Status: 409, Code: "ConditionalRequestConflict", Message: "A conflicting conditional operation is currently in progress.", Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newSite(t, true, nil)
			m, etag, err := x.clients.marker(t.Context())
			x.must(err)
			a := x.by("aa", m.Fence+1)
			m = m.of(a)
			m.Done = "token"
			_, err = x.clients.mark(t.Context(), m, etag)
			x.must(err)
			f.Operation, f.About = "PutObject", x.clients.p.Bucket+"/"+x.clients.p.markerKey()
			x.cloud.Inject(t, f)
			a.Fence++
			x.must(x.claim(a, astern.Claim{}))
			if m, _, err = x.clients.marker(t.Context()); err != nil || m.claim() != a || m.Done != "token" {
				t.Errorf("claimed: %+v %v", m, err)
			}
			x.cloud.Inject(t, f)
			x.must(x.driver.Claimer.Release(t.Context(), x.c, a, nil))
			if a.Open = false; x.said() != a {
				t.Errorf("given back: %+v", x.said())
			}
		})
	}
}

// Where there is no bucket nothing can be done, and the steps say so.
func TestClaimWithoutABucket(t *testing.T) {
	t.Parallel()
	x := newSite(t, true, nil)
	x.c.Settings = []byte(strings.ReplaceAll(string(x.c.Settings), x.clients.p.Bucket, "no-bucket-of-"+x.clients.p.Bucket))
	x.must(x.claim(x.by("aa", 1), astern.Claim{}))
	x.must(x.driver.Claimer.Release(t.Context(), x.c, x.by("aa", 1), nil))
}

// What a program of before there were owners had under way is found after it was claimed: its last answer was lost, and another one goes on.
func TestClaimKeepsWhatIsDone(t *testing.T) {
	t.Parallel()
	x := newSite(t, true, nil)
	call := x.about(x.steps(astern.VerbRollback, "v1", nil), verbSwitch)
	if op := x.driver.Actor.Start(t.Context(), call); op.Status != astern.OpDone {
		t.Fatalf("%+v", op)
	}
	last := x.said()
	mine := x.by("aa", call.Fence+1)
	mine.Execution = call.Execution
	x.must(x.claim(mine, last))
	if f := x.driver.Actor.Find(t.Context(), call); f.Answer != astern.FoundYes {
		t.Errorf("found: %+v", f)
	}
	again := call
	again.Token, again.Fence, again.Owner = call.Token+"-2", mine.Fence, "aa"
	if op := x.driver.Actor.Start(t.Context(), again); op.Status != astern.OpDone {
		t.Errorf("once more, as the owner: %+v", op)
	}
}
