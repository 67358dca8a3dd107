package cli

import (
	"cmp"
	"slices"
	"strings"

	"github.com/astern-dev/astern/internal/view"
)

// afterPlan are the commands that follow a plan which was only shown: what was asked for, as it was typed, so that it runs as
// it is printed.
func (s *session) afterPlan(f *askFlags) []string {
	asked, global := retyped(s.args)
	made := slices.Clone(asked)
	var next []string
	if f.dryRun {
		next = []string{view.ShellLine(append([]string{"astern"}, asked...)...)}
		made = append([]string{"plan"}, slices.DeleteFunc(made, func(w string) bool {
			name, _, _ := strings.Cut(w, "=")
			return name == "--yes" || name == "--take-over"
		})...)
	}
	if f.out == "" {
		out := slices.Index(made, "--")
		if out < 0 {
			out = len(made)
		}
		made = slices.Insert(made, out, "--out", "plan.json")
		return append(next, view.ShellLine(append([]string{"astern"}, made...)...), view.ShellLine(append([]string{"astern", "apply", "plan.json"}, global...)...))
	}
	return append(next, view.ShellLine(append([]string{"astern", "apply", f.out}, global...)...))
}

// which are the words that say which file, state and environment this run is about, as they are to be typed where nothing else
// says so: not the default, and not a variable of the environment.
func (s *session) which() string {
	var words []string
	for _, of := range [][3]string{{"-f", s.file, cmp.Or(s.env("ASTERN_FILE"), "astern.yaml")}, {"--state", s.state, s.env("ASTERN_STATE")},
		{"-e", s.environment, s.env("ASTERN_ENVIRONMENT")}} {
		if flag, value, otherwise := of[0], of[1], of[2]; value != "" && value != otherwise {
			words = append(words, flag, value)
		}
	}
	return view.ShellLine(words...)
}

// retyped returns the words of a command line that are to be typed again: all but --dry-run and the output's form. Those that
// say which system and state are meant come a second time, for commands that follow.
func retyped(args []string) (again, global []string) {
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(again, args[i:]...), global
		}
		words := args[i : i+1]
		name, _, given := strings.Cut(args[i], "=")
		if len(name) > 2 && name[0] == '-' && name[1] != '-' && strings.ContainsRune("foe", rune(name[1])) { // -oVALUE
			name, given = name[:2], true
		}
		which := slices.Contains([]string{"-f", "--file", "--state", "-e", "--environment"}, name)
		form := name == "-o" || name == "--output"
		if (which || form) && !given && i+1 < len(args) {
			i++
			words = args[i-1 : i+1]
		}
		if which {
			global = append(global, words...)
		}
		if !form && name != "--dry-run" {
			again = append(again, words...)
		}
	}
	return again, global
}
