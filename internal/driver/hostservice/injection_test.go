package hostservice

import (
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/drivertest"
	"github.com/astern-dev/astern/internal/proof"
)

// TestInjection gives hostile texts to everything of a call and of a release root that takes text, on this machine and
// over a real SSH server. A text is refused, or arrives as one argument, byte by byte; no shell reads it, and nothing is
// written outside the root.
func TestInjection(t *testing.T) {
	t.Parallel()
	first, count := proof.Seeds(t, 16)
	for _, c := range []struct {
		name   string
		change func(testing.TB) *lab
	}{{"local", func(t testing.TB) *lab { return newLab(t, nil) }}, {"ssh", func(t testing.TB) *lab { return newLab(t, overSSH(t)) }}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := c.change(t)
			l.write("record", "#!/bin/sh\nverb=$1\nshift\nprintf '%s\\0' \"$@\" >recorded\nexec ./ctl \"$verb\" a\n", 0o755)
			outside := filepath.Dir(l.root)
			before := entries(t, outside)
			g := injection{l, l.before(l.first(verbSwap)), l.first(verbRestart), filepath.Join(outside, "pwned"), map[string]float64{}}
			for seed := first; seed < first+count && !t.Failed(); seed++ {
				rnd := rand.New(rand.NewPCG(seed, 0x1a7))
				g.argument(rnd)
				g.command(rnd)
				g.folder(rnd)
				if t.Failed() {
					t.Logf("repeat it: ASTERN_PROOF_FIRST=%d ASTERN_PROOF_COUNT=1 go test -run '^TestInjection$' ./internal/driver/hostservice", seed)
				}
			}
			if after := entries(t, outside); !slices.Equal(before, after) {
				t.Errorf("outside the root is now %q, was %q", after, before)
			}
			if err := filepath.WalkDir(outside, func(at string, _ fs.DirEntry, err error) error {
				if err == nil && strings.Contains(filepath.Base(at), "pwned") {
					t.Errorf("a shell read a hostile text: %s", at)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
			proof.Figures(t, g.figures)
		})
	}
}

// entries lists what lies beside the root.
func entries(t *testing.T, folder string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

type injection struct {
	*lab
	good    astern.Call
	restart astern.Call // as it is planned
	canary  string
	figures map[string]float64
}

// argument puts a hostile text into an argument of a step, as a forged plan would. No such step is carried out.
func (g injection) argument(rnd *rand.Rand) {
	text := drivertest.Hostile(rnd, g.canary)
	c := g.good
	c.Verb = []string{verbSwap, verbRestart, verbCopy, verbDrain, verbUndrain}[rnd.IntN(5)]
	c.Args = map[string]astern.Arg{"source": astern.Text("/nowhere/v1")}
	for k, a := range g.good.Args {
		c.Args[k] = a
	}
	c.Token = "ast-forged"
	switch what := []string{"revision", "root", "releases", "link", "places", "unit", "pid_file", "instance", "host", "token", "verb"}[rnd.IntN(11)]; what {
	case "token":
		if c.Token = text; tokenShape.MatchString(text) {
			return
		}
	case "verb":
		c.Verb = text
	case "places":
		c.Args[what] = astern.List(text+" "+"local", "a "+text)
	case "releases", "link", "pid_file":
		if c.Args[what] = astern.Text(g.root + "/" + text); goodBelow(text) {
			return
		}
	default:
		if what == "unit" && (text == "" || unitShape.MatchString(text)) || what != "unit" && text == "" || what == "revision" && goodRevision(text) {
			return
		}
		c.Args[what] = astern.Text(text)
	}
	g.figures["arguments"]++
	if op := g.driver.Actor.Start(g.Context(), c); op.Status != astern.OpFailed {
		g.Errorf("%s is carried out with a hostile text %.60q: %+v\n%v", c.Verb, text, op, c.Args)
	}
}

// commandPlaces are the places of a call that hold a command of the user's.
var commandPlaces = []string{"swap.status", "restart.status", "restart.restart", "restart.start", "restart.stop", "drain.command", "undrain.command"}

// command runs a declared command with a hostile argument, which must arrive as it is, while all else of the call is honest. The
// program that is declared records its arguments and then does what ctl does.
func (g injection) command(rnd *rand.Rand) {
	g.Helper()
	text, at := drivertest.Hostile(rnd, g.canary), commandPlaces[rnd.IntN(len(commandPlaces))]
	c := g.commanded(at, text)
	g.figures["commands"]++
	g.figures["commands_"+strings.ReplaceAll(at, ".", "_")]++
	g.forget()
	image, err := g.driver.Actor.Before(g.Context(), c)
	if strings.ContainsRune(text, 0) {
		g.unrunnable(at, c, image, err)
		return
	}
	if err != nil {
		g.Errorf("argument %.60q at %s: %v", text, at, err)
		return
	}
	looks := strings.HasSuffix(at, ".status")
	if looks {
		g.arrived(at, text)
		g.forget()
	}
	c.Image = image
	if op := g.finish(c, g.driver.Actor.Start(g.Context(), c)); op.Status != astern.OpDone {
		g.Errorf("argument %.60q at %s: %+v", text, at, op)
	}
	if at != "swap.status" { // which is asked for the image alone
		g.arrived(at, text)
	}
}

// commanded is a call whose command at that place has the text.
func (g injection) commanded(at, text string) astern.Call {
	verb, arg, _ := strings.Cut(at, ".")
	honest, does := g.good, arg
	if verb == verbRestart {
		honest = g.restart
	}
	args := maps.Clone(honest.Args)
	switch arg {
	case "start", "stop":
		delete(args, "restart")
		args["start"], args["stop"] = astern.List("./ctl", "start", "a"), astern.List("./ctl", "stop", "a")
	case "command":
		does = verb
	}
	args[arg] = astern.List("./record", does, text, "end")
	return g.call(at, &astern.Step{Address: honest.Address, Kind: Kind, Verb: verb, Args: args}, "a", 1)
}

// unrunnable requires of a call whose command has a NUL byte, which no argument can hold, that the command is not run. A swap goes on:
// what runs there is only noted.
func (g injection) unrunnable(at string, c astern.Call, image astern.Image, err error) {
	g.Helper()
	want := astern.OpFailed
	if at == "swap.status" {
		want = astern.OpDone
	}
	op := astern.Op{Status: astern.OpFailed}
	if err == nil {
		c.Image = image
		op = g.finish(c, g.driver.Actor.Start(g.Context(), c))
	}
	if got := g.read("recorded"); op.Status != want || got != "" {
		g.Errorf("an argument with a NUL byte at %s: %+v, %v, recorded %q", at, op, err, got)
	}
	g.ctl("restart", "a") // it may have been stopped
}

func (g injection) forget() { os.Remove(filepath.Join(g.root, "recorded")) }

// arrived requires that the command was run with the text as one argument, but for the placeholders that every declared command has.
func (g injection) arrived(at, text string) {
	g.Helper()
	want := strings.NewReplacer("{instance}", "a", "{address}", "127.0.0.1:1", "{root}", g.root, "{link}", g.root+"/links/a").Replace(text)
	if got := g.read("recorded"); got != want+"\x00end\x00" {
		g.Errorf("argument %.60q at %s arrived as %.80q", text, at, got)
	}
}

// folder gives a hostile name to a folder among the releases. It is no target, and what is said of it is one line.
func (g injection) folder(rnd *rand.Rand) {
	name := drivertest.Hostile(rnd, "pwned")
	at := filepath.Join(g.root, "releases", name)
	if strings.ContainsAny(name, "/\x00") || name == "" || len(name) > 255 || name == "." || name == ".." {
		return
	}
	if err := os.Mkdir(at, 0o755); err != nil {
		return // the file system takes no such name, or it is one of the releases
	}
	g.figures["folders"]++
	s := g.observe()
	for _, target := range g.driver.Router.Targets(g.c, s, g.history()) {
		if !goodRevision(target.Revision) {
			g.Errorf("the folder %q is a target: %q", name, target.Revision)
		}
	}
	for path, v := range s.Values {
		if strings.ContainsFunc(path+v.Text+v.Unknown, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			g.Errorf("the folder %q makes a value with control characters: %q = %q %q", name, path, v.Text, v.Unknown)
		}
	}
	if err := os.Remove(at); err != nil {
		g.Fatal(err)
	}
}
