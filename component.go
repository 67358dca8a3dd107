package astern

import (
	"encoding/json"
	"time"
)

// Component is one part of a system as its owner declared it.
type Component struct {
	Environment string   `json:"environment"`
	Name        string   `json:"name"`
	Kind        string   `json:"kind"`
	DependsOn   []string `json:"depends_on,omitempty"` // names of components of the same environment
	// Settings is the kind's own part of the declaration (the `with` of astern.yaml) as JSON, already checked against
	// the kind's settings type; the driver decodes it.
	Settings   json.RawMessage `json:"with,omitempty"`
	Objectives Objectives      `json:"objectives"`
	Checks     []Check         `json:"checks,omitempty"`
	// Ready names the checks that an instance must pass before the next one is touched.
	Ready []string `json:"ready,omitempty"`
	// Validate names the checks that prove a recovery; empty means all checks of the component.
	Validate []string `json:"validate,omitempty"`
	// Checklist is worked through after a recovery: each item is ticked by a check or by a named person.
	Checklist []ChecklistItem `json:"checklist,omitempty"`
	// Signals are the measured series that tell a bad release, in the order of the file.
	Signals []Signal `json:"signals,omitempty"`
	// Alarms judge beside the signals, in the order of the file.
	Alarms []Alarm `json:"alarms,omitempty"`
	// Logs are where the failures of the component can be read; nil where nobody knows.
	Logs *LogSource `json:"logs,omitempty"`
	// Flags are those that switch parts of the component off.
	Flags []FlagUse `json:"flags,omitempty"`
	// Hosts are those of the environment.
	Hosts []Host `json:"hosts,omitempty"`
	// Folder is the absolute folder of astern.yaml.
	Folder string `json:"-"`
}

// Objectives are the recovery objectives as wanted. An RTO of zero means none was declared; an RPO of zero means that
// nothing may be lost.
type Objectives struct {
	RTOSeconds int64  `json:"rto_seconds,omitempty"`
	RPOSeconds *int64 `json:"rpo_seconds,omitempty"`
	// ProofSeconds is how long a proof of readiness counts; older ones make a target at risk. Zero means 90 days.
	ProofSeconds int64 `json:"proof_seconds,omitempty"`
}

// DefaultProofAge is how long a proof of readiness counts where the component does not say.
const DefaultProofAge = 90 * 24 * time.Hour

// ProofAge returns how long a proof of readiness counts.
func (o Objectives) ProofAge() time.Duration {
	if o.ProofSeconds == 0 {
		return DefaultProofAge
	}
	return time.Duration(o.ProofSeconds) * time.Second
}

// Watchable reports whether something tells a bad release of the component: signals or alarms.
func (c Component) Watchable() bool { return len(c.Signals)+len(c.Alarms) > 0 }

// Address returns ENV/COMPONENT.
func (c Component) Address() string { return Address(c.Environment, c.Name) }

// Host returns the component's host of that name.
func (c Component) Host(name string) (Host, bool) {
	for _, h := range c.Hosts {
		if h.Name == name {
			return h, true
		}
	}
	return Host{}, false
}

// ChecklistItem is one line of the list that is worked through after a recovery. Check names the check that ticks it;
// empty means a named person does.
type ChecklistItem struct {
	Item  string `json:"item"`
	Check string `json:"check,omitempty"`
}

// TenPoints are the ten points that a recovery's checklist covers (REQUIREMENTS R9), in order. A component's own
// checklist refers to them by these names; points it leaves out are for a person to tick.
var TenPoints = []string{
	"health", "version", "error-rate", "latency", "business-metrics",
	"alerts", "smoke-tests", "user-flows", "database-connections", "external-integrations",
}
