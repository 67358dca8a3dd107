package astern

import (
	"slices"
	"time"
)

// Policy is what an environment demands before a plan may be applied, whom an incident calls, and what may be done without
// anybody. Package policy judges by it.
type Policy struct {
	// Approvals is how many people other than the one who asks must approve a plan that loses no data.
	Approvals int `json:"approvals"`
	// ApprovalsOnLoss is how many must approve a plan that loses data.
	ApprovalsOnLoss int `json:"approvals_on_loss"`
	// ApprovalsSigned says that only approvals count which are signed with an SSH key of the allowed signers.
	ApprovalsSigned bool `json:"approvals_signed,omitempty"`
	// ApprovalSeconds is how long an approval counts. Zero means as long as its plan.
	ApprovalSeconds int64 `json:"approval_seconds,omitempty"`
	// PlanSeconds is how long a plan may be applied after it was made. Zero means 24 hours.
	PlanSeconds int64 `json:"plan_seconds,omitempty"`
	// WatchSeconds is how long a new or restored revision is watched before it is known-good.
	WatchSeconds int64 `json:"watch_seconds"`
	// First is the environment in which a revision is proven before a person's plan takes it here; "" is none.
	First string `json:"first,omitempty"`
	// People and Roles say who is who, by the order in the file.
	People []Person `json:"people,omitempty"`
	Roles  []Role   `json:"roles,omitempty"`
	// Severities is the scale, the mildest first; empty means the default scale of package policy.
	Severities []Severity      `json:"severities,omitempty"`
	Losses     []LossRule      `json:"losses,omitempty"`
	Components []ComponentRule `json:"components,omitempty"`
	Freezes    []Freeze        `json:"freezes,omitempty"`
	Automatic  Automatic       `json:"automatic,omitzero"`
	// Judge says how often the judge of signals may be wrong.
	Judge JudgeRule `json:"judge,omitzero"`
	// BreakGlass says who may go over the policy's head; nil means nobody.
	BreakGlass *BreakGlass `json:"break_glass,omitempty"`
}

// JudgeRule says how often the judge of signals may be wrong, and what that rests on.
type JudgeRule struct {
	// FalseAlarms is the probability of a false alarm over one watch, however long it lasts, all signals together, in
	// percent. Zero means 0.1.
	FalseAlarms float64 `json:"false_alarms,omitempty"`
	// Calibrated says that the level for a release beside the one before it is taken from replaying each component's own
	// quiet past, as if it had been deployed there again and again. It is faster, and it speaks only of days like those.
	Calibrated bool `json:"calibrated,omitempty"`
	// PastSeconds is how much past is replayed. Zero means seven days.
	PastSeconds int64 `json:"past_seconds,omitempty"`
}

// Level returns the probability of a false alarm as a share.
func (r JudgeRule) Level() float64 {
	if r.FalseAlarms == 0 {
		return 0.001
	}
	return r.FalseAlarms / 100
}

// Past returns how much past is replayed.
func (r JudgeRule) Past() time.Duration {
	if r.PastSeconds == 0 {
		return 7 * 24 * time.Hour
	}
	return time.Duration(r.PastSeconds) * time.Second
}

// Mode is what astern does by itself about a fault. The modes are ordered: each is more careful than the one before.
type Mode string

// The modes.
const (
	ModeAutomatic Mode = "automatic" // acts, and tells
	ModeAsk       Mode = "ask"       // makes the plan and asks for approval
	ModeTell      Mode = "tell"      // tells people, and does nothing
	ModeShadow    Mode = "shadow"    // only records what it would have done
)

// Modes are all modes, the least careful first.
var Modes = []Mode{ModeAutomatic, ModeAsk, ModeTell, ModeShadow}

// Person is somebody whom the policy knows. Name is what approvals are signed as (the principal of the allowed signers);
// Logins are further names under which the same person asks for plans.
type Person struct {
	Name    string   `json:"name"`
	Contact string   `json:"contact,omitempty"`
	Logins  []string `json:"logins,omitempty"`
}

// Role is what people are called for: primary, secondary, database, security …
type Role struct {
	Name    string   `json:"name"`
	Contact string   `json:"contact,omitempty"` // where the role is reached, whoever has it
	People  []string `json:"people"`            // in the order in which they are asked
}

// Demand is whose approval something needs.
type Demand struct {
	// Approvals is how many people must approve.
	Approvals int `json:"approvals,omitempty"`
	// Approvers are the roles whose people may; empty means everybody.
	Approvers []string `json:"approvers,omitempty"`
	// RequesterCounts lets whoever asked be one of them: the engineer on call who needs nobody else.
	RequesterCounts bool `json:"requester_counts,omitempty"`
}

// Severity is one step of the scale by which incidents are judged.
type Severity struct {
	Name  string `json:"name"`
	Means string `json:"means,omitempty"`
	// AtLeast and Above are from which share of users or requests harmed it holds, in percent. With neither it is given by a
	// person only.
	AtLeast *float64 `json:"at_least,omitempty"`
	Above   *float64 `json:"above,omitempty"`
	Demand
	// RespondSeconds is the response time; nil means that no clock runs, 0 means at once.
	RespondSeconds *int64 `json:"respond_seconds,omitempty"`
	Mode           Mode   `json:"mode,omitempty"`
	// Call says who is called when; empty means the default ladder of package policy. Rounds is how often; zero means once.
	Call   []Rung `json:"call,omitempty"`
	Rounds int    `json:"rounds,omitempty"`
	// Unanswered says that astern acts by itself when everybody was called and nobody is left.
	Unanswered Unanswered `json:"unanswered,omitempty"`
}

