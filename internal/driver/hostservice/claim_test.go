package hostservice

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/proof"
)

// claimed is what a release root says, and what was asked of it; the model below is the law of claims, without a lock, a
// file or a script.
type (
	claimState struct {
		fence int64
		owner string
		open  bool
	}
	claimAsk struct {
		verb string // look, claim or release
		mine claimState
		saw  claimState
	}
	claimAnswer struct {
		ok  bool
		saw claimState
	}
)

var claimModel = porcupine.Model{
	Init: func() any { return claimState{} },
	Step: func(state, input, output any) (bool, any) {
		s, in, out := state.(claimState), input.(claimAsk), output.(claimAnswer)
		switch in.verb {
		case "look":
			return out.saw == s, s
		case "release":
			if s.owner == in.mine.owner {
				s.open = false
			}
			return out.ok, s
		}
		may := !s.open && s.fence == in.saw.fence && s.owner == in.saw.owner && s.fence < in.mine.fence
		if may {
			s = in.mine
		}
		return out.ok == may, s
	},
}

// claimant is one of several operators, each with a state folder of his own.
type claimant struct {
	l       *lab
	id      int
	began   time.Time
	history *[]porcupine.Operation
	mu      *sync.Mutex
	holding *atomic.Int64
	won     *atomic.Int64
}

func (k claimant) ask(in claimAsk, do func() claimAnswer) claimAnswer {
	from := time.Since(k.began).Nanoseconds()
	out := do()
	to := time.Since(k.began).Nanoseconds()
	k.mu.Lock()
	defer k.mu.Unlock()
	*k.history = append(*k.history, porcupine.Operation{ClientId: k.id, Input: in, Call: from, Output: out, Return: to})
	return out
}

func (k claimant) look() claimState {
	return k.ask(claimAsk{verb: "look"}, func() claimAnswer {
		var c astern.Claim
		s, err := k.l.driver.Observer.Observe(k.l.Context(), k.l.c, astern.Scope{Paths: []string{"a/claim"}})
		if v, ok := s.Get("a/claim"); err != nil || ok && (!v.Known() || json.Unmarshal([]byte(v.Text), &c) != nil) {
			k.l.Errorf("the claim can't be read: %v %+v", err, v)
		}
		return claimAnswer{ok: true, saw: claimState{c.Fence, c.Owner, c.Open}}
	}).saw
}

// try looks, claims what it saw, and gives it back.
func (k claimant) try(rnd *rand.Rand, n int) {
	saw := k.look()
	mine := astern.Claim{Fence: saw.fence + 1 + rnd.Int64N(2), Execution: "ex-1", Address: k.l.c.Address(), Open: true, By: fmt.Sprintf("operator %d", k.id),
		Owner: fmt.Sprintf("%08x%08x", k.id+1, n)}
	seen := map[string]astern.Claim{"a": {Fence: saw.fence, Owner: saw.owner}, "b": {Fence: saw.fence, Owner: saw.owner}}
	in := claimAsk{verb: "claim", mine: claimState{mine.Fence, mine.Owner, true}, saw: saw}
	got := k.ask(in, func() claimAnswer {
		err := k.l.driver.Claimer.Claim(k.l.Context(), k.l.c, mine, seen, nil)
		if err != nil && astern.CodeOf(err) != astern.Conflict {
			k.l.Errorf("claiming: %v", err)
		}
		return claimAnswer{ok: err == nil}
	})
	if !got.ok {
		return
	}
	k.won.Add(1)
	if n := k.holding.Add(1); n != 1 {
		k.l.Errorf("%d hold the release root at once", n)
	}
	time.Sleep(time.Duration(rnd.IntN(3)) * time.Millisecond) // some hold it longer
	k.holding.Add(-1)
	in.verb = "release"
	k.ask(in, func() claimAnswer {
		err := k.l.driver.Claimer.Release(k.l.Context(), k.l.c, mine, []string{"a", "b"})
		return claimAnswer{ok: err == nil}
	})
}

// TestClaimsAreLinearizable lets five operators claim a release root at once, on this machine and over SSH. What they were
// told is compared with the model by a checker that knows nothing of how claims are made.
func TestClaimsAreLinearizable(t *testing.T) {
	first, count := proof.Seeds(t, 12)
	both(t, func(t *testing.T, l *lab) {
		figures := map[string]float64{}
		for seed := first; seed < first+count && !t.Failed(); seed++ {
			l.write(".astern.lock", "", 0o600)
			var history []porcupine.Operation
			var mu sync.Mutex
			var holding, won atomic.Int64
			var group sync.WaitGroup
			began := time.Now()
			for id := range 5 {
				group.Go(func() {
					rnd := rand.New(rand.NewPCG(seed, uint64(id)))
					for n := range 4 {
						claimant{l, id, began, &history, &mu, &holding, &won}.try(rnd, n)
					}
				})
			}
			group.Wait()
			if !porcupine.CheckOperations(claimModel, history) {
				t.Errorf("seed %d: no order of these explains what was answered: %+v", seed, history)
			}
			figures["histories"]++
			figures["operations"] += float64(len(history))
			figures["claims_won"] += float64(won.Load())
		}
		proof.Figures(t, figures)
	})
}

// A host that can't be reached fails a claim, and closes none: whoever goes on without it holds the others.
func TestUnreachableHostClosesNoClaim(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	var s Settings
	if err := json.Unmarshal(l.c.Settings, &s); err != nil {
		t.Fatal(err)
	}
	gone := astern.SSH{Address: "127.0.0.1:1", User: "u", KnownHosts: "/dev/null", KeyFile: "/dev/null"}
	l.c.Hosts = []astern.Host{{Name: "gone", SSH: &gone}}
	s.Instances[1].Host = "gone"
	l.c.Settings, _ = json.Marshal(s) // it was read before
	mine := astern.Claim{Fence: 1, Execution: "ex-1", Address: l.c.Address(), Open: true, By: "operator", Owner: "0a0b"}
	for mine.Fence < 4 {
		err := l.driver.Claimer.Claim(t.Context(), l.c, mine, map[string]astern.Claim{"a": {}, "b": {}}, nil)
		if astern.CodeOf(err) == astern.Conflict || err == nil {
			t.Fatalf("claiming a host that is not there says %v", err)
		}
		var got astern.Claim
		if err := json.Unmarshal([]byte(l.read(".astern.lock")), &got); err != nil || got != mine {
			t.Errorf("the host that is there says %+v, %v", got, err)
		}
		mine.Fence++
	}
}

// What nobody's astern wrote into the lock file refuses a claim, and which file to look at is said.
func TestClaimOfAnUnreadableLock(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.write(".astern.lock", "{\"fence\":7, half a li\n", 0o600)
	mine := astern.Claim{Fence: 9, Execution: "ex-1", Address: l.c.Address(), Open: true, By: "operator", Owner: "0a0b"}
	err := l.driver.Claimer.Claim(t.Context(), l.c, mine, map[string]astern.Claim{"a": {}, "b": {}}, nil)
	if astern.CodeOf(err) != astern.Conflict || !strings.Contains(err.Error(), "half a li") || !strings.Contains(astern.HintOf(err), l.root+"/.astern.lock on local") {
		t.Errorf("%v (%s)", err, astern.HintOf(err))
	}
}
