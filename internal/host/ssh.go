package host

import (
	"context"
	"errors"
	"io"
	"net"
	"os/user"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/astern-dev/astern"
)

const (
	// connectTimeout bounds everything from the first packet to the login.
	connectTimeout = 10 * time.Second
	// probeTimeout bounds the question whether a connection still lives.
	probeTimeout = 2 * time.Second
	// sessions is how many commands run at once over one connection; OpenSSH allows 10.
	sessions = 6
	// opening bounds how long a session that the server refuses is asked for again: it may still count one that ended.
	opening = 3 * time.Second
)

// remote is run by the login shell of the other side, with every further word of the command quoted: it goes to the folder and runs the
// rest with a small environment. Words of the form NAME=VALUE before the command are read by env.
func remote(c Command) string {
	script := `cd -- "${1:-$HOME}" || exit 97; shift; `
	if c.Joined {
		script += `exec 2>&1; `
	}
	script += `exec env -i PATH="$PATH" HOME="$HOME" ${LANG:+"LANG=$LANG"} "$@"`
	return QuoteAll(append([]string{"sh", "-c", script, "sh", c.Dir}, append(c.assignments(), c.Argv...)...)...)
}

// exitNoFolder is the exit code of remote when the folder does not exist.
const exitNoFolder = 97

// secrets reads the value of a secret; a relative file is below the folder.
type secrets func(s astern.Secret, folder string) (astern.SecretValue, error)

// sshMachine is a machine reached over SSH.
type sshMachine struct {
	name, folder string
	ssh          astern.SSH
	secrets      secrets
	slots        chan struct{} // one for each session
	dialing      chan struct{} // held while a connection is made
	connect      time.Duration

	mu   sync.Mutex
	conn *connection
}

// connection is one open connection.
type connection struct {
	client *ssh.Client
	raw    net.Conn
}

func newSSH(name string, s astern.SSH, folder string, resolve secrets) *sshMachine {
	return &sshMachine{name: name, ssh: s, folder: folder, secrets: resolve, slots: make(chan struct{}, sessions),
		dialing: make(chan struct{}, 1), connect: connectTimeout}
}

// Run runs the command on the other side. It connects when there is no connection, and once more when the one there is
// turns out to be dead before the command was sent.
func (m *sshMachine) Run(ctx context.Context, c Command) (Result, error) {
	if err := c.check(); err != nil {
		return Result{}, err
	}
	doing := "running " + c.Argv[0] + " on " + m.name
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	if err := take(ctx, m.slots); err != nil {
		return Result{}, overdue(ctx, doing, c.timeout())
	}
	defer func() { <-m.slots }()
	began := time.Now()
	for again := false; ; again = true {
		conn, made, err := m.connected(outer)
		if err != nil {
			return Result{}, err
		}
		s, err := conn.session(ctx)
		if err == nil {
			return m.finish(ctx, conn, s, c, doing)
		}
		var refused *ssh.OpenChannelError
		switch {
		case ctx.Err() != nil:
			m.drop(conn)
			return Result{}, overdue(ctx, doing, c.timeout())
		case errors.As(err, &refused) && time.Since(began) < opening:
			pause(ctx, 50*time.Millisecond)
			continue
		case errors.As(err, &refused), made, again:
			return Result{}, astern.Errorf(astern.Unavailable, "%s: opening a session: %w", doing, err)
		}
		m.drop(conn)
	}
}

// connected returns the open connection, or makes one; made tells which.
func (m *sshMachine) connected(ctx context.Context) (conn *connection, made bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, m.connect)
	defer cancel()
	if err := take(ctx, m.dialing); err != nil {
		return nil, false, m.silent(ctx)
	}
	defer func() { <-m.dialing }()
	m.mu.Lock()
	conn = m.conn
	m.mu.Unlock()
	if conn != nil {
		return conn, false, nil
	}
	conn, err = m.dial(ctx)
	if err != nil {
		return nil, false, err
	}
	m.mu.Lock()
	m.conn = conn
	m.mu.Unlock()
	return conn, true, nil
}

