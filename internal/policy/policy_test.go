package policy

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/astern-dev/astern"
)

var update = flag.Bool("update", false, "write the golden files")

var sunday = time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC) // 03:00 in Berlin

// team is a policy with everything in it.
func team() astern.Policy {
	return astern.Policy{Approvals: 1, ApprovalsOnLoss: 2,
		People: []astern.Person{{Name: "ana", Contact: "+49 1", Logins: []string{"ana.m"}}, {Name: "ben"}, {Name: "cy"}, {Name: "dora"}, {Name: "eve"}},
		Roles: []astern.Role{{Name: "primary", Contact: "pager", People: []string{"ana", "ben"}}, {Name: "secondary", People: []string{"cy"}},
			{Name: "database", People: []string{"dora"}}, {Name: "security", People: []string{"eve"}}},
		Losses:     []astern.LossRule{{Unit: "rows", Above: 3, Demand: astern.Demand{Approvals: 1, Approvers: []string{"database"}}}},
		Components: []astern.ComponentRule{{Name: "stock", Demand: astern.Demand{Approvals: 1, Approvers: []string{"database"}}}, {Name: "site", Mode: astern.ModeShadow}},
		Freezes: []astern.Freeze{{Name: "weekend", Schedule: "0 18 * * 5", Zone: "Europe/Berlin", LastsSeconds: 62 * 3600, PiercedBy: "SEV-2",
			Because: "nobody is in the office"}},
		BreakGlass: &astern.BreakGlass{Roles: []string{"primary", "security"}},
	}
}

func lost(rows int64) []astern.Loss { return []astern.Loss{{Unit: "rows", Count: rows}} }

func TestHarm(t *testing.T) {
	for percent, want := range map[float64]string{-1: "", 0: "SEV-0", 0.01: "SEV-1", 4.99: "SEV-1", 5: "SEV-2", 25: "SEV-2", 25.1: "SEV-3", 99.9: "SEV-3", 100: "SEV-4"} {
		got, _ := Harm(astern.Policy{}, percent)
		if got.Name != want {
			t.Errorf("%v %% is %q, want %q", percent, got.Name, want)
		}
	}
	zero := 0.0
	if _, ok := Harm(astern.Policy{}, zero/zero); ok {
		t.Error("what is no number has a severity")
	}
	p := team()
	if w := Worse(p, "SEV-3", "SEV-1"); w != "SEV-3" {
		t.Errorf("worse is %s", w)
	}
	if _, _, err := Severity(p, "sev-9"); astern.CodeOf(err) != astern.Invalid || !strings.Contains(astern.HintOf(err), "SEV-0, SEV-1") {
		t.Errorf("%v, %s", err, astern.HintOf(err))
	}
}

// TestDefaultScaleFreesNobody: naming a severity never asks for fewer people than the policy, where no role is declared.
func TestDefaultScaleFreesNobody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := astern.Policy{Approvals: rapid.IntRange(0, 4).Draw(t, "approvals")}
		s := rapid.SampledFrom(DefaultScale()).Draw(t, "severity")
		d, err := Demands(p, Matter{Severity: s.Name})
		if n := Others(p, d, "ana"); err != nil || n < p.Approvals {
			t.Fatalf("%s asks for %d of %d: %v", s.Name, n, p.Approvals, err)
		}
	})
}

// says is a word on a plan.
func says(by, verdict string, signed bool) Word {
	return Word{Approval: astern.Approval{By: by, Verdict: verdict, At: sunday}, Signed: signed}
}

