// Package astern is the vocabulary of the rollback and disaster-recovery system of the same name: plain data and the
// small contracts between its parts. It does no I/O, starts no goroutine and reads no clock; everything else in the
// module imports it and it imports only the standard library.
//
// Data goes one way:
//
//	astern.yaml -> observe -> targets + readiness -> plan -> approve -> execute -> validate -> report
//
// A reading order for newcomers:
//
//   - system.go, component.go: what a user declares
//   - state.go: what a driver saw, each value known (with its age) or unknown (with the reason)
//   - target.go: a state to go back to, and the evidence for whether it can be reached now
//   - plan.go, stage.go, step.go: what will be done, as data that is stored, hashed, approved and applied
//   - execution.go: the journal of a plan being carried out
//   - ledger.go: what was deployed where, when, by whom, and what is latched
//   - driver.go: the abilities of the code that knows one kind of component
//   - error.go: the one error type and the tables that read it
package astern
