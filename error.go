package astern

import (
	"errors"
	"fmt"
)

// Code classifies an error. Whether a retry can help and which exit code it leads to are decided from it, in one table.
type Code string

// The codes of an Error.
const (
	Invalid     Code = "invalid"     // wrong usage or input; nothing was changed
	NotFound    Code = "not_found"   // what was named does not exist
	Conflict    Code = "conflict"    // somebody else holds it, or it exists already
	Refused     Code = "refused"     // a guard, a policy, a latch or a changed world forbids it
	Denied      Code = "denied"      // the credentials do not allow it
	Throttled   Code = "throttled"   // the other side asks to be asked less often
	Unavailable Code = "unavailable" // the other side could not be reached or did not answer in time
	Internal    Code = "internal"    // a fault of astern or of the machine it runs on
	NotReady    Code = "not_ready"   // a component has no ready target, or a check failed or is unknown
	Waiting     Code = "waiting"     // waits for an approval, a resume or a person's tick
	Held        Code = "held"        // stopped half-way; a person must decide
	Interrupted Code = "interrupted" // ended by the user's signal
)

// codes is the one table in which an error code is read: the process exit code, and whether trying again can help.
var codes = map[Code]struct {
	exit      int
	transient bool
}{
	Invalid: {2, false}, NotFound: {2, false}, Conflict: {3, false}, Refused: {3, false}, Denied: {3, false},
	Throttled: {1, true}, Unavailable: {1, true}, Internal: {1, false},
	NotReady: {4, false}, Waiting: {5, false}, Held: {6, false}, Interrupted: {130, false},
}

// ErrNothingToDo is the cause of an error that says that all is already as it should be.
var ErrNothingToDo = errors.New("nothing to do")

// Error is the one error type of astern. Doing names what was being done to what ("reading astern.yaml", "restarting
// shop-1 on web-1"); Hint tells the person what to do about it. Error and hint are printed apart.
type Error struct {
	Code  Code
	Doing string
	Cause error
	Hint  string
}

// Error returns "doing: cause" without the hint.
func (e *Error) Error() string {
	switch {
	case e.Cause == nil:
		return e.Doing
	case e.Doing == "":
		return e.Cause.Error()
	}
	return e.Doing + ": " + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an Error whose message is the formatted text; a %w verb keeps its operand as the cause for errors.Is.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Cause: fmt.Errorf(format, args...)}
}

// WithHint returns a copy of e that carries the hint.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// CodeOf returns the code of the outermost Error in err's chain, or Internal. CodeOf(nil) is "".
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}

// HintOf returns the first hint in err's tree, or "": the outermost, and of joined errors that of the first which has one.
func HintOf(err error) string {
	if e, ok := err.(*Error); ok && e.Hint != "" {
		return e.Hint
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return HintOf(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			if hint := HintOf(one); hint != "" {
				return hint
			}
		}
	}
	return ""
}

// ExitCode returns the process exit code for err: 0 for nil, else what the code's row says (see docs/exit-codes in the help).
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	return codes[CodeOf(err)].exit
}

// Transient reports whether trying the same thing again, without a change, can help.
func (c Code) Transient() bool { return codes[c].transient }
