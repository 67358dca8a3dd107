package astern

import "time"

// Policy is what an environment demands before a plan may be applied.
type Policy struct {
	// Approvals is how many people other than the one who asks must approve a plan that loses no data.
	Approvals int `json:"approvals"`
	// ApprovalsOnLoss is how many must approve a plan that loses data.
	ApprovalsOnLoss int `json:"approvals_on_loss"`
	// PlanSeconds is how long a plan may be applied after it was made. Zero means 24 hours.
	PlanSeconds int64 `json:"plan_seconds,omitempty"`
	// WatchSeconds is how long a new or restored revision is watched before it is known-good.
	WatchSeconds int64 `json:"watch_seconds"`
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
