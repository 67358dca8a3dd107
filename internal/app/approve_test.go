package app_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/policy"
	"github.com/astern-dev/astern/internal/signature"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// desk is a state folder with a plan that needs two signed approvals, of a team whose keys are known.
type desk struct {
	t     *testing.T
	app   *app.App
	store *sqlite.Store
	plan  astern.Plan
	doc   []byte
	hash  string
	now   time.Time
	keys  map[string]ssh.Signer
	file  string // allowed signers
}

func newDesk(t *testing.T, people ...string) *desk {
	t.Helper()
	d := &desk{t: t, keys: map[string]ssh.Signer{}}
	folder := t.TempDir()
	d.file = filepath.Join(folder, "signers")
	for _, who := range people {
		d.keys[who] = key(t)
	}
	doc, err := os.ReadFile("../planfile/testdata/plans/ecs.json")
	if err != nil {
		t.Fatal(err)
	}
	if d.plan, _, err = planfile.Decode(doc); err != nil {
		t.Fatal(err)
	}
	d.plan.Approvals, d.plan.Asked.By, d.plan.Intent.Severity = 2, "asker", ""
	d.seal()
	d.now = d.plan.CreatedAt.Add(time.Minute)
	if d.store, err = sqlite.Open(t.Context(), filepath.Join(folder, ".astern")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.store.Close() })
	e := astern.Environment{Name: "production", Policy: astern.Policy{Approvals: 2, ApprovalsSigned: true, ApprovalSeconds: 3600,
		People: []astern.Person{{Name: "asker"}}}}
	for _, who := range people {
		if who != "asker" {
			e.Policy.People = append(e.Policy.People, astern.Person{Name: who})
		}
	}
	for _, address := range d.plan.Addresses() {
		_, name, _ := astern.SplitAddress(address)
		e.Components = append(e.Components, astern.Component{Environment: e.Name, Name: name})
	}
	d.app = &app.App{Store: d.store, Now: func() time.Time { return d.now }, By: "somebody",
		System: astern.System{Name: d.plan.System, Folder: folder, AllowedSigners: "signers", Environments: []astern.Environment{e}}}
	d.signers(d.lines()...)
	return d
}

func key(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func public(k ssh.Signer) string {
	return string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(k.PublicKey())))
}

