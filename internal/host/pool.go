package host

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/secret"
)

// Pool gives machines and keeps one connection to each. It is safe for concurrent use.
type Pool struct {
	mu       sync.Mutex
	machines map[string]*sshMachine
	closed   bool
}

// NewPool makes a pool without connections. It owns those that its machines open; Close ends them.
func NewPool() *Pool { return &Pool{machines: map[string]*sshMachine{}} }

// Machine returns the machine of a declared host; without SSH it is the one that astern runs on. Relative files of the
// declaration are below folder. Nothing is connected before the first command.
func (p *Pool) Machine(h astern.Host, folder string) (Machine, error) {
	if h.SSH == nil {
		return Here(), nil
	}
	declared, err := json.Marshal(h)
	if err != nil {
		return nil, astern.Errorf(astern.Internal, "encoding host %s: %w", h.Name, err)
	}
	key := folder + "\x00" + string(declared)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, astern.Errorf(astern.Interrupted, "%s can't be reached any more: the connections are closed", h.Name)
	}
	m := p.machines[key]
	if m == nil {
		m = newSSH(h.Name, *h.SSH, folder, secret.Resolve)
		p.machines[key] = m
	}
	return m, nil
}

// Close ends all connections. Commands that still run on them fail.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	for _, m := range p.machines {
		errs = append(errs, m.close())
	}
	p.machines = map[string]*sshMachine{}
	return errors.Join(errs...)
}

// locate returns the path of a file named in a declaration: ~/ is the home folder, relative paths are below folder.
func locate(path, folder, home string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return filepath.Join(home, rest)
	}
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(folder, path)
}
