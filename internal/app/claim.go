package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/astern-dev/astern"
)

// claims is what a plan's places say of who acts there: by address and member.
type claims map[string]map[string]astern.Claim

// lives reports whether a process may still carry out its execution.
func (a *App) lives(r astern.Runner) bool { return !a.TakeOver && a.Alive(r) }

// meeting is a component that a plan acts on, and those of its members whose places remember who acts there. What has no members
// is one place itself, of the empty name.
type meeting struct {
	address string
	members []string
}

// meetings returns where a plan's execution can meet others.
func (a *App) meetings(p astern.Plan) (out []meeting) {
	for _, f := range p.Fleets {
		out = append(out, meeting{f.Address, f.Members})
	}
	for _, address := range p.Addresses() {
		if slices.ContainsFunc(out, func(m meeting) bool { return m.address == address }) {
			continue
		}
		if _, d := a.claimer(address); d != nil {
			out = append(out, meeting{address, []string{""}})
		}
	}
	return out
}

// look reads what the places say, and the highest fence there.
func (a *App) look(ctx context.Context, p astern.Plan) (claims, int64, error) {
	seen, highest := claims{}, int64(0)
	for _, at := range a.meetings(p) {
		var paths []string
		for _, m := range at.members {
			paths = append(paths, below(m, "fence"), below(m, "claim"))
		}
		s, err := a.observe(ctx, at.address, paths)
		if err != nil {
			return nil, 0, err
		}
		there := map[string]astern.Claim{}
		for _, m := range at.members {
			if v, ok := s.Get(below(m, "fence")); ok && v.Known() {
				if n, err := strconv.ParseInt(v.Text, 10, 64); err == nil {
					highest = max(highest, n)
				}
			}
			if highest >= mostFence {
				return nil, 0, astern.Errorf(astern.Conflict, "%s: its lock says fence %d, which no execution has", placeOf(at.address, m), highest).
					WithHint("somebody wrote it by hand: look at the lock, and take it away")
			}
			var c astern.Claim
			if v, ok := s.Get(below(m, "claim")); ok && v.Known() {
				if err := json.Unmarshal([]byte(v.Text), &c); err != nil {
					return nil, 0, astern.Errorf(astern.Internal, "reading what %s says of who acts there: %w", placeOf(at.address, m), err)
				}
			}
			c.By, c.Execution = plain(c.By), plain(c.Execution)
			there[m] = c
		}
		seen[at.address] = there
	}
	return seen, highest, nil
}

// placeOf names a member's place, or that of a component without members.
func placeOf(address, member string) string {
	if member == "" {
		return address
	}
	return member + " of " + address
}

// below is the path at which what a member's place says is observed.
func below(member, name string) string {
	if member == "" {
		return name
	}
	return member + "/" + name
}

// mostFence is the largest number that is taken for a fence: nobody begins so many executions, and one that somebody wrote there by
// hand must not use up those of this state folder.
const mostFence = 1 << 40

// plain makes what a host says fit for a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

// owner identifies an execution among those of all state folders: by its plan, its number, and who took it first.
func owner(e astern.Execution, records []astern.Record) string {
	i := slices.IndexFunc(records, func(r astern.Record) bool { return r.Kind == astern.RecordTaken && r.Runner != nil })
	if i < 0 {
		return ""
	}
	first := records[i]
	h := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%+v\n%d\n%s", e.PlanHash, e.ID, *first.Runner, first.Fence, first.At.UTC().Format(time.RFC3339Nano)))
	return hex.EncodeToString(h[:12])
}

