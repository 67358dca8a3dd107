package hostservice

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// claimWidth is how many hosts are claimed side by side, after the first.
const claimWidth = 16

// Claim claims the release roots of the members' hosts. The first host, in the order of the instances, is claimed before
// all others: of two who come at once to the same hosts, one gets them all and the other nothing. What fails on one host stops
// no claim that is under way on another: nobody would know what becomes of it.
func (d *driver) Claim(ctx context.Context, c astern.Component, mine astern.Claim, seen map[string]astern.Claim, over []string) error {
	sp, err := resolve(c)
	if err != nil {
		return err
	}
	names, saw := claimed(sp, seen)
	one := func(ctx context.Context, name string) error {
		lock, err := d.lock(sp, name)
		if err != nil {
			return err
		}
		return lock.Claim(ctx, mine, saw[name], over)
	}
	if len(names) == 0 {
		return nil
	}
	if err := one(ctx, names[0]); err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(claimWidth)
	for _, name := range names[1:] {
		group.Go(func() error { return one(ctx, name) })
	}
	return group.Wait()
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
	var group errgroup.Group
	group.SetLimit(claimWidth)
	for _, name := range names {
		group.Go(func() error {
			lock, err := d.lock(sp, name)
			if err != nil {
				return err
			}
			return lock.Release(ctx, mine)
		})
	}
	return group.Wait()
}

// lock returns the lock file of the release root on a host.
func (d *driver) lock(sp spec, name string) (host.Lock, error) {
	m, err := d.machine(sp.component, name)
	if err != nil {
		return host.Lock{}, fmt.Errorf("claiming %s on %s: %w", sp.Root, name, err)
	}
	return host.Lock{Machine: m, Host: name, Folder: sp.Root}, nil
}
