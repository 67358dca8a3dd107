package astern

import "time"

// PlanVersion is the version of the plan format that this program writes and applies.
const PlanVersion = 1

// Plan is what will be done, as data. A plan file is exactly its canonical JSON (RFC 8785); its hash is the SHA-256 of
// that. Whether it is complete is settled by the hash; whether it may be applied now is computed and not part of it.
type Plan struct {
	Kind    string `json:"kind"`    // always "Plan"
	Version int    `json:"version"` // PlanVersion
	// ID tells apart two plans that would otherwise be equal: one plan, one execution.
	ID        string    `json:"id"`
	System    string    `json:"system"`
	CreatedAt time.Time `json:"created_at"`
	// ExpiresAt is when it may no longer be applied.
	ExpiresAt time.Time `json:"expires_at"`
	Intent    Intent    `json:"intent"`
	Asked     Asked     `json:"asked"`
	Moves     []Move    `json:"moves"`            // what each component is taken from and to, in order
	Fleets    []Fleet   `json:"fleets,omitempty"` // members listed once, in wave order
	Facts     []Fact    `json:"facts"`
	Accepts   []Accept  `json:"accepts,omitempty"`
	// Checks are all that a stage or a step names, bound. One that is made for each member and has none is a pattern: it
	// keeps {member} and is bound to the members of the stage when it is made.
	Checks    []Check     `json:"checks,omitempty"`
	Stages    []Stage     `json:"stages"`
	Checklist []Checklist `json:"checklist,omitempty"`
	Loss      []Loss      `json:"loss"`      // counted; empty means nothing is lost
	Approvals int         `json:"approvals"` // how many people other than Asked.By must approve
	Estimate  Estimate    `json:"estimate"`
	// Then is set on a plan that can't see its end: when it is done, a new plan is made.
	Then *Then `json:"then,omitempty"`
	// Parent is the hash of the plan that this one continues or undoes.
	Parent string `json:"parent,omitempty"`
	// Notes are what the planner wants a person to know: why this target and not a newer one, what was rounded.
	Notes []string `json:"notes,omitempty"`
}

// Verb is what an intent asks for.
type Verb string

// The verbs of an intent that this version plans. Others are refused when a plan is read.
const (
	VerbRollback Verb = "rollback"
	VerbDeploy   Verb = "deploy"
	VerbRedeploy Verb = "redeploy"
	VerbRestore  Verb = "restore"
	VerbFailover Verb = "failover"
	VerbFailback Verb = "failback"
	VerbRepair   Verb = "repair"
	VerbUndo     Verb = "undo"
	VerbOff      Verb = "off" // a flag: see FlagChange
)

