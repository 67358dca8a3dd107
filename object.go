package astern

// ObjectChange is what is asked of one object of a component that consists of many, such as a file of a site: that it is
// again what it is in an earlier revision, while everything else stays.
type ObjectChange struct {
	Object string `json:"object"`
	// Revision is the one that has the version asked for; "" lets the planner choose.
	Revision string `json:"revision,omitempty"`
}

// String words the change: "index.html as in v1.2.2".
func (c ObjectChange) String() string {
	if c.Revision == "" {
		return c.Object
	}
	return c.Object + " as in " + c.Revision
}

// Picker takes one object of a component back without the whole. It is pure, as a Router is.
type Picker interface {
	// Pick returns the target that the state becomes by the change: a release of its own. The router's Route to it, with
	// the change among the options, is the way there. The state holds the versions of the object (Scope.Objects). It returns
	// a Refused or NotFound error with the reason when it can't be done.
	Pick(c Component, s State, change ObjectChange) (Target, error)
}
