package view

import (
	"io"
	"strings"

	"github.com/astern-dev/astern"
)

// Error writes an error for a person: "error: …", then "hint: …" when there is one. Errors that were joined are each
// written with their own hint. A message of several lines keeps them, indented.
func Error(w io.Writer, st Style, err error) error {
	if err == nil {
		return nil
	}
	p := newPrinter(st)
	for _, e := range parts(err) {
		p.message(bad("error"), e.Error())
		if hint := astern.HintOf(e); hint != "" {
			p.message(accent("hint"), hint)
		}
	}
	return p.flush(w)
}

// Warning writes "warning: …" for something that a person should know and that stopped nothing.
func Warning(w io.Writer, st Style, what string) error {
	p := newPrinter(st)
	p.message(warn("warning"), what)
	return p.flush(w)
}

// message prints "label: text". It is not wrapped: positions, paths and commands in it are to be copied.
func (p *printer) message(label span, s string) {
	for i, l := range strings.Split(strings.TrimRight(p.st.Command(s), "\n"), "\n") {
		if i == 0 {
			p.raw(tx(label, ": ", l))
		} else {
			p.raw(tx("  ", l))
		}
	}
}

// parts takes apart errors.Join, also below wrapping that adds nothing to the text.
func parts(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range j.Unwrap() {
			out = append(out, parts(e)...)
		}
		// Only a plain join is taken apart; fmt.Errorf with several %w has words of its own.
		if lines := make([]string, len(j.Unwrap())); len(lines) > 0 {
			for i, e := range j.Unwrap() {
				lines[i] = e.Error()
			}
			if strings.Join(lines, "\n") == err.Error() {
				return out
			}
		}
	}
	return []error{err}
}

// ErrorReport is the JSON document of an error.
type ErrorReport struct {
	Code     astern.Code `json:"code"`
	ExitCode int         `json:"exit_code"`
	Error    string      `json:"error"`
	Hint     string      `json:"hint,omitempty"`
	// Errors are the single ones when several were found at once.
	Errors []ErrorPart `json:"errors,omitempty"`
}

// ErrorPart is one of several errors.
type ErrorPart struct {
	Code  astern.Code `json:"code"`
	Error string      `json:"error"`
	Hint  string      `json:"hint,omitempty"`
}

// ErrorDocument makes the JSON document of err.
func ErrorDocument(err error) ErrorReport {
	if err == nil {
		return ErrorReport{}
	}
	r := ErrorReport{Code: astern.CodeOf(err), ExitCode: astern.ExitCode(err), Error: err.Error(), Hint: astern.HintOf(err)}
	if all := parts(err); len(all) > 1 {
		for _, e := range all {
			r.Errors = append(r.Errors, ErrorPart{astern.CodeOf(e), e.Error(), astern.HintOf(e)})
		}
	}
	return r
}

// MarshalJSON adds kind and version.
func (r ErrorReport) MarshalJSON() ([]byte, error) {
	type plain ErrorReport
	return document("Error", plain(r))
}
