package hostservice

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// claimWidth is how many hosts are claimed side by side, after the first.
const claimWidth = 16

// Claim claims the release roots of the members' hosts. The first host, in the order of the instances, is claimed before
// all others: of two who come at once to the same hosts, one gets them all and the other nothing.
func (d *driver) Claim(ctx context.Context, c astern.Component, mine astern.Claim, seen map[string]astern.Claim, over []string) error {
	sp, err := resolve(c)
	if err != nil {
		return err
	}
	line, err := claimLine(mine)
	if err != nil {
		return err
	}
	names, saw := claimed(sp, seen)
	one := func(ctx context.Context, name string) error {
		there := saw[name]
		return d.claimHost(ctx, sp, name, script("claim", append([]string{sp.Root, strconv.FormatInt(mine.Fence, 10), line,
			mine.Owner, fmt.Sprintf("%d %s", there.Fence, there.Owner)}, over...)...))
	}
	if len(names) == 0 {
		return nil
	}
	if err := one(ctx, names[0]); err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(claimWidth)
	for _, name := range names[1:] {
		group.Go(func() error { return one(groupCtx, name) })
	}
	if err := group.Wait(); err != nil {
		// All or none; a host that can't be told stays claimed, and says by whom.
		_ = d.release(context.WithoutCancel(ctx), sp, mine, names)
		return err
	}
	return nil
}

// claimed returns the hosts of the members, and what was seen on each.
func claimed(sp spec, seen map[string]astern.Claim) ([]string, map[string]astern.Claim) {
	saw := map[string]astern.Claim{}
	var places []place
	for _, p := range sp.places {
		if there, ok := seen[p.name]; ok {
			places = append(places, p)
			saw[p.host] = there
		}
	}
	return hosts(places), saw
}

// Release writes into the release roots of the members' hosts that the execution has ended.
func (d *driver) Release(ctx context.Context, c astern.Component, mine astern.Claim, members []string) error {
	sp, err := resolve(c)
	if err != nil {
		return err
	}
	seen := map[string]astern.Claim{}
	for _, m := range members {
		seen[m] = astern.Claim{}
	}
	names, _ := claimed(sp, seen)
	return d.release(ctx, sp, mine, names)
}

func (d *driver) release(ctx context.Context, sp spec, mine astern.Claim, names []string) error {
	mine.Open = false
	line, err := claimLine(mine)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(claimWidth)
	for _, name := range names {
		group.Go(func() error {
			return d.claimHost(ctx, sp, name, script("release", sp.Root, strconv.FormatInt(mine.Fence, 10), line, mine.Owner))
		})
	}
	return group.Wait()
}

// claimHost runs a script that claims or releases a release root, and words its refusal.
func (d *driver) claimHost(ctx context.Context, sp spec, name string, c host.Command) error {
	doing := fmt.Sprintf("claiming %s on %s", sp.Root, name)
	m, err := d.machine(sp.component, name)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	c.Timeout = readTimeout
	r, err := m.Run(ctx, c)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	who := oneLine(r.LastLines(1))
	switch r.ExitCode {
	case 0:
		return nil
	case exitClaimed:
		return astern.Errorf(astern.Conflict, "%s: it is held by %s, of another state folder, which has not ended", doing, holder(who)).
			WithHint("see how it goes where it was started; if it will not go on: the same command with --take-over, and it can't act here any more")
	case host.ExitFence:
		return astern.Errorf(astern.Conflict, "%s: another execution was there since: %s", doing, holder(who)).
			WithHint("make a new plan")
	case host.ExitBusy:
		return astern.Errorf(astern.Unavailable, "%s: its lock is held, and it says: %s", doing, holder(who))
	case host.ExitNoLock:
		return astern.Errorf(astern.Invalid, "%s: %s", doing, who).WithHint("install util-linux on %s", name)
	case host.ExitOutside:
		return astern.Errorf(astern.Refused, "%s: %s", doing, who).WithHint("remove the link: astern writes nowhere but below %s", sp.Root)
	case host.ExitNotOurs:
		return notOurs(doing, who, sp.Root, name)
	case host.ExitNoWrite, 2: // 2 is a shell that could not open a file
		return astern.Errorf(astern.Denied, "%s: nothing could be written: %s", doing, orCode(r)).
			WithHint("is the disk of %s full, and may the login write below %s?", name, sp.Root)
	}
	return astern.Errorf(astern.Internal, "%s: %s", doing, orCode(r))
}

// claimLine is the claim as one line of the lock file, which has room for 511 bytes.
func claimLine(c astern.Claim) (string, error) {
	c.By = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, c.By)
	c.By = c.By[:min(len(c.By), 100)]
	line, err := json.Marshal(c)
	if err != nil {
		return "", astern.Errorf(astern.Internal, "encoding the claim: %w", err)
	}
	return string(line), nil
}
