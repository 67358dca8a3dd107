package cli

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/audit"
	"github.com/astern-dev/astern/internal/proc"
)

// access is what a command does with the state.
type access int

const (
	without access = iota // needs no state
	reading
	dry // goes through everything that writing would do, and writes nothing
	writing
)

// changing returns the access of a command that writes, or only pretends to.
func changing(dryRun bool) access {
	if dryRun {
		return dry
	}
	return writing
}

// folder returns the state folder.
func (s *session) folder() string {
	if s.state != "" {
		return s.state
	}
	return filepath.Join(filepath.Dir(s.file), ".astern")
}

// with opens the system, calls f and closes it again.
func (s *session) with(ctx context.Context, m access, f func(a *app.App) error) (err error) {
	opening, giveUp := context.WithCancel(ctx)
	defer giveUp()
	open := sync.OnceValues(func() (Store, error) {
		proc.CollectLate(s.env) // commands without state have little to collect
		return s.Open(opening, s.folder(), m != writing)
	})
	if m == reading {
		go open() // while the file is read; what may create the state waits until the file is known to be good
	}
	a, err := app.Open(s.file, nil)
	if err != nil {
		giveUp()
		if m == reading {
			closeSoon(open)
		}
		return err
	}
	closing := func(c interface{ Close() error }) {
		if e := c.Close(); err == nil {
			err = e
		}
	}
	defer closing(a)
	if m != without {
		store, err := open()
		if err != nil {
			return err
		}
		defer func() { closing(store) }()
		switch a.Store = store; m {
		case dry:
			a.Store = pretend{store}
		case writing:
			log := audit.New(s.folder(), a.AuditCopy())
			a.Audit(log)
			defer func() { s.warnBehind(log) }()
		}
	}
	err = f(a)
	if m == writing && len(a.System.Channels) > 0 && ctx.Err() == nil {
		s.post(ctx, a)
	}
	return err
}

// closeSoon closes a store that is being opened and was not needed. It waits a moment only: the folder may lie on a disk that does not
// answer, and a person waits for another error.
func closeSoon(open func() (Store, error)) {
	const atMost = 500 * time.Millisecond
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		if store, err := open(); err == nil {
			store.Close() // nothing was written
		}
	}()
	select {
	case <-closed:
	case <-time.After(atMost):
	}
}

// post sends the notices that the command has queued: one short try, after all is done. What can't be sent waits for the watch,
// or for astern notify send.
func (s *session) post(ctx context.Context, a *app.App) {
	const atMost = 3 * time.Second
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	if d, err := a.Deliver(ctx); err != nil || len(d.Failed) > 0 {
		s.warn("people were not told yet: astern notify list says whom, astern notify send tries again")
	}
}

// scope returns the environments that a knowing command shows, and the name for its report: "" for several.
func (s *session) scope(a *app.App) (es []astern.Environment, name string, err error) {
	es, err = a.Environments(s.environment)
	if len(es) == 1 {
		name = es[0].Name
	}
	return es, name, err
}

// named returns the environments that have the component; all of the scope when name is "".
func (s *session) named(a *app.App, name string) (es []astern.Environment, env string, err error) {
	if es, env, err = s.scope(a); err != nil || name == "" {
		return es, env, err
	}
	if len(es) > 1 && !strings.Contains(name, "/") {
		var have []astern.Environment
		for _, e := range es {
			if _, ok := e.Component(name); ok {
				have = append(have, e)
			}
		}
		if len(have) > 0 {
			return have, "", nil
		}
	}
	c, err := a.Component(s.environment, name)
	if err != nil {
		return nil, "", err
	}
	es, err = a.Environments(c.Environment)
	return es, c.Environment, err
}

// asking returns the environments of the components that a knowing command names, the name for its report, and which addresses
// are meant: all of the scope when none is named.
func (s *session) asking(a *app.App, names []string) (es []astern.Environment, env string, asked func(string) bool, err error) {
	if len(names) == 0 {
		es, env, err = s.scope(a)
		return es, env, func(string) bool { return true }, err
	}
	meant := map[string]bool{}
	for _, name := range names {
		have, _, err := s.named(a, name)
		if err != nil {
			return nil, "", nil, err
		}
		for _, e := range have {
			meant[e.Name+"/"+short(name)] = true
			if !slices.ContainsFunc(es, func(o astern.Environment) bool { return o.Name == e.Name }) {
				es = append(es, e)
			}
		}
	}
	if len(es) == 1 {
		env = es[0].Name
	}
	return es, env, func(address string) bool { return meant[address] }, nil
}

// label is what a table says for the environment of a report that covers several.
func label(environment string) string {
	if environment == "" {
		return "all environments"
	}
	return environment
}
