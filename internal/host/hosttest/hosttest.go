//go:build unix

// Package hosttest starts a real OpenSSH server on loopback for tests.
package hosttest

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/astern-dev/astern"
)

// Server is an SSH server that runs until the test ends.
type Server struct {
	// SSH reaches it, with a key file and a known_hosts file that has its key.
	SSH astern.SSH
	// Folder holds its keys: client (the private key that is let in), host, known_hosts.
	Folder string
	// PID is its process; each connection has children of it.
	PID int
	// Stop ends it before the test does.
	Stop func()
}

// Locked reaches the server by a copy of the client's key that a passphrase opens; where that stands is the caller's to say.
func (s Server) Locked(t testing.TB, passphrase string) astern.SSH {
	t.Helper()
	plain, err := os.ReadFile(s.SSH.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	locked := s.SSH
	locked.KeyFile += "-locked"
	write(t, locked.KeyFile, plain)
	// One round: it is opened for each connection, and ssh-keygen comes with the server.
	if out, err := exec.Command("ssh-keygen", "-q", "-p", "-a", "1", "-N", passphrase, "-f", locked.KeyFile).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return locked
}

// sshd is where distributions put the server.
const sshd = "/usr/sbin/sshd"

// Start starts a server. Where OpenSSH's is not installed the test is skipped, and fails when CI is "true".
func Start(t testing.TB) Server {
	t.Helper()
	if _, err := os.Stat(sshd); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the tests over SSH need %s (openssh-server): %v", sshd, err)
		}
		t.Skipf("%s is not installed, so nothing over SSH is tested: apt-get install openssh-server", sshd)
	}
	if os.Getuid() == 0 { // a server that is started by root wants this folder, which its service would make
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatalf("making the folder that sshd wants: %v", err)
		}
	}
	dir := t.TempDir()
	hostKey, clientKey := WriteKey(t, filepath.Join(dir, "host"), ""), WriteKey(t, filepath.Join(dir, "client"), "")
	write(t, filepath.Join(dir, "authorized_keys"), ssh.MarshalAuthorizedKey(clientKey))
	var s Server
	var said []byte
	for range 5 { // a port that was free may be another's a moment later
		var err error
		if s, said, err = start(t, dir, ssh.MarshalAuthorizedKey(hostKey)); err == nil {
			t.Cleanup(s.Stop)
			return s
		}
		t.Logf("sshd did not come up: %v", err)
		if !strings.Contains(string(said), "Address already in use") {
			break
		}
	}
	t.Fatalf("sshd did not come up:\n%s", said)
	return s
}

// start starts a server at a free address; it returns also what the server wrote.
func start(t testing.TB, dir string, hostKey []byte) (Server, []byte, error) {
	t.Helper()
	address := freeAddress(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "known_hosts"), fmt.Appendf(nil, "[%s]:%s %s", host, port, hostKey))
	write(t, filepath.Join(dir, "config"), fmt.Appendf(nil, "ListenAddress %s\nHostKey %s/host\nAuthorizedKeysFile %s/authorized_keys\n"+
		"UsePAM no\nStrictModes no\nPidFile none\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel INFO\n"+
		// A home without start-up files: what this machine's login shell does at its start is no part of the tests.
		"SetEnv HOME=%s\n", address, dir, dir, dir))
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(sshd, "-D", "-e", "-f", filepath.Join(dir, "config"))
	// The server's children, one for each connection, must not keep the test waiting: no pipe, and a group of their own.
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the server has its own
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting sshd: %v", err)
	}
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have ended by itself
			cmd.Wait()                                      // its end by our signal is no failure
		}
	}
	wrote, err := listening(log.Name())
	if err == nil {
		err = banner(address)
	}
	if err != nil {
		stop()
		return Server{}, wrote, err
	}
	return Server{Folder: dir, PID: cmd.Process.Pid, Stop: stop, SSH: astern.SSH{Address: address, User: u.Username,
		KeyFile: filepath.Join(dir, "client"), KnownHosts: filepath.Join(dir, "known_hosts")}}, wrote, nil
}

// WriteKey writes a new private key to the file and returns its public half.
func WriteKey(t testing.TB, file, passphrase string) ssh.PublicKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(private, "astern test")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "astern test", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, pem.EncodeToMemory(block))
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func write(t testing.TB, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// listening waits until the server says that it listens, and returns what it wrote: behind the port there may be another's.
func listening(log string) (wrote []byte, err error) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		wrote, err = os.ReadFile(log)
		switch {
		case err != nil || strings.Contains(string(wrote), "Server listening on"):
			return wrote, err
		case strings.Contains(string(wrote), "Address already in use"):
			return wrote, errors.New("another program has its port")
		}
	}
	return wrote, errors.New("it does not say that it listens")
}

// banner waits until the server introduces itself.
func banner(address string) error {
	var last error
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			last = err
			continue
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		conn.Close()
		if strings.HasPrefix(line, "SSH-") {
			return nil
		}
		last = err
	}
	return last
}
