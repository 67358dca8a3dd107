package hostservice

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/drivertest"
	"github.com/astern-dev/astern/internal/host"
	"github.com/astern-dev/astern/internal/proof"
)

// TestClaimsWhileLinksAreSwapped claims, releases and swaps, here and over SSH, while another process exchanges the lock file
// and the history, again and again, for links to the like outside: nothing there is ever written, nor taken for the root's own.
func TestClaimsWhileLinksAreSwapped(t *testing.T) {
	first, count := proof.Seeds(t, 30)
	both(t, func(t *testing.T, l *lab) {
		outside := filepath.Join(filepath.Dir(l.root), "outside")
		theirs := fmt.Sprintf("%-511s\n", `{"fence":900000,"execution":"ex-theirs","address":"test/svc","owner":"feedfeedfeedfeed","open":true,"at":"2026-11-01T12:00:00Z"}`)
		l.write("../outside/.astern.lock", theirs, 0o644)
		l.write("../outside/.astern-history.jsonl", "theirs\n", 0o644)
		l.write(".astern.lock", "", 0o644)
		l.write(".astern-history.jsonl", "", 0o644)
		swap := l.before(l.first(verbSwap))
		before := drivertest.Files(t, outside)
		racing := drivertest.NewRacer(t, l.root, outside, ".astern.lock", ".astern-history.jsonl")
		figures := map[string]float64{}
		for seed := first; seed < first+count && !t.Failed(); seed++ {
			racing.Still(func() { l.link("links/a", "v2"); l.write(".astern.lock", "", 0o644) })
			mine := astern.Claim{Fence: 5, Execution: "ex-1", Address: l.c.Address(), Open: true, Owner: fmt.Sprintf("%016x", seed+1)}
			var said []string
			note := func(what string, err error) {
				end := "done"
				if err != nil {
					end, said = string(astern.CodeOf(err)), append(said, err.Error())
				}
				figures[what+"_"+end]++
			}
			switch seed % 3 {
			case 0:
				note("claim", l.driver.Claimer.Claim(t.Context(), l.c, mine, map[string]astern.Claim{"a": {}}, nil))
			case 1:
				line, err := json.Marshal(mine)
				mk(t, err)
				racing.Still(func() { l.write(".astern.lock", fmt.Sprintf("%-511s\n", line), 0o644) })
				note("release", l.driver.Claimer.Release(t.Context(), l.c, mine, []string{"a"}))
			case 2:
				c := swap
				c.Args, c.Token, c.Fence = maps.Clone(swap.Args), fmt.Sprintf("ast-race-%d", seed), 5
				op := l.driver.Actor.Start(t.Context(), c)
				figures["swap_"+string(op.Status)]++
				said = append(said, op.Error)
			}
			for _, text := range said {
				if strings.Contains(text, "theirs") || strings.Contains(text, "900000") {
					t.Errorf("trial %d took what lies outside for its own: %s", seed, text)
				}
			}
			if after := drivertest.Files(t, outside); !maps.Equal(before, after) {
				t.Errorf("trial %d: outside is now\n%q, was\n%q", seed, after, before)
			}
		}
		figures["exchanges"] = float64(racing.Stop())
		if figures["exchanges"] == 0 {
			t.Errorf("nothing was raced: %v", figures)
		}
		proof.Figures(t, figures)
	})
}

// TestLooksWhileLinksAreSwapped looks at a root, as both readers do, while another process exchanges the folder of its releases
// for a link to another one: what is seen is of one of them, never some of each.
func TestLooksWhileLinksAreSwapped(t *testing.T) {
	t.Parallel()
	first, count := proof.Seeds(t, 60)
	l := newLab(t, nil)
	outside := filepath.Join(filepath.Dir(l.root), "outside")
	l.write("../outside/releases/x1/run", "theirs", 0o755)
	racing := drivertest.NewRacer(t, l.root, outside, "releases")
	at := layout{l.root, l.root + "/releases", l.root + "/links/{instance}"}
	figures := map[string]float64{}
	for seed := first; seed < first+count && !t.Failed(); seed++ {
		var reads reader = native{}
		if seed%2 == 1 {
			reads = scripted{host.Here()}
		}
		s, err := reads.look(t.Context(), at, []string{"a", "b"}, 0)
		mk(t, err)
		got := strings.Join(sortedKeys(s.releases), " ")
		switch {
		case s.trouble != "":
			figures["exchanged_meanwhile"]++
		case s.real == at.releases && got == "v1 v2":
			figures["ours"]++
		case s.real == outside+"/releases" && got == "x1":
			figures["theirs"]++
		case s.real != outside+"/releases" && strings.HasSuffix(s.real, "/releases") && got == "v1 v2":
			figures["ours_put_aside"]++ // it was opened here, and exchanged before its name was asked for
		default:
			t.Errorf("trial %d: %s holds %q", seed, s.real, got)
		}
	}
	figures["exchanges"] = float64(racing.Stop())
	if figures["exchanges"] == 0 || figures["ours"] == 0 {
		t.Errorf("nothing was raced: %v", figures)
	}
	proof.Figures(t, figures)
}

// nobody runs commands as a login that owns nothing, and keeps what they said.
type nobody struct {
	host.Machine
	result host.Result
}

func (n *nobody) Run(ctx context.Context, c host.Command) (r host.Result, err error) {
	c.Argv = append([]string{"setpriv", "--reuid=65534", "--clear-groups"}, c.Argv...)
	n.result, err = n.Machine.Run(ctx, c)
	return n.result, err
}

// TestLockOfAnotherLogin: a login that may not write the lock file is told whose it is, and what opens it to both.
func TestLockOfAnotherLogin(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can act as somebody else")
	}
	l := newLab(t, nil)
	l.write(".astern.lock", "", 0o644)
	for dir := l.root; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		mk(t, os.Chmod(dir, 0o777))
	}
	m := &nobody{Machine: host.Here()}
	err := host.Lock{Machine: m, Host: "web-1", Folder: l.root}.Claim(t.Context(), astern.Claim{Fence: 1, Owner: "feed"}, astern.Claim{}, nil)
	if m.result.ExitCode != host.ExitNotOurs || !strings.Contains(m.result.LastLines(1), "belongs to root") || astern.CodeOf(err) != astern.Denied {
		t.Fatalf("%+v: %v", m.result, err)
	}
	if got := l.read(".astern.lock"); got != "" {
		t.Errorf("the lock file holds %q", got)
	}
	o := order{layout: layout{root: l.root}, who: []place{{host: "web-1"}}, call: astern.Call{Verb: verbRestart}}
	refused, ok := o.refusal(m.result)
	if !ok || astern.CodeOf(refused) != astern.Denied || !strings.Contains(astern.HintOf(refused), "chmod -R g+rwX "+l.root+"/.astern") {
		t.Errorf("%v (%s)", refused, astern.HintOf(refused))
	}
}
