package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
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
func writeFile(name string, content []byte, mode os.FileMode) error {
	return writeFiles(mode, written{name, content})
}

// written is a file that is written together with others; without content it is taken away.
type written struct {
	name    string
	content []byte
}

// writeFiles writes files in their order, each as a whole, and none of them where one finds no room.
func writeFiles(mode os.FileMode, all ...written) error {
	fail := func(w written, err error) error {
		return &astern.Error{Code: astern.Invalid, Doing: "writing " + w.name, Cause: err, Hint: "nothing was written; choose another place"}
	}
	beside := make([]string, len(all))
	defer func() {
		for _, name := range beside {
			if name != "" {
				_ = os.Remove(name) // the first error says more
			}
		}
	}()
	for i, w := range all {
		if info, err := os.Lstat(w.name); err == nil && info.IsDir() {
			return fail(w, errors.New("it is a folder"))
		}
		if w.content == nil {
			continue
		}
		var err error
		if beside[i], err = writeBeside(w, mode); err != nil {
			return fail(w, err)
		}
	}
	for i, w := range all {
		if w.content == nil {
			if err := os.Remove(w.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fail(w, err)
			}
		} else if err := os.Rename(beside[i], w.name); err != nil {
			return fail(w, err)
		}
		beside[i] = ""
	}
	return nil
}

// writeBeside writes a file under another name, which it returns also where it is to be removed again.
func writeBeside(w written, mode os.FileMode) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(w.name), ".astern-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(w.content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return f.Name(), err
}