// dial connects, verifies the host's key and logs in.
func (m *sshMachine) dial(ctx context.Context) (*connection, error) {
	address := hostPort(m.ssh.Address)
	file := m.ssh.KnownHosts
	if file == "" {
		file = "~/.ssh/known_hosts"
	}
	keys, err := readHostKeys(m.name, address, locate(file, m.folder, home()))
	if err != nil {
		return nil, err
	}
	login := m.ssh.User
	if login == "" {
		u, err := user.Current()
		if err != nil {
			return nil, astern.Errorf(astern.Internal, "connecting to %s: who am I: %w", m.name, err)
		}
		login = u.Username
	}
	auth, closeAgent, err := m.login()
	if err != nil {
		return nil, err
	}
	defer closeAgent()
	raw, err := (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		if ctx.Err() != nil {
			return nil, m.silent(ctx)
		}
		return nil, astern.Errorf(astern.Unavailable, "connecting to %s: %w", m.name, err)
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() }) // ends the handshake below
	c, channels, requests, err := ssh.NewClientConn(raw, address, &ssh.ClientConfig{
		User: login, Auth: auth, HostKeyCallback: keys.verify, HostKeyAlgorithms: keys.algorithms})
	if !stop() && err == nil {
		err = c.Close()
	}
	if err != nil || ctx.Err() != nil {
		raw.Close() // nothing on it is of use
		return nil, m.refused(ctx, keys, login, err)
	}
	return &connection{ssh.NewClient(c, channels, requests), raw}, nil
}

// refused words why a handshake failed.
func (m *sshMachine) refused(ctx context.Context, keys *hostKeys, login string, err error) error {
	switch {
	case keys.refusal != nil:
		return keys.refusal
	case ctx.Err() != nil:
		return m.silent(ctx)
	case isAuth(err):
		return astern.Errorf(astern.Denied, "connecting to %s: %s is not let in: %w", m.name, login, err).
			WithHint("try it by hand: ssh %s@%s; see user, key_file and agent of the host in astern.yaml", login, m.ssh.Address)
	}
	return astern.Errorf(astern.Unavailable, "connecting to %s: %w", m.name, err)
}

// silent words that the host did not answer in time, or that the user gave up.
func (m *sshMachine) silent(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
		return astern.Errorf(astern.Interrupted, "connecting to %s: interrupted: %w", m.name, cause)
	}
	return astern.Errorf(astern.Unavailable, "connecting to %s: %s did not answer within %s", m.name, m.ssh.Address, m.connect).
		WithHint("is it up, and does an SSH server listen there? ssh %s", m.ssh.Address)
}

// probe asks whether the connection still lives, and drops it when it does not.
func (m *sshMachine) probe(conn *connection) {
	err := conn.raw.SetDeadline(time.Now().Add(probeTimeout))
	if err == nil {
		if _, _, err = conn.client.SendRequest("keepalive@openssh.com", true, nil); err == nil {
			err = conn.raw.SetDeadline(time.Time{})
		}
	}
	if err != nil {
		m.drop(conn)
	}
}

// drop closes the connection and forgets it, so that the next command makes another.
func (m *sshMachine) drop(conn *connection) {
	m.mu.Lock()
	if m.conn == conn {
		m.conn = nil
	}
	m.mu.Unlock()
	conn.client.Close() // it is not used again, whatever it says
}

// close ends the connection.
func (m *sshMachine) close() error {
	m.mu.Lock()
	conn := m.conn
	m.conn = nil
	m.mu.Unlock()
	if conn == nil {
		return nil
	}
	if err := conn.client.Close(); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
		return astern.Errorf(astern.Unavailable, "closing the connection to %s: %w", m.name, err)
	}
	return nil
}

// isAuth reports whether a handshake failed because no key was taken.
func isAuth(err error) bool {
	var auth *ssh.ServerAuthError
	if errors.As(err, &auth) {
		return true
	}
	return err != nil && containsAny(err.Error(), "unable to authenticate", "no supported methods remain")
}
