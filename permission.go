package astern

// Permission is one thing that a cloud's access control must allow astern's credentials, for a component.
type Permission struct {
	// Action is what must be allowed, as the cloud calls it: lambda:UpdateAlias.
	Action string
	// Resource is on what: a name of the cloud in which * stands for anything and ? for a character, and * alone where the
	// cloud knows no narrower one.
	Resource string
	// Example is a resource of that pattern which a recovery needs, where it can't be told from the observed state.
	Example string
	// When holds the conditions that every call of astern fulfils: operator -> key -> values.
	When map[string]map[string][]string
	Use  PermissionUse
	// Verbs are those of the steps that need it; empty for what is only read, and for what every step needs.
	Verbs []string
	// Depends is set where it is needed only for some contents of the cloud, which the declaration does not tell: for those
	// that a key of the account's own encrypts.
	Depends bool
	// Forbidden turns it round: what must be denied explicitly, because the pattern of another permission is wider than its need.
	Forbidden bool
	// Why says what it is for, in a few words: "moving the alias".
	Why string
}

// PermissionUse is what a permission is needed for.
type PermissionUse string

// The uses. Nobody needs UseDiscover after init, and UsePrune is apart because it deletes.
const (
	UseRead     PermissionUse = "read"     // observing, judging, planning; steps read as well
	UseDiscover PermissionUse = "discover" // astern init
	UseRecover  PermissionUse = "recover"  // steps that change something
	UsePrune    PermissionUse = "prune"    // deleting what no release needs any more
)

// Permitter tells what a driver must be allowed.
type Permitter interface {
	// Permissions returns everything that the driver may ask the cloud for on behalf of the component. It is pure, and
	// answers nothing for settings that are not valid.
	Permissions(c Component) []Permission
}

// MatchesPattern reports whether text is one that the pattern stands for: * for any characters, ? for one.
func MatchesPattern(pattern, text string) bool {
	p, t, star, mark := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
