package host

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/astern-dev/astern"
)

// session is one command over a connection. It is not ssh.Session because that waits until everything the command has
// left behind lets go of its outputs.
type session struct {
	channel  ssh.Channel
	requests <-chan *ssh.Request
}

// session opens a session. When ctx ends first the connection is closed, for it does not answer.
func (c *connection) session(ctx context.Context) (session, error) {
	stop := context.AfterFunc(ctx, func() { c.client.Close() }) // what it says does not matter any more
	defer stop()
	channel, requests, err := c.client.OpenChannel("session", nil)
	return session{channel, requests}, err
}

// ending is how a command ended.
type ending struct {
	code  int
	known bool // false when the connection was lost before
}

// watch reads what the server says of the command until the session is closed.
func (s session) watch(ended chan<- ending) {
	told := false
	tell := func(e ending) {
		if !told {
			told = true
			ended <- e
		}
	}
	for r := range s.requests {
		switch r.Type {
		case "exit-status":
			var m struct{ Status uint32 }
			if ssh.Unmarshal(r.Payload, &m) == nil {
				tell(ending{int(m.Status), true})
			}
		case "exit-signal":
			tell(ending{128, true})
		}
		if r.WantReply {
			r.Reply(false, nil) // a lost connection shows elsewhere
		}
	}
	tell(ending{})
}

// finish runs the command in the session to its end.
func (m *sshMachine) finish(ctx context.Context, conn *connection, s session, c Command, doing string) (Result, error) {
	defer s.channel.Close() // an error says that it is closed already
	var parts sync.WaitGroup
	ended := make(chan ending, 1)
	parts.Go(func() { s.watch(ended) })
	accepted, err := s.start(ctx, conn, remote(c))
	if err != nil || !accepted {
		s.channel.Close() // as above
		m.probe(conn)
		parts.Wait()
		switch {
		case err == nil:
			return Result{}, astern.Errorf(astern.Denied, "%s: the server does not run commands for this login", doing)
		case ctx.Err() != nil:
			return Result{}, MayHaveRun(overdue(ctx, doing, c.timeout()))
		}
		return Result{}, MayHaveRun(astern.Errorf(astern.Unavailable, "%s: starting it: %w", doing, err))
	}
	out, errs := &kept{limit: c.keep()}, &kept{limit: c.keep()}
	parts.Go(func() { io.Copy(out, s.channel) })           // what arrived is kept; why no more came shows in the ending
	parts.Go(func() { io.Copy(errs, s.channel.Stderr()) }) // as above
	parts.Go(func() { s.feed(c.Stdin) })
	var end ending
	over := true
	select {
	case end = <-ended:
	case <-ctx.Done():
		over = false
		m.kill(conn, s)
	}
	m.settle(conn, s, &parts, out, errs)
	switch {
	case !over:
		return Result{}, MayHaveRun(overdue(ctx, doing, c.timeout()))
	case !end.known:
		m.probe(conn)
		return Result{}, MayHaveRun(astern.Errorf(astern.Unavailable, "%s: the connection was lost", doing))
	}
	r := Result{ExitCode: end.code, Stdout: out.text(), Stderr: errs.text(), Truncated: out.truncated() || errs.truncated()}
	if r.ExitCode == exitNoFolder && c.Dir != "" && r.Stdout == "" {
		return Result{}, astern.Errorf(astern.NotFound, "%s: its folder %s: %s", doing, c.Dir, r.LastLines(1))
	}
	return r, nil
}

// start sends the command and waits for the server's word that it runs it.
func (s session) start(ctx context.Context, conn *connection, line string) (accepted bool, err error) {
	stop := context.AfterFunc(ctx, func() { conn.client.Close() }) // as in session
	defer stop()
	return s.channel.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{line}))
}

// feed writes the command's input.
func (s session) feed(in io.Reader) {
	if in != nil {
		io.Copy(s.channel, in) // a command that does not read to the end says so by its exit code
	}
	s.channel.CloseWrite() // as above
}

// settle reads what is still on its way after the end, for as long as something arrives. A child that holds the outputs
// does not keep us, nor does a server that keeps the session open for it.
func (m *sshMachine) settle(conn *connection, s session, parts *sync.WaitGroup, out, errs *kept) {
	all := make(chan struct{})
	go func() { // ends with the session, which is closed below
		parts.Wait()
		close(all)
	}()
	for arrived := int64(-1); ; {
		now := out.written.Load() + errs.written.Load()
		if now == arrived {
			break
		}
		arrived = now
		select {
		case <-all:
			return
		case <-time.After(grace):
		}
	}
	s.channel.Close() // as in finish
	select {
	case <-all:
	case <-time.After(probeTimeout):
		m.drop(conn)
		<-all
	}
}

// kill ends a command whose time is over. Its peer may be gone: asking it must not take long.
func (m *sshMachine) kill(conn *connection, s session) {
	if err := conn.raw.SetDeadline(time.Now().Add(probeTimeout)); err != nil {
		m.drop(conn)
		return
	}
	// A server that does not know signals leaves the command running: the error says so either way.
	if _, err := s.channel.SendRequest("signal", false, ssh.Marshal(struct{ Signal string }{string(ssh.SIGKILL)})); err == nil ||
		errors.Is(err, io.EOF) {
		s.channel.Close() // as in finish
	}
	m.probe(conn)
}