// passed returns the owners of open claims over which the execution may go: of this folder's executions that have ended or
// hand over to it, and all others when taking over. Any other open claim but its own is a Conflict.
func (a *App) passed(ctx context.Context, seen claims, mine, elder string) ([]string, error) {
	var over []string
	for _, address := range slices.Sorted(maps.Keys(seen)) {
		for _, member := range slices.Sorted(maps.Keys(seen[address])) {
			c := seen[address][member]
			if !c.Open || c.Owner == mine || slices.Contains(over, c.Owner) {
				continue
			}
			here, free := a.free(ctx, c, address, elder)
			if !free && !a.TakeOver {
				whose := "of another state folder"
				if here {
					whose = "of this state folder"
				}
				return nil, astern.Errorf(astern.Conflict, "%s is held by %s, %s, since %s: %s has not ended", placeOf(address, member), cmp.Or(c.By, "somebody"), whose,
					c.At.UTC().Format("2006-01-02 15:04:05Z"), c.Execution).
					WithHint("see how it goes where it was started; if it will not go on: the same command with --take-over, and it can't act here any more")
			}
			over = append(over, c.Owner)
		}
	}
	return over, nil
}

// elsewhere says which executions of other state folders act on a component and have not ended, as its places say, a line each.
func (a *App) elsewhere(ctx context.Context, address string, s astern.State) []string {
	var out []string
	for _, path := range slices.Sorted(maps.Keys(s.Values)) {
		v := s.Values[path]
		if path != "claim" && !strings.HasSuffix(path, "/claim") || !v.Known() {
			continue
		}
		var c astern.Claim
		if err := json.Unmarshal([]byte(v.Text), &c); err != nil || !c.Open {
			continue
		}
		if here, _ := a.free(ctx, c, address, ""); here {
			continue
		}
		line := fmt.Sprintf("%s of another state folder acts on it: %s, since %s", plain(c.Execution), plain(c.By), c.At.UTC().Format("2006-01-02 15:04:05Z"))
		if !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return out
}

// free reports whether a claim is that of one of this state folder's executions, and one that has ended or hands over. Of
// one at the same address the lease decides, which says more about it.
func (a *App) free(ctx context.Context, c astern.Claim, address, elder string) (here, free bool) {
	e, err := a.Store.Execution(ctx, c.Execution)
	if err != nil {
		return false, false
	}
	records, err := a.Store.Read(ctx, e.ID, 0)
	if err != nil || owner(e, records) != c.Owner {
		return false, false
	}
	return true, e.Outcome != "" || e.ID == elder || c.Address == address
}

// mayGoOn refuses to go on with an execution where another one was since it began, or acts now. One that has not begun is
// checked as if it were applied now. It returns what the places say, and the highest fence there.
func (a *App) mayGoOn(ctx context.Context, s loaded) (seen claims, highest int64, err error) {
	if s.cancelled() {
		return nil, 0, nil // it will start nothing new
	}
	mine := owner(s.execution, s.records)
	if seen, ok := a.seen[s.execution.ID]; ok && !s.begun() {
		return seen, 0, nil // what was there when it was made
	}
	seen, highest, err = a.look(ctx, s.plan)
	if err != nil {
		return nil, 0, err
	}
	if !s.begun() {
		if _, err := a.passed(ctx, seen, mine, s.execution.Parent); err != nil {
			return nil, 0, err
		}
		return seen, highest, a.unchangedBy(ctx, s.plan, s.execution)
	}
	for _, address := range slices.Sorted(maps.Keys(seen)) {
		for _, member := range slices.Sorted(maps.Keys(seen[address])) {
			// An astern of before there were owners says its fence alone.
			if c := seen[address][member]; c.Owner != "" && c.Owner != mine || c.Owner == "" && c.Fence > s.fence() {
				return nil, 0, astern.Errorf(astern.Conflict, "%s: another execution was there since: %s at %s by %s", placeOf(address, member),
					c.Execution, c.At.UTC().Format("2006-01-02 15:04:05Z"), c.By).
					WithHint("look at what it did; then astern cancel %s, and make a new plan", s.execution.ID)
			}
		}
	}
	return seen, highest, nil
}

// fence returns the newest that the execution was taken under.
func (l loaded) fence() (newest int64) {
	for _, r := range l.records {
		newest = max(newest, r.Fence)
	}
	return newest
}

// begun reports whether a step was ever about to act.
func (l loaded) begun() bool {
	return slices.ContainsFunc(l.records, func(r astern.Record) bool { return r.Kind == astern.RecordIntent })
}

func (l loaded) cancelled() bool {
	return slices.ContainsFunc(l.records, func(r astern.Record) bool { return r.Kind == astern.RecordCancelled })
}

// claim claims the plan's places for an execution that was taken, and whose owner that is. The release that it returns gives them
// back when the execution has ended; a child plan takes them over.
func (a *App) claim(ctx context.Context, s loaded, owner string, fence int64, seen claims) (release func(context.Context, astern.Outcome), err error) {
	mine := astern.Claim{Fence: fence, Execution: s.execution.ID, At: a.Now().UTC().Truncate(time.Second), Owner: owner,
		By: fmt.Sprintf("%s on %s, process %d", a.By, a.Runner.Host, a.Runner.PID), Open: true}
	var over []string
	if !s.begun() {
		if over, err = a.passed(ctx, seen, mine.Owner, s.execution.Parent); err != nil {
			return nil, err
		}
	}
	for _, address := range slices.Sorted(maps.Keys(seen)) {
		mine.Address = address
		if err := a.claimOne(ctx, mine, seen[address], over); err != nil {
			if s.begun() && astern.CodeOf(err) != astern.Conflict {
				continue // its steps there will fail by themselves; the others can go on
			}
			if !s.begun() {
				a.release(context.WithoutCancel(ctx), s.plan, mine) // it has not ended: whoever ends it tries again
				err = notClaimed(err, s.execution.ID)
			}
			return nil, err
		}
	}
	return func(ctx context.Context, o astern.Outcome) {
		if o != "" && o != astern.OutcomeContinued {
			a.unreleased = append(a.unreleased, a.release(ctx, s.plan, mine)...)
		}
	}, nil
}

// notClaimed words why an execution that has done nothing could not claim its places.
func notClaimed(err error, id string) error {
	hint, when := "nothing was done", "later"
	if own := astern.HintOf(err); own != "" {
		hint += "; " + own
	}
	if astern.CodeOf(err) == astern.Conflict {
		when = "when the other has ended"
	}
	return astern.Errorf(astern.CodeOf(err), "%w", err).WithHint("%s; or astern resume %s %s, or astern cancel %s", hint, id, when, id)
}

func (a *App) claimOne(ctx context.Context, mine astern.Claim, seen map[string]astern.Claim, over []string) error {
	c, d := a.claimer(mine.Address)
	if d == nil {
		return nil
	}
	return d.Claim(ctx, c, mine, seen, over)
}

// claimer returns the component and what claims its places, nil where its kind has none.
func (a *App) claimer(address string) (astern.Component, astern.Claimer) {
	c, ok := a.System.Component(address)
	if !ok {
		return c, nil
	}
	d, _ := a.driver(c.Kind)
	return c, d.Claimer
}

// release gives back what the plan's places say to be the execution's. A place that can't be told goes on saying so, and the
// next operator of another state folder takes over: nothing that was done depends on it. It says which can't, a line each.
func (a *App) release(ctx context.Context, p astern.Plan, mine astern.Claim) (failed []string) {
	for _, at := range a.meetings(p) {
		if c, d := a.claimer(at.address); d != nil {
			mine.Address = at.address
			if err := d.Release(ctx, c, mine, at.members); err != nil {
				failed = append(failed, fmt.Sprintf("%s could not be told that %s has ended: %v; while it says that it acts there, who comes from another state folder needs --take-over",
					at.address, mine.Execution, err))
			}
		}
	}
	return failed
}

// Unreleased says once, a line each, which places could not be told that an execution which Run carried out has ended.
func (a *App) Unreleased() []string {
	said := a.unreleased
	a.unreleased = nil
	return said
}