func (d *desk) seal() {
	sealed, err := planfile.Seal(d.plan)
	if err == nil {
		d.plan = sealed
		d.doc, d.hash, err = planfile.Encode(sealed)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) lines() (out []string) {
	for who, k := range d.keys {
		out = append(out, who+" "+public(k))
	}
	return out
}

func (d *desk) signers(lines ...string) {
	if err := os.WriteFile(d.file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// sign makes an approval file as somebody elsewhere does.
func (d *desk) sign(as string, with ssh.Signer, at time.Time) app.CarriedApproval {
	d.t.Helper()
	word, err := policy.NewApproval(d.app.System.Environments[0].Policy, d.plan, d.hash, as, "approve", "read it", at)
	if err == nil {
		word.Signature, err = signature.Sign(with, signature.ApprovalNamespace, word.Document)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return app.CarriedApproval{File: as + ".json", Document: word.Document, Signature: word.Signature}
}

// applied tries to apply the plan with what was carried here. What comes after the policy (the world) is not there.
func (d *desk) applied(carried ...app.CarriedApproval) error {
	a := *d.app
	if err := a.Receive(d.t.Context(), d.doc, carried); err != nil {
		return err
	}
	_, _, err := a.Apply(d.t.Context(), d.doc, app.Vouch{Trust: d.hash})
	return err
}

// TestCarriedApprovals: two people are two people, by their keys, and nothing else counts.
func TestCarriedApprovals(t *testing.T) {
	d := newDesk(t, "ana", "ben", "cy", "asker")
	ana, ben := d.sign("ana", d.keys["ana"], d.now), d.sign("ben", d.keys["ben"], d.now)
	if err := d.applied(ana); astern.CodeOf(err) != astern.Waiting || !strings.Contains(err.Error(), "needs 2 approvals and has 1") {
		t.Errorf("one approval: %v", err)
	}
	if err := d.applied(ana, ben); err != nil && policyWord(err) {
		t.Errorf("two approvals: %v", err)
	}
	older := newDesk(t, "ana")
	older.keys["ana"], older.plan.ID = d.keys["ana"], "another"
	older.seal()
	raw := func(c app.CarriedApproval, change func(*app.CarriedApproval)) app.CarriedApproval {
		change(&c)
		return c
	}
	namespace := d.sign("ana", d.keys["ana"], d.now)
	var err error
	if namespace.Signature, err = signature.Sign(d.keys["ana"], signature.PlanNamespace, namespace.Document); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		carried []app.CarriedApproval
		what    string
		code    astern.Code
	}{
		"forged: another's name":     {[]app.CarriedApproval{d.sign("ben", d.keys["ana"], d.now)}, "says that it is of ben, and it is signed by ana", astern.Refused},
		"forged: an unknown key":     {[]app.CarriedApproval{d.sign("ana", key(t), d.now)}, "not among the allowed signers", astern.Refused},
		"forged: another document":   {[]app.CarriedApproval{raw(ana, func(c *app.CarriedApproval) { c.Document = ben.Document })}, "not one of these bytes", astern.Refused},
		"unsigned":                   {[]app.CarriedApproval{raw(ana, func(c *app.CarriedApproval) { c.Signature = nil })}, "is not signed", astern.Refused},
		"replayed from another plan": {[]app.CarriedApproval{older.sign("ana", d.keys["ana"], d.now)}, "is of another plan", astern.Refused},
		"signed as something else":   {[]app.CarriedApproval{namespace}, `made for "astern-plan@v1"`, astern.Refused},
		"older than the plan":        {[]app.CarriedApproval{d.sign("ana", d.keys["ana"], d.now.Add(-time.Hour))}, "before the plan was made", astern.Refused},
		"one person twice":           {[]app.CarriedApproval{ana, d.sign("ana", d.keys["ana"], d.now.Add(-time.Second))}, "one person counts once", astern.Refused},
		"the same file twice":        {[]app.CarriedApproval{ana, ana}, "needs 2 approvals and has 1", astern.Waiting},
		"the one who asked":          {[]app.CarriedApproval{ana, d.sign("asker", d.keys["asker"], d.now)}, "needs 2 approvals and has 1", astern.Waiting},
	} {
		if err := d.applied(c.carried...); astern.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.what) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		line string
		what string
	}{
		"expired key":     {`ana valid-before="20200101Z" ` + public(d.keys["ana"]), "has expired"},
		"key not yet":     {`ana valid-after="20990101Z" ` + public(d.keys["ana"]), "is valid from"},
		"two people":      {"ana,ben " + public(d.keys["ana"]), "not one person"},
		"anybody":         {"* " + public(d.keys["ana"]), "not one person"},
		"another purpose": {`ana namespaces="git" ` + public(d.keys["ana"]), `may sign for "git" only`},
		"nobody":          {"", "not among the allowed signers"},
	} {
		d.signers(c.line)
		if err := d.applied(ana); astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), c.what) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d.signers(d.lines()...)
	d.app.System.RevokedSigners = "revoked"
	if err := os.WriteFile(filepath.Join(d.app.System.Folder, "revoked"), []byte(public(d.keys["ana"])), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.applied(ana); astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), "is revoked") {
		t.Errorf("revoked: %v", err)
	}
}

// policyWord reports whether an error is the policy's.
func policyWord(err error) bool {
	return astern.CodeOf(err) == astern.Waiting || strings.Contains(err.Error(), "approv")
}

