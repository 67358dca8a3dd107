package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// Scene is what a rehearsal begins with.
type Scene struct {
	At        time.Time
	Severity  string
	Component string // "" for one that no rule speaks of
	Loss      []astern.Loss
	Asleep    []string // people who do not answer; everybody else answers at once
}

// defaultWait is how long a rung of the default ladder waits where there is no response time to be shared out.
const defaultWait = 15 * 60

// Ladder returns who is called for the matter, one rung after the other. A severity without a ladder of its own gets one from
// its response time, shared out among primary, secondary and the other roles whose approval is needed, and database when data is
// lost; with the response time 0 all are called at once. Without a response time nobody is called: it takes its standard course.
func Ladder(p astern.Policy, s astern.Severity, m Matter) []astern.Rung {
	var out []astern.Rung
	if len(s.Call) > 0 {
		for _, r := range s.Call {
			of := len(r.Components) == 0 || slices.ContainsFunc(r.Components, func(c string) bool { return slices.Contains(m.Components, c) })
			if of && (!r.OnLoss || loses(m.Loss)) {
				out = append(out, r)
			}
		}
		return out
	}
	if s.RespondSeconds == nil {
		return nil
	}
	names := []string{primary, secondary}
	demands, _ := Demands(p, m) // it fails for a severity that is not there, and this one is
	for _, d := range demands {
		names = append(names, d.Approvers...)
	}
	if loses(m.Loss) {
		names = append(names, database)
	}
	for i, name := range names {
		if _, ok := p.Role(name); ok && slices.Index(names, name) == i {
			out = append(out, astern.Rung{Role: name})
		}
	}
	if len(out) == 0 {
		for _, r := range p.Roles {
			out = append(out, astern.Rung{Role: r.Name})
		}
	}
	for i := range out {
		if out[i].WaitSeconds = *s.RespondSeconds / int64(len(out)); i == len(out)-1 && *s.RespondSeconds == 0 {
			out[i].WaitSeconds = defaultWait
		}
	}
	return out
}

// stage is a rehearsal under way.
type stage struct {
	policy   astern.Policy
	scene    Scene
	severity astern.Severity
	matter   Matter
	words    []Word
	answered bool
	late     bool // the response time was spoken of
	now      int64
	out      astern.Rehearsal
}

// Rehearse plays an incident through: who is called when, by which clock, what each may approve, when nobody is left, what
// happens by itself then, and which freezes hold. It knows the same rules as the real thing, being made of them.
func Rehearse(p astern.Policy, sc Scene) (astern.Rehearsal, error) {
	s, _, err := Severity(p, sc.Severity)
	if err != nil {
		return astern.Rehearsal{}, err
	}
	if err := sleepers(p, sc.Asleep); err != nil {
		return astern.Rehearsal{}, err
	}
	st := &stage{policy: p, scene: sc, severity: s, matter: Matter{Severity: s.Name, Loss: sc.Loss}}
	st.out = astern.Rehearsal{Component: sc.Component, Severity: s.Name, Means: s.Means, At: sc.At, Asleep: sc.Asleep, Loss: sc.Loss}
	if sc.Component != "" {
		st.matter.Components = []string{sc.Component}
	}
	st.out.Mode, st.out.ModeBecause = Mode(p, s.Name, st.matter.Components)
	demands, err := Demands(p, st.matter)
	if err != nil {
		return astern.Rehearsal{}, err
	}
	for _, d := range demands {
		st.out.Demands = append(st.out.Demands, d.String())
	}
	if st.out.Freezes, err = Frozen(p, st.matter, sc.At); err != nil {
		return astern.Rehearsal{}, err
	}
	st.out.BreakGlass = st.glass()
	err = st.play()
	return st.out, err
}

// sleepers refuses names that the policy does not know: a typing error would let somebody answer who sleeps.
func sleepers(p astern.Policy, names []string) error {
	for _, n := range names {
		if _, ok := p.Person(n); !ok {
			var known []string
			for _, x := range p.People {
				known = append(known, x.Name)
			}
			return astern.Errorf(astern.Invalid, "the policy knows nobody called %q", n).WithHint("it knows: %s", strings.Join(known, ", "))
		}
	}
	return nil
}

