package view

import (
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/astern-dev/astern"
)

// ColorMode is what --color asks for.
type ColorMode string

// The colour modes.
const (
	ColorAuto   ColorMode = "auto"
	ColorAlways ColorMode = "always"
	ColorNever  ColorMode = "never"
)

// ParseColorMode returns the mode of that name, or an Invalid error; "" is auto.
func ParseColorMode(s string) (ColorMode, error) {
	switch m := ColorMode(s); m {
	case ColorAuto, ColorAlways, ColorNever:
		return m, nil
	case "":
		return ColorAuto, nil
	}
	return "", astern.Errorf(astern.Invalid, "--color %s is not known", clean(s)).WithHint("use auto, always or never")
}

// UseColor decides whether to colour: --color first, then NO_COLOR, CLICOLOR_FORCE, CLICOLOR=0 and TERM=dumb, then
// whether the output is a terminal.
func UseColor(mode ColorMode, getenv func(string) string, isTTY bool) bool {
	switch force := getenv("CLICOLOR_FORCE"); {
	case mode == ColorAlways:
		return true
	case mode == ColorNever, getenv("NO_COLOR") != "":
		return false
	case force != "" && force != "0":
		return true
	case getenv("CLICOLOR") == "0", getenv("TERM") == "dumb":
		return false
	}
	return isTTY
}

// Style says how to render.
type Style struct {
	// Color turns on SGR colours.
	Color bool
	// Width is the number of columns; 0 means 80.
	Width int
	// Height is the number of lines that a live view may use; 0 means 24.
	Height int
	// Verbose shows all evidence, facts and records.
	Verbose bool
	// Now is the moment against which ages are told. Its location is the one that times are shown in.
	Now time.Time
	// Global are the words of this command line that say which system and which state are meant, as they are typed: commands
	// that are printed carry them.
	Global string
}

// commandWord finds astern's commands in a text. Prose that goes on with another word than a command's name is none. It is made
// when it is first used: most runs need none.
var commandWord = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(^|[\s(])astern (allow|apply|approve|audit|cancel|check|completion|deploy|executions|export|follow|history|iam-policy|incidents|init|judge|` +
		`kinds|lab|latch|ledger|may|notify|off|pause|plan|policy|record|redeploy|reject|replay|report|resume|rollback|schema|settle|show|skip|status|targets|tick|undo|validate|watch)\b`)
})

// Command is a text with commands that a person may copy. They get what says which system and state are meant.
func (st Style) Command(text string) string {
	if missing := func(word string) bool { return !strings.Contains(text, word) }; !slices.ContainsFunc(strings.Fields(st.Global), missing) {
		return text
	}
	return commandWord().ReplaceAllString(text, "${1}astern "+strings.ReplaceAll(st.Global, "$", "$$")+" ${2}")
}

// StyleFor returns the style for an output and whether that is a terminal on which lines can be redrawn. Anything but
// a terminal gets 80 columns.
func StyleFor(w io.Writer, mode ColorMode, getenv func(string) string, now time.Time) (st Style, live bool) {
	st = Style{Now: now}
	isTTY := false
	if f, ok := w.(interface{ Fd() uintptr }); ok && term.IsTerminal(int(f.Fd())) {
		isTTY = true
		if width, height, err := term.GetSize(int(f.Fd())); err == nil {
			st.Width, st.Height = width, height
		}
	}
	st.Color = UseColor(mode, getenv, isTTY)
	return st, isTTY && getenv("TERM") != "dumb"
}

func (st Style) width() int {
	switch {
	case st.Width <= 0:
		return 80
	case st.Width < 20:
		return 20 // narrower than this nothing is readable; the terminal wraps
	}
	return st.Width
}

func (st Style) height() int {
	if st.Height <= 0 {
		return 24
	}
	return st.Height
}

// role is what a piece of text means. The theme gives each its colour.
type role uint8

const (
	rolePlain role = iota
	roleGood
	roleWarn
	roleBad
	roleAccent
	roleDim
	roleStrong
)

// theme maps the roles to SGR parameters that are readable on dark and on light backgrounds.
var theme = map[role]string{
	roleGood: "32", roleWarn: "33", roleBad: "31", roleAccent: "36", roleDim: "2", roleStrong: "1",
}