// TestForgedStore: what somebody wrote into the state folder does not count without a signature, and what was signed there is
// judged anew: a key revoked since, a word that ran out.
func TestForgedStore(t *testing.T) {
	d, ctx := newDesk(t, "ana", "ben"), t.Context()
	if err := d.store.PutPlan(ctx, d.hash, d.doc, d.now); err != nil {
		t.Fatal(err)
	}
	ana := d.sign("ana", d.keys["ana"], d.now)
	for _, by := range []string{"ana", "ben", "cy", astern.PolicyVoice} {
		if err := d.store.AddApproval(ctx, d.hash, by, "approve", "", d.now); err != nil {
			t.Fatal(err)
		}
		if err := d.store.AddSigned(ctx, astern.Approval{PlanHash: d.hash, By: by, Verdict: "approve", At: d.now, Until: d.now.Add(time.Hour),
			Document: bytes.ReplaceAll(ana.Document, []byte(`"by":"ana"`), fmt.Appendf(nil, `"by":%q`, by)), Signature: ana.Signature}); err != nil {
			t.Fatal(err)
		}
	}
	count := func() int {
		j, err := d.app.Judge(ctx, d.plan, d.hash, d.now)
		if err != nil {
			t.Fatal(err)
		}
		return len(j.Counted)
	}
	if n := count(); n != 1 { // ana's own
		t.Errorf("%d count", n)
	}
	if err := d.applied(); astern.CodeOf(err) != astern.Waiting {
		t.Errorf("applied: %v", err)
	}
	d.signers("ben " + public(d.keys["ben"]))
	if n := count(); n != 0 {
		t.Errorf("%d count although the key is gone", n)
	}
	d.signers(d.lines()...)
	d.now = d.now.Add(time.Hour)
	if n := count(); n != 0 {
		t.Errorf("%d count after their time", n)
	}
}

// TestRaceOfApprovals: a hundred approvals at once by ten people, one of whom asked, leave nine that count.
func TestRaceOfApprovals(t *testing.T) {
	people := []string{"asker"}
	for i := range 9 {
		people = append(people, fmt.Sprintf("person-%d", i))
	}
	d, ctx := newDesk(t, people...), t.Context()
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			a := *d.app
			who := people[i%len(people)]
			at := d.now.Add(time.Duration(i) * time.Second)
			a.Now = func() time.Time { return at }
			_, err := a.ApproveSigned(ctx, d.doc, "approve", "", app.Vouch{Trust: d.hash}, d.keys[who])
			if code := astern.CodeOf(err); err != nil && !(code == astern.Conflict && who != "asker") && !(code == astern.Refused && who == "asker") {
				t.Errorf("%s: %v", who, err)
			}
		})
	}
	all.Wait()
	d.now = d.now.Add(2 * time.Minute)
	j, err := d.app.Judge(ctx, d.plan, d.hash, d.now)
	if slices.Sort(j.Counted); err != nil || !j.Met || !slices.Equal(j.Counted, people[1:]) {
		t.Errorf("counted %v: %v", j.Counted, err)
	}
}