func TestJudge(t *testing.T) {
	signed, short := team(), team()
	signed.ApprovalsSigned, short.ApprovalSeconds = true, 60
	acts := team()
	acts.Automatic.Mode = astern.ModeAutomatic
	ok := func(by ...string) (out []Word) {
		for _, b := range by {
			out = append(out, says(b, "approve", true))
		}
		return out
	}
	for name, c := range map[string]struct {
		policy  astern.Policy
		matter  Matter
		words   []Word
		met     bool
		missing string
	}{
		"nobody":                              {team(), Matter{By: "ben"}, nil, false, "1 person"},
		"another":                             {team(), Matter{By: "ben"}, ok("cy"), true, ""},
		"who asked":                           {team(), Matter{By: "ben"}, ok("ben"), false, "has 0"},
		"who asked, by another login":         {team(), Matter{By: "ana.m"}, ok("ana"), false, "has 0"},
		"on call, alone":                      {team(), Matter{By: "ben", Severity: "SEV-2"}, nil, true, ""},
		"not on call":                         {team(), Matter{By: "eve", Severity: "SEV-2"}, nil, false, "primary, secondary"},
		"not on call, approved by on call":    {team(), Matter{By: "eve", Severity: "SEV-2"}, ok("cy"), true, ""},
		"approved by the wrong role":          {team(), Matter{By: "eve", Severity: "SEV-2"}, ok("dora"), false, "primary, secondary"},
		"one person twice":                    {team(), Matter{By: "ben", Severity: "SEV-0"}, ok("ana", "ana.m", "ana"), false, "has 1"},
		"two people":                          {team(), Matter{By: "ben", Severity: "SEV-0"}, ok("ana", "cy"), true, ""},
		"loss without the database":           {team(), Matter{By: "ben", Severity: "SEV-2", Loss: lost(4)}, ok("ana", "cy"), false, "database"},
		"loss with the database":              {team(), Matter{By: "ben", Severity: "SEV-2", Loss: lost(4)}, ok("ana", "dora"), true, ""},
		"little loss":                         {team(), Matter{By: "ben", Severity: "SEV-2", Loss: lost(3)}, ok("ana", "cy"), true, ""},
		"uncounted loss":                      {team(), Matter{By: "ben", Severity: "SEV-2", Loss: []astern.Loss{{Unit: "rows", Unknown: "gone"}}}, ok("ana", "cy"), false, "uncounted rows"},
		"component":                           {team(), Matter{By: "ben", Components: []string{"stock"}}, ok("ana"), false, "component stock"},
		"component, its people":               {team(), Matter{By: "ben", Components: []string{"stock"}}, ok("dora"), true, ""},
		"rejected":                            {team(), Matter{By: "ben"}, append(ok("cy"), says("dora", "reject", false)), false, ""},
		"expired":                             {short, Matter{By: "ben"}, []Word{{Approval: astern.Approval{By: "cy", Verdict: "approve", At: sunday.Add(-time.Minute)}}}, false, "has 0"},
		"unsigned where signed counts":        {signed, Matter{By: "ben"}, []Word{says("cy", "approve", false)}, false, "has 0"},
		"signed":                              {signed, Matter{By: "ben"}, ok("cy"), true, ""},
		"signed badly":                        {signed, Matter{By: "ben"}, []Word{{Approval: astern.Approval{By: "cy", Verdict: "approve"}, Signed: true, Bad: "revoked"}}, false, "has 0"},
		"unsigned rejection where signed":     {signed, Matter{By: "ben"}, append(ok("cy"), says("dora", "reject", false)), false, ""},
		"stranger asks, one could be his":     {signed, Matter{By: "root"}, ok("cy"), false, "does not know who root is"},
		"stranger asks, one more":             {signed, Matter{By: "root"}, ok("cy", "ana"), true, ""},
		"on call alone must sign":             {signed, Matter{By: "ben", Severity: "SEV-2"}, nil, false, "has 0"},
		"on call alone, signed":               {signed, Matter{By: "ben", Severity: "SEV-2"}, ok("ben"), true, ""},
		"the policy itself":                   {acts, Matter{By: "root", Severity: "SEV-1"}, []Word{says(astern.PolicyVoice, "approve", false)}, true, ""},
		"the policy itself, no longer":        {team(), Matter{By: "root", Severity: "SEV-1"}, []Word{says(astern.PolicyVoice, "approve", false)}, false, "has 0"},
		"the policy itself never loses data":  {acts, Matter{By: "root", Severity: "SEV-1", Loss: lost(1)}, []Word{says(astern.PolicyVoice, "approve", false)}, false, "data is lost"},
		"the policy itself, for no incident":  {acts, Matter{By: "root"}, []Word{says(astern.PolicyVoice, "approve", false)}, false, "has 0"},
		"the policy itself and the database":  {acts, Matter{By: "root", Severity: "SEV-1", Components: []string{"stock"}}, []Word{says(astern.PolicyVoice, "approve", false)}, false, "stock"},
		"the policy itself, shadow component": {acts, Matter{By: "root", Severity: "SEV-1", Components: []string{"site"}}, []Word{says(astern.PolicyVoice, "approve", false)}, false, "has 0"},
	} {
		j, err := Judge(c.policy, c.matter, c.words, sunday)
		if err != nil || j.Met != c.met || c.missing != "" && !strings.Contains(strings.Join(j.Missing, "\n"), c.missing) {
			t.Errorf("%s: met %v, missing %q, counted %v, ignored %v, %v", name, j.Met, j.Missing, j.Counted, j.Ignored, err)
		}
	}
	if _, err := Judge(team(), Matter{Severity: "SEV-7"}, nil, sunday); astern.CodeOf(err) != astern.Invalid {
		t.Errorf("a severity that is not there: %v", err)
	}
}