// asleep reports whether the person does not answer.
func (st *stage) asleep(name string) bool {
	return slices.ContainsFunc(st.scene.Asleep, func(n string) bool { return st.policy.Called(n) == name })
}

func (st *stage) say(kind astern.TurnKind, format string, args ...any) {
	st.out.Events = append(st.out.Events, astern.Turn{AfterSeconds: st.now, Kind: kind, Text: fmt.Sprintf(format, args...)})
}

// play goes through the turns.
func (st *stage) play() error {
	alone, err := Alone(st.policy, st.matter, nil, false, st.scene.At)
	if err != nil {
		return err
	}
	ladder := Ladder(st.policy, st.severity, st.matter)
	switch {
	case st.out.Mode == astern.ModeShadow:
		st.say(astern.TurnNoticed, "astern records what it would have done, and calls nobody")
		st.out.Outcome = "nothing happens: the mode is shadow"
		return nil
	case alone.May:
		st.say(astern.TurnActs, "astern acts by itself, and tells")
		st.out.ByItself, st.out.Outcome = true, "astern acts by itself at once; nobody has to wake up"
		return nil
	case st.out.Mode == astern.ModeTell:
		st.say(astern.TurnNoticed, "astern opens an incident and tells; whoever answers first asks for the plan")
	case st.out.Mode == astern.ModeAutomatic:
		st.say(astern.TurnNoticed, "astern opens an incident, makes the plan, and does not act alone: %s", alone.Because)
	default:
		st.say(astern.TurnNoticed, "astern opens an incident, makes the plan, and asks for approval")
	}
	if len(ladder) == 0 {
		st.out.Outcome = "nobody is called: " + st.severity.Name + " has no clock, and takes its standard course"
		return nil
	}
	for range max(st.severity.Rounds, 1) {
		for _, r := range ladder {
			met, err := st.call(r)
			if err != nil || met {
				return err
			}
			st.wait(r.WaitSeconds)
		}
	}
	return st.nobody()
}

// call calls everybody of a role, and reports whether that was enough.
func (st *stage) call(r astern.Rung) (bool, error) {
	role, _ := st.policy.Role(r.Role)
	turn := astern.Turn{AfterSeconds: st.now, Kind: astern.TurnCalled, Role: role.Name, Contact: role.Contact}
	for _, name := range role.People {
		x, _ := st.policy.Person(name)
		c := astern.Called{Name: name, Contact: x.Contact, Asleep: st.asleep(name)}
		if !c.Asleep && st.out.Mode == astern.ModeTell && st.matter.By == "" {
			st.matter.By = name // who asks for the plan
		}
		var err error
		if c.May, err = st.may(name); err != nil {
			return false, err
		}
		if turn.People = append(turn.People, c); c.Asleep {
			continue
		}
		st.answered = true
		if !slices.ContainsFunc(st.words, func(w Word) bool { return w.By == name }) {
			st.words = append(st.words, word(name, st.scene.At))
		}
	}
	turn.Text = fmt.Sprintf("%s is called", role.Name)
	st.out.Events = append(st.out.Events, turn)
	j, err := Judge(st.policy, st.matter, st.words, st.scene.At)
	if err != nil || !j.Met || !st.answered {
		return false, err
	}
	at := st.now
	st.out.GoesSeconds = &at
	st.goes(j)
	return true, nil
}

func word(name string, at time.Time) Word {
	return Word{Approval: astern.Approval{By: name, Verdict: "approve", At: at}, Signed: true}
}

// may says what the approval of a person is good for.
func (st *stage) may(name string) (string, error) {
	if st.matter.By == name {
		j, err := Judge(st.policy, st.matter, []Word{word(name, st.scene.At)}, st.scene.At)
		if j.Met {
			return "asks, and needs nobody else", err
		}
		return "asks; others must approve", err
	}
	if May(st.policy, st.matter, name) != nil {
		return "has no say in this", nil
	}
	j, err := Judge(st.policy, st.matter, []Word{word(name, st.scene.At)}, st.scene.At)
	if j.Met {
		return "may approve, and suffices", err
	}
	return "may approve, and others must too", err
}

