package astern

import "fmt"

// FlagChange is what is asked of one feature flag: off everywhere, a smaller share in one segment, or one variant for
// everybody. The zero values of all but Flag ask for off everywhere.
type FlagChange struct {
	Flag string `json:"flag"`
	// Segment is PROPERTY=VALUE of the evaluation context: the change is for those who have it, and for nobody else.
	Segment string `json:"segment,omitempty"`
	// Percent is the share that may still get the feature, 0 to 100; nil where no share is asked for.
	Percent *int `json:"percent,omitempty"`
	// Serve names the variant that everybody gets, whatever the flag's targeting says: a kill switch.
	Serve string `json:"serve,omitempty"`
}

// String words the change: "new-checkout to 10 % where city=berlin".
func (c FlagChange) String() string {
	out := c.Flag + " off"
	switch {
	case c.Serve != "":
		return c.Flag + " to " + c.Serve + " for everybody"
	case c.Percent != nil && *c.Percent > 0:
		out = fmt.Sprintf("%s to %d %%", c.Flag, *c.Percent)
	}
	if c.Segment != "" {
		out += " where " + c.Segment
	}
	return out
}

// Switcher switches what a component holds without another revision being there yet: a flag in a file of flags. It is
// pure, as a Router is.
type Switcher interface {
	// Switch returns the target that the change makes of the state. The router's Route to it, with the change among the
	// options, is the way there. It returns a Refused or NotFound error with the reason when it can't be done.
	Switch(c Component, s State, change FlagChange) (Target, error)
	// Reach returns how many of all get the feature now, in percent; known is false where the state does not tell.
	Reach(c Component, s State, flag string) (percent float64, known bool)
}

// FlagUse is a flag that a service belongs to: switching it off takes away a part of the service.
type FlagUse struct {
	// Component holds the flag; it is of the same environment.
	Component string `json:"component" jsonschema:"minLength=1,description=component of this environment that holds the flag"`
	Flag      string `json:"flag" jsonschema:"minLength=1,description=name of the flag"`
	// Affects says for a person what is gone when it is off.
	Affects string `json:"affects,omitempty" jsonschema:"description=what is gone when it is off"`
	// Signals of the service in which a fault of that part shows: while none of them is worse, the fault is not in it.
	Signals []string `json:"signals,omitempty" jsonschema:"description=signals of this component that a fault of that part makes worse; while none of them is worse astern watch leaves the flag alone"`
}
