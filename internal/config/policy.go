package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/policy"
)

// Policy is what an environment demands before a plan may be applied, and whom an incident calls.
type Policy struct {
	Approvals       int                      `json:"approvals,omitempty" jsonschema:"minimum=0,description=how many people other than the one who asks must approve a plan that loses no data"`
	ApprovalsOnLoss int                      `json:"approvals_on_loss,omitempty" jsonschema:"minimum=0,description=how many must approve a plan that loses data"`
	ApprovalsSigned bool                     `json:"approvals_signed,omitempty" jsonschema:"description=only approvals count that are signed with an SSH key of allowed_signers"`
	ApprovalAge     *Duration                `json:"approval_age,omitempty" jsonschema:"description=how long an approval counts (default: as long as its plan)"`
	Watch           *Duration                `json:"watch,omitempty" jsonschema:"description=how long a new or restored revision is watched before it is known-good (default: not at all)"`
	First           string                   `json:"first,omitempty" jsonschema:"description=the environment in which a revision is proven before a person's plan takes it here\\, such as staging (default: none)"`
	PlanAge         *Duration                `json:"plan_age,omitempty" jsonschema:"description=how long a plan may be applied after it was made (default 24h)"`
	People          map[string]Person        `json:"people,omitempty" jsonschema:"description=who is who; the name is the one that approvals are signed as"`
	Roles           map[string]Role          `json:"roles,omitempty" jsonschema:"description=what people are called for: primary\\, secondary\\, database\\, security …"`
	Severities      []Severity               `json:"severities,omitempty" jsonschema:"description=the scale\\, the mildest first (default: SEV-0 to SEV-4)"`
	Losses          []LossRule               `json:"losses,omitempty" jsonschema:"description=approvals by the data that a plan loses"`
	Components      map[string]ComponentRule `json:"components,omitempty" jsonschema:"description=what holds for single components"`
	Freezes         []Freeze                 `json:"freezes,omitempty" jsonschema:"description=windows in which plans are not applied"`
	Automatic       Automatic                `json:"automatic,omitempty" jsonschema:"description=bounds of what is done without anybody"`
	Judge           JudgeRule                `json:"judge,omitempty" jsonschema:"description=how often the judge of signals may be wrong"`
	BreakGlass      *BreakGlass              `json:"break_glass,omitempty" jsonschema:"description=who may go over the policy's head (default: nobody)"`
}

// Person is somebody whom the policy knows.
type Person struct {
	Contact string   `json:"contact,omitempty" jsonschema:"description=how the person is reached"`
	Logins  []string `json:"logins,omitempty" jsonschema:"description=further names under which the same person asks for plans"`
}

// Role is what people are called for.
type Role struct {
	Contact string   `json:"contact,omitempty" jsonschema:"description=where the role is reached\\, whoever has it"`
	People  []string `json:"people" jsonschema:"minItems=1,description=names of people"`
}

// Demand is whose approval something needs.
type Demand struct {
	Approvals       int      `json:"approvals,omitempty" jsonschema:"minimum=0,description=how many people must approve"`
	Approvers       []string `json:"approvers,omitempty" jsonschema:"description=roles whose people may (default: everybody)"`
	RequesterCounts bool     `json:"requester_counts,omitempty" jsonschema:"description=whoever asks may be one of them"`
}

// Severity is one step of the scale.
type Severity struct {
	Name    string   `json:"name" jsonschema:"minLength=1"`
	Means   string   `json:"means,omitempty" jsonschema:"description=in words"`
	AtLeast *float64 `json:"at_least,omitempty" jsonschema:"minimum=0,description=holds from this share of users or requests harmed on\\, in percent"`
	Above   *float64 `json:"above,omitempty" jsonschema:"minimum=0,description=holds above this share of users or requests harmed\\, in percent"`
	Demand
	Respond    *Duration         `json:"respond,omitempty" jsonschema:"description=the response time; 0s is at once (default: no clock)"`
	Mode       astern.Mode       `json:"mode,omitempty" jsonschema:"enum=automatic,enum=ask,enum=tell,enum=shadow,description=what astern does by itself"`
	Call       []Rung            `json:"call,omitempty" jsonschema:"description=who is called\\, one role after the other"`
	Rounds     int               `json:"rounds,omitempty" jsonschema:"minimum=1,description=how often (default once)"`
	Unanswered astern.Unanswered `json:"unanswered,omitempty" jsonschema:"enum=hold,enum=act,description=what happens when nobody is left to call (default hold)"`
}

