package astern

import (
	"context"
	"time"
)

// Claim is what a place (a host's release root, a site, a file of flags) says of the execution that acts there: nobody else may
// until it ends. It keeps operators apart who have no state folder in common.
type Claim struct {
	Fence     int64     `json:"fence"`
	Execution string    `json:"execution"`
	Address   string    `json:"address"`
	At        time.Time `json:"at"`
	// Owner identifies the execution among those of all state folders.
	Owner string `json:"owner,omitempty"`
	// By says to a person who carries it out, and where.
	By string `json:"by,omitempty"`
	// Open is true until the execution has ended.
	Open bool `json:"open,omitempty"`
}

// Claimer keeps executions of different state folders apart, for kinds whose components are in places that can remember.
// What a place remembers is observed at MEMBER/claim, as JSON. A component without members is one place itself: its one key
// below is "", and what it remembers is observed at claim.
type Claimer interface {
	// Claim claims the places of the members for an execution. Seen holds what each member's place said when
	// the facts were read, the zero Claim where it said nothing: a place that says another thing now is refused as a
	// Conflict that names who was there, and so is one that an open claim holds, unless its owner is among over. A place
	// that says that it is ours is given the new fence. Places that can't be asked are an Unavailable error. After an error
	// nothing is under way any more, and some places may be claimed: Release gives them back.
	Claim(ctx context.Context, c Component, mine Claim, seen map[string]Claim, over []string) error
	// Release writes into the places of the members that the execution has ended, where the claim is still its own.
	Release(ctx context.Context, c Component, mine Claim, members []string) error
}
