package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/view"
)

// style is how to render for an output.
func (s *session) style(w io.Writer) view.Style {
	st, _ := s.terminal(w)
	return st
}

// terminal is how to render for an output, and whether lines on it can be redrawn.
func (s *session) terminal(w io.Writer) (st view.Style, live bool) {
	mode, err := view.ParseColorMode(s.color)
	if err != nil {
		mode = view.ColorAuto // the error about it has to be shown somehow
	}
	st, live = view.StyleFor(w, mode, s.env, time.Now())
	st.Verbose, st.Global = s.verbose, s.which()
	return st, live
}

// result writes a command's result to stdout, in the form that was asked for.
func (s *session) result(doc any, table func(w io.Writer, st view.Style) error) error {
	switch s.output {
	case "json":
		return heard(view.JSON(s.stdout, doc))
	case "yaml":
		return heard(view.YAML(s.stdout, doc))
	}
	return heard(table(s.stdout, s.style(s.stdout)))
}

// heard judges an error of writing to stdout: a reader that closed its pipe has seen enough, and what the command found or
// did stays as it is.
func heard(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

// rendered joins a report with its rendering.
func rendered[R any](f func(io.Writer, view.Style, R) error, r R) func(io.Writer, view.Style) error {
	return func(w io.Writer, st view.Style) error { return f(w, st, r) }
}

// done is the result of a command that has only to say that it was done.
type done struct {
	Kind      string        `json:"kind"` // always "Done"
	Version   int           `json:"version"`
	What      string        `json:"what"`
	DryRun    bool          `json:"dry_run,omitempty"`
	Unchanged bool          `json:"unchanged,omitempty"` // it was so already
	Execution string        `json:"execution,omitempty"`
	Event     *astern.Event `json:"event,omitempty"`
	Plan      string        `json:"plan,omitempty"` // its hash
	File      string        `json:"file,omitempty"`
	Next      []string      `json:"next,omitempty"`
}

// say writes what was done as the command's result.
func (s *session) say(d done) error {
	d.Kind, d.Version = "Done", view.DocumentVersion
	return s.result(d, func(w io.Writer, st view.Style) error {
		what := d.What
		if d.DryRun {
			what = "dry run, nothing was written: " + what
		}
		lines := []string{what}
		for _, n := range d.Next {
			lines = append(lines, "next  "+st.Command(n))
		}
		return text(w, lines...)
	})
}

// text writes lines, with characters that a terminal would obey made visible.
func text(w io.Writer, lines ...string) error {
	var b strings.Builder
	for _, l := range lines {
		for _, r := range l {
			if unicode.IsPrint(r) {
				b.WriteRune(r)
			} else {
				fmt.Fprintf(&b, `\u%04x`, r)
			}
		}
		b.WriteByte('\n')
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}

// writeFile writes a file as a whole or not at all, for its owner alone.
func writeFile(name string, content []byte, mode os.FileMode) (err error) {
	fail := func(err error) error {
		return &astern.Error{Code: astern.Invalid, Doing: "writing " + name, Cause: err, Hint: "nothing was written; choose another place"}
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".astern-*")
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the first error says more
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fail(err)
	}
	return nil
}