// Rung is one step of a ladder of calls.
type Rung struct {
	Role       string   `json:"role"`
	Wait       Duration `json:"wait" jsonschema:"description=how long before the next is called"`
	Components []string `json:"components,omitempty" jsonschema:"description=only for incidents of these components"`
	OnLoss     bool     `json:"on_loss,omitempty" jsonschema:"description=only when data is lost"`
}

// LossRule demands approvals by the data lost.
type LossRule struct {
	Unit  string `json:"unit,omitempty" jsonschema:"description=rows\\, bytes\\, seconds … (default: any)"`
	Above int64  `json:"above,omitempty" jsonschema:"minimum=0,description=holds above this count; what can't be counted is above"`
	Demand
}

// ComponentRule is what holds for one component.
type ComponentRule struct {
	Demand
	Mode  astern.Mode            `json:"mode,omitempty" jsonschema:"enum=automatic,enum=ask,enum=tell,enum=shadow,description=what astern does by itself; the more careful of this and the severity's holds"`
	Modes map[string]astern.Mode `json:"modes,omitempty" jsonschema:"description=by severity; they go before every other mode"`
}

// Freeze is a window in which plans are not applied.
type Freeze struct {
	Name       string   `json:"name" jsonschema:"minLength=1"`
	Schedule   string   `json:"schedule" jsonschema:"description=when it begins\\, as in cron: minute\\, hour\\, day of the month\\, month\\, day of the week"`
	Zone       string   `json:"zone" jsonschema:"minLength=1,description=by whose clock: Europe/Berlin\\, UTC"`
	Lasts      Duration `json:"lasts" jsonschema:"description=by the same clock: 62h from Friday 18:00 end on Monday 08:00\\, also when the clock is changed"`
	PiercedBy  string   `json:"pierced_by,omitempty" jsonschema:"description=the mildest severity whose plans are applied all the same (default: none)"`
	Components []string `json:"components,omitempty" jsonschema:"description=what it holds for (default: all)"`
	Because    string   `json:"because,omitempty"`
}

// Automatic bounds what is done without anybody.
type Automatic struct {
	Mode     astern.Mode `json:"mode,omitempty" jsonschema:"enum=automatic,enum=ask,enum=tell,enum=shadow,description=where neither severity nor component say (default ask)"`
	CoolDown *Duration   `json:"cool_down,omitempty" jsonschema:"description=between two automatic actions on one component (default: none)"`
	Daily    int         `json:"daily,omitempty" jsonschema:"minimum=1,description=how many within 24 hours (default 3)"`
}

// JudgeRule says how often the judge of signals may be wrong.
type JudgeRule struct {
	FalseAlarms *float64  `json:"false_alarms,omitempty" jsonschema:"description=probability of a false alarm over a whole watch\\, all signals together\\, in percent (default 0.1)"`
	Level       string    `json:"level,omitempty" jsonschema:"enum=guaranteed,enum=calibrated,description=guaranteed holds on any day (default); calibrated is taken from the component's own quiet past and holds on days like those"`
	Past        *Duration `json:"past,omitempty" jsonschema:"description=how much past is replayed to calibrate (default 168h)"`
}

// BreakGlass is who may go over the policy's head.
type BreakGlass struct {
	Roles  []string  `json:"roles" jsonschema:"minItems=1"`
	Review *Duration `json:"review,omitempty" jsonschema:"description=until when somebody else must have looked at it (default 24h)"`
}

