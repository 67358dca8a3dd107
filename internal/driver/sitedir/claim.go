package sitedir

import (
	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// lock returns the lock file of the site's root.
func (d *driver) lock(c astern.Component) (host.Lock, error) {
	p, err := resolve(c)
	if err != nil {
		return host.Lock{}, err
	}
	m, err := d.machine(p)
	return host.Lock{Machine: m, Host: p.host, Folder: p.root}, err
}
