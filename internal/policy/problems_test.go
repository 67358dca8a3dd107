package policy

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
)

func TestProblems(t *testing.T) {
	parts := []string{"shop", "stock", "site"}
	if got := Problems(team(), parts); len(got) > 0 {
		t.Fatalf("a good policy: %+v", got)
	}
	if got := Problems(astern.Policy{Approvals: 3}, parts); len(got) > 0 {
		t.Fatalf("a policy that names nobody: %+v", got)
	}
	share := func(x float64) *float64 { return &x }
	week := int64(8 * 86400)
	for path, c := range map[string]struct {
		spoil func(p *astern.Policy)
		what  string
	}{
		"approvals":                    {func(p *astern.Policy) { p.Approvals = 6 }, "everybody is locked out"},
		"approvals_on_loss":            {func(p *astern.Policy) { p.ApprovalsOnLoss = 5 }, "whoever asks is locked out"},
		"losses/0":                     {func(p *astern.Policy) { p.Losses[0].Approvals = 2 }, "has only dora"},
		"components/stock":             {func(p *astern.Policy) { p.Components[0].Approvals = 2 }, "has only dora"},
		"components/nowhere":           {func(p *astern.Policy) { p.Components[0].Name = "nowhere" }, `no component "nowhere"`},
		"components/site/modes/SEV-9":  {func(p *astern.Policy) { p.Components[1].Modes = map[string]astern.Mode{"SEV-9": "ask"} }, "no severity"},
		"components/site/modes/SEV-1":  {func(p *astern.Policy) { p.Components[1].Modes = map[string]astern.Mode{"SEV-1": "auto"} }, "no mode"},
		"losses/0/approvers/0":         {func(p *astern.Policy) { p.Losses[0].Approvers = []string{"databse"} }, `no role "databse"`},
		"roles/primary/people/1":       {func(p *astern.Policy) { p.Roles[0].People[1] = "bne" }, `no person "bne"`},
		"roles/secondary/people/1":     {func(p *astern.Policy) { p.Roles[1].People = []string{"cy", "cy"} }, "twice"},
		"roles/security":               {func(p *astern.Policy) { p.Roles[3].People = nil }, "nobody has the role"},
		"people/ben/logins/0":          {func(p *astern.Policy) { p.People[1].Logins = []string{"ANA.M"} }, "both called"},
		"people/Ana":                   {func(p *astern.Policy) { p.People[4].Name = "Ana"; p.Roles[3].People[0] = "Ana" }, "both called"},
		"people/" + astern.PolicyVoice: {func(p *astern.Policy) { p.People = append(p.People, astern.Person{Name: astern.PolicyVoice}) }, "no name"},
		"break_glass/roles/0":          {func(p *astern.Policy) { p.BreakGlass.Roles[0] = "boss" }, `no role "boss"`},
		"break_glass":                  {func(p *astern.Policy) { p.BreakGlass.Roles = nil }, "names no role"},
		"freezes/0":                    {func(p *astern.Policy) { p.Freezes[0].Schedule = "0 0 30 2 *" }, "never begins"},
		"freezes/0/pierced_by":         {func(p *astern.Policy) { p.Freezes[0].PiercedBy = "SEV-9" }, "no severity"},
		"freezes/0/components/0":       {func(p *astern.Policy) { p.Freezes[0].Components = []string{"x"} }, "no component"},
		"severities/2":                 {func(p *astern.Policy) { p.Severities = DefaultScale(); p.Severities[2].AtLeast = share(0) }, "SEV-1 and SEV-2 overlap"},
		"severities/3":                 {func(p *astern.Policy) { p.Severities = DefaultScale(); p.Severities[3].Above = share(101) }, "between 0 and 100"},
		"severities/1":                 {func(p *astern.Policy) { p.Severities = DefaultScale(); p.Severities[1].AtLeast = share(1) }, "exclude each other"},
		"severities/4/name":            {func(p *astern.Policy) { p.Severities = DefaultScale(); p.Severities[4].Name = "sev-0" }, "two severities"},
		"severities/2/rounds":          {func(p *astern.Policy) { p.Severities = DefaultScale(); p.Severities[2].Rounds = 1 << 40 }, "never ends"},
		"severities/2/respond":         {func(p *astern.Policy) { p.Severities = DefaultScale(); p.Severities[2].RespondSeconds = &week }, "7 days"},
		"severities/2/call": {func(p *astern.Policy) {
			calls(p, astern.Rung{Role: "primary", WaitSeconds: 86400})
			p.Severities[2].Rounds = 8
		}, "never ends"},
		"severities/2/call/0":      {func(p *astern.Policy) { calls(p, astern.Rung{Role: "primary"}) }, "no time to answer"},
		"severities/2/call/0/role": {func(p *astern.Policy) { calls(p, astern.Rung{Role: "boss", WaitSeconds: 60}) }, "no role"},
		"severities/0/unanswered":  {func(p *astern.Policy) { p.Severities = DefaultScale(); p.Severities[0].Unanswered = "act" }, "nobody is called"},
		"severities/2/approvers/1": {func(p *astern.Policy) { p.Severities = DefaultScale(); p.Severities[2].Approvers[1] = "primary" }, "twice"},
		"severities/2/call/0/components/0": {func(p *astern.Policy) {
			calls(p, astern.Rung{Role: "primary", WaitSeconds: 60, Components: []string{"y"}})
		}, "no component"},
	} {
		p := team()
		c.spoil(&p)
		found := false
		for _, x := range Problems(p, parts) {
			found = found || x.Path == path && strings.Contains(x.What, c.what)
		}
		if !found {
			t.Errorf("%s: %+v", path, Problems(p, parts))
		}
	}
}