// policy returns the policy as the root has it, in the order of the file.
func (p Policy) policy(tree *value) astern.Policy {
	out := astern.Policy{
		Approvals: p.Approvals, ApprovalsOnLoss: p.ApprovalsOnLoss, ApprovalsSigned: p.ApprovalsSigned, ApprovalSeconds: p.ApprovalAge.seconds(),
		PlanSeconds: p.PlanAge.seconds(), WatchSeconds: p.Watch.seconds(), First: p.First,
		Automatic: astern.Automatic{Mode: p.Automatic.Mode, CoolDownSeconds: p.Automatic.CoolDown.seconds(), Daily: p.Automatic.Daily},
	}
	out.Judge = astern.JudgeRule{Calibrated: p.Judge.Level == "calibrated", PastSeconds: p.Judge.Past.seconds()}
	if p.Judge.FalseAlarms != nil {
		out.Judge.FalseAlarms = *p.Judge.FalseAlarms
	}
	for _, name := range tree.get("people").keys() {
		out.People = append(out.People, astern.Person{Name: name, Contact: p.People[name].Contact, Logins: p.People[name].Logins})
	}
	for _, name := range tree.get("roles").keys() {
		out.Roles = append(out.Roles, astern.Role{Name: name, Contact: p.Roles[name].Contact, People: p.Roles[name].People})
	}
	for _, s := range p.Severities {
		one := astern.Severity{Name: s.Name, Means: s.Means, AtLeast: s.AtLeast, Above: s.Above, Demand: astern.Demand(s.Demand),
			RespondSeconds: s.Respond.optional(), Mode: s.Mode, Rounds: s.Rounds, Unanswered: s.Unanswered}
		for _, r := range s.Call {
			one.Call = append(one.Call, astern.Rung{Role: r.Role, WaitSeconds: r.Wait.seconds(), Components: r.Components, OnLoss: r.OnLoss})
		}
		out.Severities = append(out.Severities, one)
	}
	for _, l := range p.Losses {
		out.Losses = append(out.Losses, astern.LossRule{Unit: l.Unit, Above: l.Above, Demand: astern.Demand(l.Demand)})
	}
	for _, name := range tree.get("components").keys() {
		c := p.Components[name]
		out.Components = append(out.Components, astern.ComponentRule{Name: name, Demand: astern.Demand(c.Demand), Mode: c.Mode, Modes: c.Modes})
	}
	for _, z := range p.Freezes {
		out.Freezes = append(out.Freezes, astern.Freeze{Name: z.Name, Schedule: z.Schedule, Zone: z.Zone, LastsSeconds: z.Lasts.seconds(),
			PiercedBy: z.PiercedBy, Components: z.Components, Because: z.Because})
	}
	if g := p.BreakGlass; g != nil {
		out.BreakGlass = &astern.BreakGlass{Roles: g.Roles, ReviewSeconds: g.Review.seconds()}
	}
	return out
}

// judgePolicies reports what the policies' values mean together, where their own values could be read.
func (f *file) judgePolicies(system astern.System) {
	for _, env := range system.Environments {
		path := join("environments", env.Name, "policy")
		if f.more || f.broken(path) || !f.locate(path).found {
			continue
		}
		if env.Policy.ApprovalsSigned && system.AllowedSigners == "" {
			f.at(join(path, "approvals_signed"), "{} needs to know whose key is whose", "name the file with allowed_signers at the top")
		}
		var names []string
		for _, c := range env.Components {
			names = append(names, c.Name)
		}
		for _, p := range policy.Problems(env.Policy, names) {
			at := path + "/" + p.Path
			if v := f.locate(at); !v.found && strings.Contains(p.Path, "/") {
				at = at[:strings.LastIndexByte(at, '/')] // a key that the file leaves out
			}
			f.at(at, p.What, p.Hint)
		}
	}
}

// mostPast is the longest past that is replayed: what a source is asked for by quarters of a minute.
const mostPast = 16 * 24 * time.Hour

// judgeLevel reports what is wrong with how often the judge may be wrong.
func (f *file) judgeLevel(path string, j JudgeRule) {
	if p := j.FalseAlarms; p != nil && !(*p > 0 && *p <= 20) {
		f.at(join(path, "false_alarms"), fmt.Sprintf("{} of %g %% is no probability that anybody wants", *p), "above 0 and up to 20 percent; 0.1 is the default")
	}
	if j.Level != "" && j.Level != "guaranteed" && j.Level != "calibrated" && !f.broken(join(path, "level")) {
		f.at(join(path, "level"), "{} must be guaranteed or calibrated", didYouMean(j.Level, []string{"guaranteed", "calibrated"}, ""))
	}
	f.wholeSeconds(join(path, "past"), j.Past)
	switch at := join(path, "past"); {
	case j.Past == nil:
	case j.Level != "calibrated":
		f.at(at, "{} is for the level calibrated", "remove it, or write level: calibrated")
	case time.Duration(*j.Past) < 6*time.Hour || time.Duration(*j.Past) > mostPast:
		f.at(at, "{} must lie between 6h and 384h", "168h is the default")
	}
}
