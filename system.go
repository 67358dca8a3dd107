package astern

import "strings"

// System is what the user declares in astern.yaml, decoded and validated.
type System struct {
	Name         string        `json:"name"`
	Environments []Environment `json:"environments"`
	// Knowledge is the user's own advice which way to prefer; it comes before what astern brings along.
	Knowledge []Advice `json:"knowledge,omitempty"`
	// Folder is the absolute folder of astern.yaml; relative paths in it are resolved against it.
	Folder string `json:"-"`
	// AllowedSigners and RevokedSigners are the files of the keys that may and may no longer sign plans; "" when none.
	AllowedSigners string `json:"-"`
	RevokedSigners string `json:"-"`
	// AuditCopy is the folder, AuditCommand the command that gets a checkpoint of the audit log after each record; with
	// neither it has no second place.
	AuditCopy    string   `json:"-"`
	AuditCommand []string `json:"-"`
	// Channels are how people are told what happens, in the order of the file.
	Channels []Channel `json:"channels,omitempty"`
}

// Environment is production, staging …: a set of components that run together.
type Environment struct {
	Name       string      `json:"name"`
	Components []Component `json:"components"` // in the order of the file
	Hosts      []Host      `json:"hosts,omitempty"`
	// Compatible lists which revisions can work together.
	Compatible []Compatibility `json:"compatible,omitempty"`
	Policy     Policy          `json:"policy"`
}

// Compatibility is one declared rule: a revision of When's component that satisfies When.Range needs a revision of
// Needs' component that satisfies Needs.Range.
type Compatibility struct {
	When    RevisionRange `json:"when"`
	Needs   RevisionRange `json:"needs"`
	Because string        `json:"because,omitempty"`
}

// RevisionRange names revisions of one component: space-separated comparisons of semantic versions that must all hold
// (">=v1.2.0 <v2"), or an exact revision.
type RevisionRange struct {
	Component string `json:"component"`
	Range     string `json:"range"`
}

// Host is a machine on which a component's instances run. SSH is nil for the machine that astern runs on.
type Host struct {
	Name string `json:"name"`
	SSH  *SSH   `json:"ssh,omitempty"`
}

// SSH says how a host is reached. Host keys are always verified against KnownHosts.
type SSH struct {
	Address    string  `json:"address" jsonschema:"description=host or host:port"`
	User       string  `json:"user,omitempty" jsonschema:"description=login name (default: the current user)"`
	KeyFile    string  `json:"key_file,omitempty" jsonschema:"description=private key file"`
	Passphrase *Secret `json:"passphrase,omitempty" jsonschema:"description=passphrase of the key file"`
	Agent      bool    `json:"agent,omitempty" jsonschema:"description=use the SSH agent of SSH_AUTH_SOCK"`
	KnownHosts string  `json:"known_hosts,omitempty" jsonschema:"description=known_hosts file (default ~/.ssh/known_hosts)"`
}

// Address returns ENV/COMPONENT, the name of a component everywhere: in plans, ledger, lease and latch.
func Address(environment, component string) string { return environment + "/" + component }

// SplitAddress is the inverse of Address; ok is false when address is not of the form ENV/COMPONENT.
func SplitAddress(address string) (environment, component string, ok bool) {
	environment, component, ok = strings.Cut(address, "/")
	return environment, component, ok && environment != "" && component != "" && !strings.Contains(component, "/")
}

// Environment returns the environment of that name.
func (s System) Environment(name string) (Environment, bool) {
	for _, e := range s.Environments {
		if e.Name == name {
			return e, true
		}
	}
	return Environment{}, false
}

// Component returns the component at the address.
func (s System) Component(address string) (Component, bool) {
	env, name, ok := SplitAddress(address)
	if !ok {
		return Component{}, false
	}
	e, ok := s.Environment(env)
	if !ok {
		return Component{}, false
	}
	return e.Component(name)
}

// Component returns the environment's component of that name.
func (e Environment) Component(name string) (Component, bool) {
	for _, c := range e.Components {
		if c.Name == name {
			return c, true
		}
	}
	return Component{}, false
}