// TestJudgeCountsPeople: whatever words there are, in whatever order and however often, the same people count, and no more
// than there are; a word more never takes anything away.
func TestJudgeCountsPeople(t *testing.T) {
	names := []string{"ana", "ana.m", "ben", "cy", "dora", "eve", "stranger"}
	rapid.Check(t, func(t *rapid.T) {
		p := team()
		p.ApprovalsSigned = rapid.Bool().Draw(t, "signed")
		m := Matter{By: rapid.SampledFrom(names).Draw(t, "asks"), Severity: rapid.SampledFrom([]string{"", "SEV-0", "SEV-1", "SEV-3"}).Draw(t, "severity")}
		words := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Word {
			return says(rapid.SampledFrom(names).Draw(t, "by"), "approve", rapid.Bool().Draw(t, "is signed"))
		}), 0, 12).Draw(t, "words")
		j, err := Judge(p, m, words, sunday)
		if err != nil {
			t.Fatal(err)
		}
		people := map[string]bool{}
		for _, w := range words {
			if w.Signed || !p.ApprovalsSigned {
				people[p.Called(w.By)] = true
			}
		}
		if len(j.Counted) != len(people) {
			t.Fatalf("counted %v of %v", j.Counted, words)
		}
		turned := slices.Clone(words)
		slices.Reverse(turned)
		again, err := Judge(p, m, append(turned, words...), sunday)
		if err != nil || again.Met != j.Met {
			t.Fatalf("in another order it is %v: %v", again, err)
		}
	})
}

func TestMay(t *testing.T) {
	for _, c := range []struct {
		matter Matter
		who    string
		why    string
	}{
		{Matter{By: "ben"}, "ana", ""},
		{Matter{By: "ben"}, "ben", "asked for the plan and can't approve it"},
		{Matter{By: "ana.m"}, "ana", "asked for the plan and can't approve it"},
		{Matter{By: "ben", Severity: "SEV-3"}, "ben", ""},
		{Matter{By: "ben", Severity: "SEV-3"}, "eve", "has no role"},
		{Matter{By: "ben", Severity: "SEV-3", Components: []string{"stock"}}, "dora", ""},
	} {
		err := May(team(), c.matter, c.who)
		if (err == nil) != (c.why == "") || err != nil && (!strings.Contains(err.Error(), c.why) || astern.HintOf(err) == "") {
			t.Errorf("%+v by %s: %v", c.matter, c.who, err)
		}
	}
}

