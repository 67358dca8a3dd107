// Package replay judges the past again: the decisions of an incident by another policy, those of shadow mode as if they had
// been acted on, and a recording of what the watch saw. It is pure, and uses the same judge as the watch itself.
//
// What it says was saved or lost is reckoned from what was counted then: failed requests beyond the usual rate, evenly
// spread between two moments at which they were counted, and ways that take as long as they took in the past. What people
// would have done it never guesses.
package replay