// goes ends the rehearsal with a plan that has all it needs from people.
func (st *stage) goes(j Judgement) {
	who := strings.Join(j.Counted, ", ")
	frozen := slices.IndexFunc(st.out.Freezes, func(f astern.FreezeNow) bool { return !f.Pierced })
	if frozen < 0 {
		st.say(astern.TurnGoes, "the plan can be applied: %s suffices", who)
		st.out.Outcome = fmt.Sprintf("a person can act after %s: %s", span(st.now), who)
		return
	}
	f := st.out.Freezes[frozen]
	st.say(astern.TurnNobody, "%s suffices, and freeze %s forbids it: %s", who, f.Name, f.Why)
	st.out.GoesSeconds = nil
	st.out.Outcome = fmt.Sprintf("nothing may be applied before %s, when freeze %s ends%s", f.Until.Format("Mon 2006-01-02 15:04 MST"), f.Name, st.glassWords())
}

// wait lets time pass, and says when the response time is over.
func (st *stage) wait(seconds int64) {
	end := st.now + seconds
	if by := st.severity.RespondSeconds; by != nil && !st.answered && !st.late && end >= *by {
		st.late = true
		st.now = max(st.now, *by)
		if *by == 0 {
			st.say(astern.TurnLate, "it should have been answered at once, and nobody has")
		} else {
			st.say(astern.TurnLate, "the response time of %s is over, and nobody has answered", span(*by))
		}
	}
	st.now = end
}

// nobody ends the rehearsal when everybody was called.
func (st *stage) nobody() error {
	at := st.now
	st.out.NobodySeconds = &at
	j, err := Judge(st.policy, st.matter, st.words, st.scene.At)
	if err != nil {
		return err
	}
	missing := "nobody answered"
	if len(st.words) > 0 {
		missing = "still needed: " + strings.Join(j.Missing, "; ")
	}
	st.say(astern.TurnNobody, "nobody is left to call; %s", missing)
	alone, err := Alone(st.policy, st.matter, nil, true, st.scene.At.Add(time.Duration(st.now)*time.Second))
	if err != nil {
		return err
	}
	if alone.May {
		st.say(astern.TurnActs, "astern acts by itself: the policy says so for %s when nobody is left", st.severity.Name)
		st.out.ByItself, st.out.Outcome = true, fmt.Sprintf("nobody is left after %s, and astern acts by itself", span(st.now))
		return nil
	}
	why := st.severity.Name + " holds when nobody answers"
	if st.severity.Unanswered == astern.UnansweredAct {
		why = alone.Because
	}
	st.out.Outcome = fmt.Sprintf("nobody is left after %s, and nothing happens by itself: %s%s", span(st.now), why, st.glassWords())
	return nil
}

// glass returns those who are awake and may go over the policy's head.
func (st *stage) glass() []string {
	var out []string
	for _, x := range st.policy.People {
		if MayBreakGlass(st.policy, x.Name) == nil && !st.asleep(x.Name) {
			out = append(out, x.Name)
		}
	}
	return out
}

func (st *stage) glassWords() string {
	if len(st.out.BreakGlass) == 0 {
		return "; nobody who is awake may break the glass"
	}
	return "; " + strings.Join(st.out.BreakGlass, ", ") + " may break the glass"
}

// span writes seconds as people say them: 5 min, 7 min 30 s, 2 h.
func span(seconds int64) string {
	var out []string
	add := func(n int64, unit string) {
		if n > 0 {
			out = append(out, fmt.Sprintf("%d %s", n, unit))
		}
	}
	if seconds >= 7200 {
		add(seconds/3600, "h")
		seconds %= 3600
	}
	add(seconds/60, "min")
	add(seconds%60, "s")
	if len(out) == 0 {
		return "0 min"
	}
	return strings.Join(out, " ")
}

// MayBreakGlass says why a person may not go over the policy's head; nil when that is allowed.
func MayBreakGlass(p astern.Policy, person string) error {
	if p.BreakGlass == nil {
		return astern.Errorf(astern.Refused, "the policy knows no break-glass").WithHint("declare break_glass with its roles in astern.yaml")
	}
	if (Reason{Demand: astern.Demand{Approvers: p.BreakGlass.Roles}}).Fits(p, person) {
		return nil
	}
	return astern.Errorf(astern.Refused, "%s may not break the glass", person).
		WithHint("the policy lets: %s", strings.Join(p.BreakGlass.Roles, ", "))
}