// Unanswered is what happens when nobody answers.
type Unanswered string

// What happens when nobody answers.
const (
	UnansweredHold Unanswered = "hold" // nothing; the plan waits
	UnansweredAct  Unanswered = "act"  // the plan is carried out, if it loses nothing
)

// Rung is one step of a ladder of calls: everybody of the role is called at once, and has that long to answer before the next
// rung.
type Rung struct {
	Role        string `json:"role"`
	WaitSeconds int64  `json:"wait_seconds"`
	// Components and OnLoss keep the rung for incidents of these components, or for plans that lose data.
	Components []string `json:"components,omitempty"`
	OnLoss     bool     `json:"on_loss,omitempty"`
}

// LossRule demands approvals by the data that a plan loses.
type LossRule struct {
	Unit string `json:"unit,omitempty"` // rows, bytes, seconds …; empty means any
	// Above is from which count on it holds. A loss that could not be counted is above every count.
	Above int64 `json:"above,omitempty"`
	Demand
}

// ComponentRule is what holds for one component.
type ComponentRule struct {
	Name string `json:"name"`
	Demand
	Mode  Mode            `json:"mode,omitempty"`
	Modes map[string]Mode `json:"modes,omitempty"` // by the name of the severity; goes before every other mode
}

// Freeze is a window in which plans are not applied, again and again.
type Freeze struct {
	Name string `json:"name"`
	// Schedule is when it begins: minute, hour, day of the month, month, day of the week, by the clock of Zone.
	Schedule string `json:"schedule"`
	Zone     string `json:"zone"`
	// LastsSeconds is counted on the same clock: 62 hours from Friday 18:00 end on Monday 08:00, also when the clock is changed.
	LastsSeconds int64 `json:"lasts_seconds"`
	// PiercedBy is the mildest severity whose plans are applied all the same; empty means none.
	PiercedBy string `json:"pierced_by,omitempty"`
	// Components are the names that it holds for; empty means all.
	Components []string `json:"components,omitempty"`
	Because    string   `json:"because,omitempty"`
}

// Automatic bounds what is done without anybody.
type Automatic struct {
	Mode            Mode  `json:"mode,omitempty"`              // where neither severity nor component say
	CoolDownSeconds int64 `json:"cool_down_seconds,omitempty"` // between two automatic actions on one component
	Daily           int   `json:"daily,omitempty"`             // how many within 24 hours; zero means 3
}

// BreakGlass is how a person goes over the policy's head.
type BreakGlass struct {
	Roles []string `json:"roles"`
	// ReviewSeconds is until when somebody else must have looked at it. Zero means 24 hours.
	ReviewSeconds int64 `json:"review_seconds,omitempty"`
}

// Override is a plan that was applied over the policy's head. It stays open until somebody else has reviewed it.
type Override struct {
	PlanHash   string     `json:"plan_hash"`
	By         string     `json:"by"`
	Reason     string     `json:"reason"`
	Over       []string   `json:"over"` // what the policy said
	At         time.Time  `json:"at"`
	ReviewDue  time.Time  `json:"review_due"`
	ReviewedBy string     `json:"reviewed_by,omitempty"`
	ReviewedAt *time.Time `json:"reviewed_at,omitempty"`
	Review     string     `json:"review,omitempty"` // what the reviewer says
}

// DefaultPlanAge is how long a plan may be applied where the policy does not say.
const DefaultPlanAge = 24 * time.Hour

// PlanAge returns how long a plan may be applied.
func (p Policy) PlanAge() time.Duration {
	if p.PlanSeconds == 0 {
		return DefaultPlanAge
	}
	return time.Duration(p.PlanSeconds) * time.Second
}

// ApprovalsFor returns how many approvals a plan with that loss needs.
func (p Policy) ApprovalsFor(loss []Loss) int {
	for _, l := range loss {
		if (l.Count > 0 || l.Unknown != "") && p.ApprovalsOnLoss > p.Approvals {
			return p.ApprovalsOnLoss
		}
	}
	return p.Approvals
}

// Role returns the role of that name.
func (p Policy) Role(name string) (Role, bool) {
	i := slices.IndexFunc(p.Roles, func(r Role) bool { return r.Name == name })
	if i < 0 {
		return Role{}, false
	}
	return p.Roles[i], true
}

// Person returns the person with that name or login.
func (p Policy) Person(name string) (Person, bool) {
	for _, x := range p.People {
		if x.Name == name || slices.Contains(x.Logins, name) {
			return x, true
		}
	}
	return Person{}, false
}

// Called returns the name by which the policy knows somebody; it is name itself when it does not.
func (p Policy) Called(name string) string {
	if x, ok := p.Person(name); ok {
		return x.Name
	}
	return name
}