func TestAlone(t *testing.T) {
	p := team()
	p.Automatic = astern.Automatic{Mode: astern.ModeAutomatic, CoolDownSeconds: 1800, Daily: 2}
	monday := sunday.Add(36 * time.Hour)
	ago := func(d time.Duration, c string) Acted { return Acted{At: monday.Add(-d), Components: []string{c}} }
	shop := Matter{Severity: "SEV-2", Components: []string{"shop"}}
	ask := team()
	for i, s := range DefaultScale() {
		ask.Severities = append(ask.Severities, s)
		ask.Severities[i].Unanswered = astern.UnansweredAct
	}
	for name, c := range map[string]struct {
		policy     astern.Policy
		matter     Matter
		past       []Acted
		unanswered bool
		at         time.Time
		may        bool
		because    string
	}{
		"yes":                     {p, shop, nil, false, monday, true, "automatic"},
		"asked":                   {team(), shop, nil, false, monday, false, "the mode is ask"},
		"shadow":                  {p, Matter{Severity: "SEV-2", Components: []string{"shop", "site"}}, nil, false, monday, false, "the mode is shadow (component site)"},
		"data":                    {p, Matter{Severity: "SEV-2", Components: []string{"shop"}, Loss: lost(1)}, nil, false, monday, false, "loses data"},
		"needs a person":          {p, Matter{Severity: "SEV-2", Components: []string{"stock"}}, nil, false, monday, false, "component stock"},
		"frozen":                  {p, Matter{Severity: "SEV-1", Components: []string{"shop"}}, nil, false, sunday, false, "freeze weekend"},
		"pierced":                 {p, shop, nil, false, sunday, true, ""},
		"cool-down":               {p, shop, []Acted{ago(29*time.Minute, "shop")}, false, monday, false, "cool-down"},
		"cool-down of another":    {p, shop, []Acted{ago(29*time.Minute, "stock")}, false, monday, true, ""},
		"cool-down over":          {p, shop, []Acted{ago(30*time.Minute, "shop")}, false, monday, true, ""},
		"clock set back":          {p, shop, []Acted{ago(-48*time.Hour, "shop")}, false, monday, false, "cool-down"},
		"daily limit":             {p, shop, []Acted{ago(23*time.Hour, "a"), ago(5*time.Hour, "b")}, false, monday, false, "daily limit"},
		"daily limit, a day on":   {p, shop, []Acted{ago(24*time.Hour, "a"), ago(5*time.Hour, "b")}, false, monday, true, ""},
		"nobody left":             {ask, shop, nil, true, monday, true, ""},
		"nobody left, with loss":  {ask, Matter{Severity: "SEV-2", Loss: lost(1)}, nil, true, monday, false, "loses data"},
		"somebody may still come": {ask, shop, nil, false, monday, false, "the mode is ask"},
	} {
		a, err := Alone(c.policy, c.matter, c.past, c.unanswered, c.at)
		if err != nil || a.May != c.may || !strings.Contains(a.Because, c.because) {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	if _, err := Alone(p, Matter{}, nil, false, monday); err == nil {
		t.Error("it acts on what is no incident")
	}
}

func TestModes(t *testing.T) {
	p := team()
	p.Severities = []astern.Severity{{Name: "low", Mode: astern.ModeTell}, {Name: "high", Mode: astern.ModeAutomatic}}
	p.Components = []astern.ComponentRule{{Name: "stock", Mode: astern.ModeAsk}, {Name: "site", Modes: map[string]astern.Mode{"low": astern.ModeAutomatic}}}
	for _, c := range []struct {
		severity string
		parts    []string
		want     astern.Mode
	}{
		{"low", nil, astern.ModeTell}, {"high", nil, astern.ModeAutomatic}, {"high", []string{"stock"}, astern.ModeAsk}, {"low", []string{"stock"}, astern.ModeTell},
		{"low", []string{"site"}, astern.ModeAutomatic}, {"low", []string{"site", "stock"}, astern.ModeTell}, {"high", []string{"shop"}, astern.ModeAutomatic},
	} {
		if got, because := Mode(p, c.severity, c.parts); got != c.want || because == "" {
			t.Errorf("%s of %v: %s (%s), want %s", c.severity, c.parts, got, because, c.want)
		}
	}
}

// TestRehearsals compares whole timelines: a change shows as a difference that a person reviews.
func TestRehearsals(t *testing.T) {
	act := team()
	act.Severities = DefaultScale()
	for i := range act.Severities {
		act.Severities[i].Unanswered = astern.UnansweredAct
	}
	act.Severities[3].Call = []astern.Rung{{Role: "primary", WaitSeconds: 120}, {Role: "security", WaitSeconds: 60, Components: []string{"stock"}}, {Role: "database", WaitSeconds: 60, OnLoss: true}, {Role: "secondary", WaitSeconds: 120}}
	act.Severities[3].Rounds = 2
	automatic, tell := team(), team()
	automatic.Automatic.Mode, tell.Automatic.Mode = astern.ModeAutomatic, astern.ModeTell
	all := []string{"ana", "ben", "cy", "dora", "eve"}
	for name, c := range map[string]struct {
		policy astern.Policy
		scene  Scene
	}{
		"two-of-three-asleep": {team(), Scene{At: sunday, Severity: "SEV-2", Asleep: []string{"ana.m", "ben"}}},
		"nobody":              {team(), Scene{At: sunday, Severity: "SEV-3", Asleep: all}},
		"nobody-acts":         {act, Scene{At: sunday, Severity: "SEV-3", Asleep: all}},
		"nobody-with-loss":    {act, Scene{At: sunday, Severity: "SEV-3", Asleep: all, Loss: lost(5), Component: "stock"}},
		"no-database":         {team(), Scene{At: sunday, Severity: "SEV-3", Asleep: []string{"dora"}, Loss: lost(5)}},
		"frozen":              {team(), Scene{At: sunday, Severity: "SEV-1"}},
		"at-once":             {team(), Scene{At: sunday, Severity: "SEV-4", Asleep: []string{"ana", "cy"}}},
		"automatic":           {automatic, Scene{At: sunday, Severity: "SEV-2", Asleep: all}},
		"automatic-not-here":  {automatic, Scene{At: sunday, Severity: "SEV-2", Component: "stock"}},
		"tell":                {tell, Scene{At: sunday.Add(36 * time.Hour), Severity: "SEV-1"}},
		"shadow":              {team(), Scene{At: sunday, Severity: "SEV-3", Component: "site"}},
		"no-clock":            {team(), Scene{At: sunday.Add(36 * time.Hour), Severity: "SEV-0"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Rehearse(c.policy, c.scene)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.MarshalIndent(r, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), string(got)+"\n"); d != "" {
				t.Errorf("(-want +got; -update writes it)\n%s", d)
			}
		})
	}
	for _, bad := range []Scene{{Severity: "SEV-9"}, {Severity: "SEV-2", Asleep: []string{"anna"}}} {
		if _, err := Rehearse(team(), bad); astern.CodeOf(err) != astern.Invalid || astern.HintOf(err) == "" {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestRehearsalEnds: whatever the policy and whoever sleeps, a rehearsal of a policy without problems comes to one end, its
// times never run backwards, and with everybody asleep no person acts.
func TestRehearsalEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := team()
		p.Automatic.Mode = rapid.SampledFrom(astern.Modes).Draw(t, "mode")
		p.ApprovalsSigned = rapid.Bool().Draw(t, "signed")
		p.Severities = DefaultScale()
		s := &p.Severities[rapid.IntRange(0, 4).Draw(t, "severity")]
		s.Call = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) astern.Rung {
			return astern.Rung{Role: rapid.SampledFrom(p.Roles).Draw(t, "role").Name, WaitSeconds: rapid.Int64Range(0, 900).Draw(t, "wait"), OnLoss: rapid.Bool().Draw(t, "on loss")}
		}), 0, 5).Draw(t, "call")
		s.Rounds = rapid.IntRange(0, 3).Draw(t, "rounds")
		s.Unanswered = rapid.SampledFrom([]astern.Unanswered{"", astern.UnansweredAct, astern.UnansweredHold}).Draw(t, "unanswered")
		var asleep []string
		for _, x := range p.People {
			if rapid.Bool().Draw(t, x.Name) {
				asleep = append(asleep, x.Name)
			}
		}
		sc := Scene{At: sunday.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "hour")) * time.Hour), Severity: s.Name, Asleep: asleep, Loss: lost(rapid.Int64Range(0, 5).Draw(t, "rows"))}
		r, err := Rehearse(p, sc)
		if err != nil {
			t.Fatal(err)
		}
		if r.Outcome == "" || r.ByItself && r.GoesSeconds != nil || r.ByItself && loses(sc.Loss) || len(asleep) == len(p.People) && r.GoesSeconds != nil {
			t.Fatalf("%+v", r)
		}
		if !slices.IsSortedFunc(r.Events, func(a, b astern.Turn) int { return int(a.AfterSeconds - b.AfterSeconds) }) {
			t.Fatalf("times run backwards: %+v", r.Events)
		}
	})
}