// Intent is what a person or the policy asks for.
type Intent struct {
	Verb Verb `json:"verb"`
	// Addresses are the components asked for.
	Addresses []string `json:"addresses"`
	// Revision is the target asked for; "" lets the planner choose.
	Revision string `json:"revision,omitempty"`
	// Moment asks for how the system was at that time; nil when a revision is asked for.
	Moment *time.Time `json:"moment,omitempty"`
	// Percent is the share of members taken in the first stage, 1 to 100; rounded up to whole members.
	Percent int `json:"percent"`
	// BakeSeconds is how long the first stage is watched before the rest follows.
	BakeSeconds int64 `json:"bake_seconds,omitempty"`
	// Judge holds the first stage against the rest by the component's signals, until it is known not to be worse.
	Judge bool `json:"judge,omitempty"`
	// WatchSeconds is how long the whole is watched at the end.
	WatchSeconds int64 `json:"watch_seconds,omitempty"`
	// Execution is the execution to reverse; for VerbUndo only.
	Execution string `json:"execution,omitempty"`
	// Flag is what is asked of a flag; for VerbOff only.
	Flag *FlagChange `json:"flag,omitempty"`
	// Object is the one object that goes back; for VerbRollback only.
	Object *ObjectChange `json:"object,omitempty"`
	// First is the environment in which the target is proven before anything is done here, "" when it is not.
	First  string `json:"first,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Severity is that of the incident which it answers, by the policy's scale; "" when it answers none.
	Severity string `json:"severity,omitempty"`
}

// Asked says who asked, how that person is known, and by which way.
type Asked struct {
	By    string `json:"by"`
	Known string `json:"known"` // "login name", "ssh key", …
	Way   string `json:"way"`   // cli, watch, page
	// At is when the question was put; the time to decide counts from it.
	At time.Time `json:"at"`
}

// Move takes one component from a state to a state.
type Move struct {
	Address string `json:"address"`
	Kind    string `json:"kind"`
	// From is the revision seen when planning; several in a mixed state joined by "+".
	From string `json:"from"`
	To   string `json:"to"`
	// Readiness is that of the target when the plan was made.
	Readiness Readiness  `json:"readiness"`
	Evidence  []Evidence `json:"evidence,omitempty"`
}

// Fleet lists the members of one component once, in wave order.
type Fleet struct {
	Address string    `json:"address"`
	Members []string  `json:"members"`
	LeftOut []LeftOut `json:"left_out,omitempty"`
}

// LeftOut is a member that was not observed when planning, and is not touched.
type LeftOut struct {
	Member  string `json:"member"`
	Because string `json:"because"`
}

// Fact is something the plan rests on: an identity (revision, digest, endpoint), never a level and never a condition
// token. It is read at apply and again right before each of its steps.
type Fact struct {
	Address string `json:"address"`
	// Path may hold the segment {member}; the fact is then one for all members of the address's fleet. Facts of a stage
	// over a fleet have such paths only: no single step of it knows what the whole has become.
	Path string `json:"path"`
	// Value is what was seen. An absent path has Absent set and an empty value.
	Value  string `json:"value"`
	Absent bool   `json:"absent,omitempty"`
	// Unknown is the reason why it could not be read; such a fact must be accepted, and must then still be unknown.
	Unknown string `json:"unknown,omitempty"`
	// Last and LastSeen are the last value known of a fact that is unknown.
	Last     string    `json:"last,omitempty"`
	LastSeen time.Time `json:"last_seen,omitzero"`
	// Except holds the members whose value differs from Value.
	Except map[string]FactValue `json:"except,omitempty"`
	Seen   time.Time            `json:"seen"`
	// Steps are the ids (without @MEMBER) of the steps that rest on it.
	Steps []string `json:"steps"`
}

// FactValue is what was seen of one member, where that differs from the others. Absent and Unknown are as in Fact.
type FactValue struct {
	Value   string `json:"value"`
	Absent  bool   `json:"absent,omitempty"`
	Unknown string `json:"unknown,omitempty"`
}

// Accept is a fact, a check or a loss that a person takes upon himself. The automatic way never accepts.
type Accept struct {
	// What is "fact ADDRESS PATH", "check NAME" or "loss ADDRESS UNIT".
	What    string `json:"what"`
	By      string `json:"by"`
	Because string `json:"because"`
}

// Checklist is the list worked through after the recovery of one component.
type Checklist struct {
	Address string          `json:"address"`
	Items   []ChecklistItem `json:"items"`
}

// Then says that the end can't be seen from here: when the plan is done, the same intent is planned anew. When nothing is
// left to do then, the execution is done.
type Then struct {
	Because string `json:"because"`
	// Allowed limits what a child may do without approvals of its own; nil means it needs its own.
	Allowed *Allowed `json:"allowed,omitempty"`
}

// Allowed are the limits within which a child plan needs no approvals of its own.
type Allowed struct {
	Addresses []string `json:"addresses"`
	Verbs     []string `json:"verbs"`    // step verbs
	Children  int      `json:"children"` // how many more child plans
	Loss      []Loss   `json:"loss,omitempty"`
}

// Fleet returns the plan's fleet of the address.
func (p Plan) Fleet(address string) (Fleet, bool) {
	for _, f := range p.Fleets {
		if f.Address == address {
			return f, true
		}
	}
	return Fleet{}, false
}

// Check returns the bound check with that id for the member, or else the one for the whole component.
func (p Plan) Check(name, member string) (Check, bool) {
	for _, c := range p.Checks {
		if c.ID() == name || c.Name == name && c.Member == member {
			return c, true
		}
	}
	return Check{}, false
}

// CheckIndex answers what Plan.Check answers, at once: for whoever asks for each of thousands of checks.
type CheckIndex struct {
	checks   []Check
	byID     map[string]int
	byMember map[[2]string]int // name and member
}

// CheckIndex returns an index of the plan's checks. It does not see checks that the plan gets later.
func (p Plan) CheckIndex() CheckIndex {
	x := CheckIndex{p.Checks, make(map[string]int, len(p.Checks)), make(map[[2]string]int, len(p.Checks))}
	for i, c := range p.Checks {
		if _, ok := x.byID[c.ID()]; !ok {
			x.byID[c.ID()] = i
		}
		if _, ok := x.byMember[[2]string{c.Name, c.Member}]; !ok {
			x.byMember[[2]string{c.Name, c.Member}] = i
		}
	}
	return x
}

// Check returns the same as the plan's Check.
func (x CheckIndex) Check(name, member string) (Check, bool) {
	i, ok := x.byID[name]
	if k, also := x.byMember[[2]string{name, member}]; also && (!ok || k < i) {
		i, ok = k, true
	}
	if !ok {
		return Check{}, false
	}
	return x.checks[i], true
}

// Addresses returns every component that a step of the plan acts on, each once, in order.
func (p Plan) Addresses() []string {
	var out []string
	seen := map[string]bool{}
	for _, m := range p.Moves {
		if !seen[m.Address] {
			seen[m.Address] = true
			out = append(out, m.Address)
		}
	}
	for _, st := range p.Stages {
		for _, s := range st.Steps {
			if !seen[s.Address] {
				seen[s.Address] = true
				out = append(out, s.Address)
			}
		}
	}
	return out
}