// calls gives SEV-2 that one rung.
func calls(p *astern.Policy, r astern.Rung) {
	p.Severities = DefaultScale()
	p.Severities[2].Call = []astern.Rung{r}
}

// TestApprovalFile reads what it wrote, and refuses it for every other plan, time and form.
func TestApprovalFile(t *testing.T) {
	plan := astern.Plan{System: "webshop", CreatedAt: sunday, ExpiresAt: sunday.Add(24 * time.Hour), Moves: []astern.Move{{Address: "production/shop"}}}
	hash, other := strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	p := team()
	p.ApprovalSeconds = 3600
	now := sunday.Add(10 * time.Minute)
	a, err := NewApproval(p, plan, hash, "cy", "approve", "read it", now)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ReadApproval(a.Document, plan, hash, now); err != nil || got.By != "cy" || !got.Until.Equal(now.Add(time.Hour)) {
		t.Fatalf("%+v, %v", got, err)
	}
	elsewhere, staging, younger, shorter := plan, plan, plan, plan
	elsewhere.System, staging.Moves, younger.CreatedAt, shorter.ExpiresAt = "x", []astern.Move{{Address: "staging/shop"}}, now.Add(time.Hour), now.Add(time.Minute)
	edit := func(old, with string) []byte {
		out := bytes.Replace(a.Document, []byte(old), []byte(with), 1)
		if bytes.Equal(out, a.Document) {
			t.Fatalf("nothing to edit: %s in %s", old, a.Document)
		}
		return out
	}
	for name, c := range map[string]struct {
		doc  []byte
		plan astern.Plan
		hash string
		now  time.Time
		code astern.Code
		what string
	}{
		"another plan":        {a.Document, plan, other, now, astern.Refused, "another plan"},
		"another system":      {a.Document, elsewhere, hash, now, astern.Refused, "for system webshop"},
		"another environment": {a.Document, staging, hash, now, astern.Refused, "for environment production"},
		"older than the plan": {a.Document, younger, hash, now.Add(time.Minute), astern.Refused, "before the plan was made"},
		"longer than it":      {a.Document, shorter, hash, now, astern.Refused, "longer than the plan"},
		"run out":             {a.Document, plan, hash, now.Add(time.Hour), astern.Refused, "counted until"},
		"from the future":     {a.Document, plan, hash, now.Add(-6 * time.Minute), astern.Refused, "still to come"},
		"edited spaces":       {append([]byte(" "), a.Document...), plan, hash, now, astern.Refused, "edited"},
		"unknown key":         {edit(`{"at"`, `{"a":1,"at"`), plan, hash, now, astern.Invalid, "no approval"},
		"twice a key":         {edit(`"by":"cy"`, `"by":"ana","by":"cy"`), plan, hash, now, astern.Refused, "edited"},
		"another version":     {edit(`"version":1`, `"version":2`), plan, hash, now, astern.Refused, "another astern"},
		"the policy's voice":  {edit(`"by":"cy"`, `"by":"`+astern.PolicyVoice+`"`), plan, hash, now, astern.Refused, "says"},
		"another verdict":     {edit(`"verdict":"approve"`, `"verdict":"maybe"`), plan, hash, now, astern.Refused, "maybe"},
		"a plan":              {[]byte(`{"kind":"Plan"}`), plan, hash, now, astern.Invalid, "no approval"},
		"nothing":             {nil, plan, hash, now, astern.Invalid, "no approval"},
		"huge":                {bytes.Repeat([]byte("x"), MaxApproval+1), plan, hash, now, astern.Invalid, "more than"},
	} {
		if _, err := ReadApproval(c.doc, c.plan, c.hash, c.now); astern.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.what) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzReadApproval: no file makes it fall over.
func FuzzReadApproval(f *testing.F) {
	f.Add([]byte(`{"at":"2026-11-22T02:10:00Z","by":"cy","environments":["production"],"kind":"Approval","plan":"ab","reason":"","system":"webshop","until":"2026-11-22T03:10:00Z","verdict":"approve","version":1}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		plan := astern.Plan{System: "webshop", Moves: []astern.Move{{Address: "production/shop"}}}
		if a, err := ReadApproval(doc, plan, "ab", sunday); err == nil && (a.By == "" || !bytes.Equal(a.Document, doc)) {
			t.Errorf("%+v", a)
		}
	})
}