// TestBreakGlass: it needs the role, goes over approvals and freezes and over no rejection, and stays open until somebody else
// has looked at it.
func TestBreakGlass(t *testing.T) {
	d, ctx := newDesk(t, "ana", "ben"), t.Context()
	p := &d.app.System.Environments[0].Policy
	p.Roles = []astern.Role{{Name: "primary", People: []string{"ana"}}}
	p.Freezes = []astern.Freeze{{Name: "always", Schedule: "0 0 * * *", Zone: "UTC", LastsSeconds: 86400}}
	if err := d.applied(); astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), "freeze always holds until") {
		t.Errorf("frozen: %v", err)
	}
	d.app.BreakGlass, d.app.By = "nobody answers", "ana"
	if err := d.applied(); astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), "knows no break-glass") {
		t.Errorf("without break_glass: %v", err)
	}
	p.BreakGlass = &astern.BreakGlass{Roles: []string{"primary"}, ReviewSeconds: 60}
	d.app.By = "ben"
	if err := d.applied(); astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), "ben may not break the glass") {
		t.Errorf("ben: %v", err)
	}
	d.app.By = "ana"
	if err := d.applied(); err != nil && policyWord(err) {
		t.Errorf("ana: %v", err)
	}
	if err := d.store.PutPlan(ctx, d.hash, d.doc, d.now); err != nil {
		t.Fatal(err)
	}
	if err := d.store.AddOverride(ctx, astern.Override{PlanHash: d.hash, By: "ana", Reason: "nobody answers", At: d.now, ReviewDue: d.now.Add(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.app.Review(ctx, d.hash[:12], "fine"); astern.CodeOf(err) != astern.Refused {
		t.Errorf("ana reviews herself: %v", err)
	}
	d.app.By = "ben"
	if _, err := d.app.Review(ctx, d.hash[:12], "fine"); err != nil {
		t.Error(err)
	}
	if err := d.store.AddApproval(ctx, d.hash, "ben", "reject", "no", d.now); err != nil {
		t.Fatal(err)
	}
	d.app.By = "ana"
	if err := d.applied(); astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), "ben rejected the plan") {
		t.Errorf("over a rejection: %v", err)
	}
}

// TestConsent: the policy's own word carries an automatic action, within its limits and never with loss.
func TestConsent(t *testing.T) {
	d, ctx := newDesk(t, "ana"), t.Context()
	d.plan.Intent.Severity, d.plan.Approvals, d.plan.Loss = "SEV-1", 1, []astern.Loss{}
	d.seal()
	p := app.Planned{Plan: d.plan, Hash: d.hash, Doc: d.doc}
	if a, err := d.app.Consent(ctx, p, false); err != nil || a.May || !strings.Contains(a.Because, "the mode is ask") {
		t.Errorf("asked: %+v, %v", a, err)
	}
	d.app.System.Environments[0].Policy.Automatic = astern.Automatic{Mode: astern.ModeAutomatic, CoolDownSeconds: 600}
	if a, err := d.app.Consent(ctx, p, false); err != nil || !a.May {
		t.Errorf("automatic: %+v, %v", a, err)
	}
	if err := d.applied(); err != nil && policyWord(err) {
		t.Errorf("applied: %v", err)
	}
	if _, _, err := d.store.CreateExecution(ctx, astern.Execution{PlanHash: d.hash, CreatedAt: d.now, Addresses: d.plan.Addresses()}, 0); err != nil {
		t.Fatal(err)
	}
	if a, err := d.app.Consent(ctx, p, false); err != nil || a.May || !strings.Contains(a.Because, "cool-down") {
		t.Errorf("again: %+v, %v", a, err)
	}
}

// TestCheckPolicy finds people who are one, and demands that nobody with a key can fulfil.
func TestCheckPolicy(t *testing.T) {
	d := newDesk(t, "ana", "ben", "cy")
	if err := d.app.CheckPolicy(); err != nil {
		t.Fatal(err)
	}
	for what, lines := range map[string][]string{
		"give one key to two people, ana and ben": {"ana " + public(d.keys["ana"]), "ben " + public(d.keys["ana"]), "cy " + public(d.keys["cy"])},
		"differ in upper and lower case only":     {"ana " + public(d.keys["ana"]), "Ana " + public(d.keys["ben"]), "cy " + public(d.keys["cy"])},
		"one line for each person":                {"ana,ben " + public(d.keys["ana"])},
		"everybody is locked out":                 {"ana " + public(d.keys["ana"]), `ben valid-before="20200101Z" ` + public(d.keys["ben"])},
	} {
		d.signers(lines...)
		if err := d.app.CheckPolicy(); astern.CodeOf(err) != astern.Invalid || !strings.Contains(fmt.Sprint(err), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
