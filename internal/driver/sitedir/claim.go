package sitedir

import (
	"context"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// Claim claims the site's root. The component has no members: its one place is that of the empty name.
func (d *driver) Claim(ctx context.Context, c astern.Component, mine astern.Claim, seen map[string]astern.Claim, over []string) error {
	lock, err := d.lock(c)
	if err != nil {
		return err
	}
	return lock.Claim(ctx, mine, seen[""], over)
}

// Release writes into the lock file that the execution has ended.
func (d *driver) Release(ctx context.Context, c astern.Component, mine astern.Claim, _ []string) error {
	lock, err := d.lock(c)
	if err != nil {
		return err
	}
	return lock.Release(ctx, mine)
}

func (d *driver) lock(c astern.Component) (host.Lock, error) {
	p, err := resolve(c)
	if err != nil {
		return host.Lock{}, err
	}
	m, err := d.machine(p)
	return host.Lock{Machine: m, Host: p.host, Folder: p.root}, err
}
