package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host/hosttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func pool(t *testing.T) *Pool {
	p := NewPool()
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("closing the pool: %v", err)
		}
	})
	return p
}

func machine(t *testing.T, p *Pool, s astern.SSH) Machine {
	t.Helper()
	m, err := p.Machine(astern.Host{Name: "web-1", SSH: &s}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// both runs the test on this machine and over SSH: they must not differ.
func both(t *testing.T, test func(t *testing.T, m Machine)) {
	t.Run("local", func(t *testing.T) { test(t, Here()) })
	t.Run("ssh", func(t *testing.T) { test(t, machine(t, pool(t), hosttest.Start(t).SSH)) })
}

func run(t *testing.T, m Machine, c Command) Result {
	t.Helper()
	r, err := m.Run(t.Context(), c)
	if err != nil {
		t.Fatalf("running %v: %v", c.Argv, err)
	}
	return r
}

func TestArgumentsArriveAsTheyAre(t *testing.T) {
	words := []string{"", " ", "a b", "'", `"`, `\`, "$(touch pwned)", "`touch pwned`", ";", "&& false", "*", "~", "-n", "{a,b}", "!x", "ü\n2", "%s", "A=b"}
	both(t, func(t *testing.T, m Machine) {
		r := run(t, m, Command{Argv: append([]string{"sh", "-c", `for a; do printf '%s\0' "$a"; done`, "sh"}, words...)})
		got := strings.Split(strings.TrimSuffix(r.Stdout, "\x00"), "\x00")
		if !slices.Equal(got, words) {
			t.Errorf("got %q, want %q", got, words)
		}
	})
}

func TestEnvironmentIsSmall(t *testing.T) {
	t.Setenv("ASTERN_TEST_SECRET", "hunter2")
	both(t, func(t *testing.T, m Machine) {
		dir := t.TempDir()
		r := run(t, m, Command{Argv: []string{"sh", "-c", "pwd; env"}, Dir: dir, Env: map[string]string{"A": "1 '2", "B": ""}})
		for _, line := range strings.Split(strings.TrimSpace(r.Stdout), "\n")[1:] {
			name, value, _ := strings.Cut(line, "=")
			if !slices.Contains([]string{"PATH", "HOME", "LANG", "PWD", "A", "B"}, name) || name == "A" && value != "1 '2" {
				t.Errorf("the command sees %s", line)
			}
		}
		if first, _, _ := strings.Cut(r.Stdout, "\n"); first != dir {
			t.Errorf("it ran in %s, want %s", first, dir)
		}
	})
}

func TestExitCodesAndInput(t *testing.T) {
	both(t, func(t *testing.T, m Machine) {
		r := run(t, m, Command{Argv: []string{"sh", "-c", "cat; echo bad >&2; exit 42"}, Stdin: strings.NewReader("given")})
		if r.ExitCode != 42 || r.Stdout != "given" || r.LastLines(1) != "bad" {
			t.Errorf("got %+v", r)
		}
		if r = run(t, m, Command{Argv: []string{"sh", "-c", "kill -9 $$"}}); r.ExitCode < 128 {
			t.Errorf("a command that is killed ends with %d", r.ExitCode)
		}
		_, err := m.Run(t.Context(), Command{Argv: []string{"pwd"}, Dir: "/no/such/folder"})
		if astern.CodeOf(err) != astern.NotFound || errors.Is(err, ErrMayHaveRun) {
			t.Errorf("a missing folder gives %v", err)
		}
		for _, c := range []Command{{}, {Argv: []string{"a\x00b"}}, {Argv: []string{"A=b"}}, {Argv: []string{"ls"}, Dir: "x"}, {Argv: []string{"ls"}, Env: map[string]string{"a b": ""}}} {
			if _, err := m.Run(t.Context(), c); astern.CodeOf(err) != astern.Invalid {
				t.Errorf("%q is not refused: %v", c.Argv, err)
			}
		}
	})
}

func TestJoinedOutputsKeepTheirOrder(t *testing.T) {
	both(t, func(t *testing.T, m Machine) {
		loop := `i=0; while [ $i -lt 100 ]; do echo out $i; echo error $i >&2; i=$((i + 1)); done`
		var want strings.Builder
		for i := range 100 {
			fmt.Fprintf(&want, "out %d\nerror %d\n", i, i)
		}
		r := run(t, m, Command{Argv: []string{"sh", "-c", loop}, Joined: true})
		if r.Stdout != want.String() || r.Stderr != "" {
			t.Errorf("joined: %q and %q", r.Stdout, r.Stderr)
		}
		_, err := m.Run(t.Context(), Command{Argv: []string{"pwd"}, Dir: "/no/such/folder", Joined: true})
		if astern.CodeOf(err) != astern.NotFound || errors.Is(err, ErrMayHaveRun) {
			t.Errorf("a missing folder gives %v", err)
		}
	})
}

// A script that does not begin with #! is read by a shell, as from a person's terminal.
func TestScriptWithoutInterpreter(t *testing.T) {
	both(t, func(t *testing.T, m Machine) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "ctl"), []byte("echo \"$1\" \"$A\"; pwd; exit 4\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		r := run(t, m, Command{Argv: []string{"./ctl", "a  b"}, Dir: dir, Env: map[string]string{"A": "c"}})
		if r.ExitCode != 4 || r.Stdout != "a  b c\n"+dir+"\n" || r.Stderr != "" {
			t.Errorf("got %+v", r)
		}
	})
}

func TestOutputIsBounded(t *testing.T) {
	both(t, func(t *testing.T, m Machine) {
		r := run(t, m, Command{Argv: []string{"sh", "-c", "echo first; yes | head -c 3000000; echo last"}})
		if len(r.Stdout) > DefaultKeep+100 || len(r.Stdout) < DefaultKeep || !r.Truncated || r.ExitCode != 0 {
			t.Errorf("kept %d bytes, truncated %t, exit code %d", len(r.Stdout), r.Truncated, r.ExitCode)
		}
		if !strings.HasPrefix(r.Stdout, "first\n") || !strings.HasSuffix(r.Stdout, "y\nlast\n") || !strings.Contains(r.Stdout, "bytes left out]") {
			t.Errorf("begins %q and ends %q", r.Stdout[:20], r.Stdout[len(r.Stdout)-20:])
		}
	})
}

func TestTimeIsBounded(t *testing.T) {
	both(t, func(t *testing.T, m Machine) {
		run(t, m, Command{Argv: []string{"true"}}) // what is tried is not how long a connection takes
		began := time.Now()
		_, err := m.Run(t.Context(), Command{Argv: []string{"sleep", "60"}, Timeout: 2 * time.Second})
		if astern.CodeOf(err) != astern.Unavailable || !errors.Is(err, ErrMayHaveRun) || astern.HintOf(err) == "" {
			t.Errorf("a command that takes too long gives %v", err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %s", took)
		}
		if r := run(t, m, Command{Argv: []string{"echo", "on"}}); r.Stdout != "on\n" {
			t.Errorf("the next command gives %+v", r)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := m.Run(ctx, Command{Argv: []string{"true"}}); err == nil || errors.Is(err, ErrMayHaveRun) {
			t.Errorf("a cancelled command gives %v", err)
		}
	})
}

// A start command that leaves its process behind with our outputs in its hands must neither hang us nor be killed.
func TestBackgroundChildSurvives(t *testing.T) {
	both(t, func(t *testing.T, m Machine) {
		began := time.Now()
		r := run(t, m, Command{Argv: []string{"sh", "-c", "sleep 30 & echo $!"}, Timeout: 20 * time.Second})
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %s", took)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(r.Stdout))
		if err != nil || r.ExitCode != 0 {
			t.Fatalf("got %+v", r)
		}
		if err := syscall.Kill(pid, 0); err != nil {
			t.Errorf("the child does not live: %v", err)
		}
		syscall.Kill(pid, syscall.SIGKILL)
	})
}

func TestManyCommandsAtOnceOverOneConnection(t *testing.T) {
	m := machine(t, pool(t), hosttest.Start(t).SSH)
	errs := make(chan error, 30)
	for range cap(errs) {
		go func() {
			_, err := m.Run(t.Context(), Command{Argv: []string{"true"}})
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestLostConnectionIsMadeAgain(t *testing.T) {
	m := machine(t, pool(t), hosttest.Start(t).SSH)
	run(t, m, Command{Argv: []string{"true"}})
	m.(*sshMachine).conn.raw.Close()
	run(t, m, Command{Argv: []string{"true"}})
}

func TestHostKeys(t *testing.T) {
	server := hosttest.Start(t)
	other := filepath.Join(t.TempDir(), "known_hosts")
	wrong := hosttest.WriteKey(t, filepath.Join(t.TempDir(), "other"), "")
	h, p, _ := net.SplitHostPort(server.SSH.Address)
	if err := os.WriteFile(other, fmt.Appendf(nil, "[%s]:%s %s", h, p, ssh.MarshalAuthorizedKey(wrong)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ file, says string }{
		"changed": {other, "has changed"},
		"unknown": {os.DevNull, "is not known"},
		"no file": {filepath.Join(t.TempDir(), "none"), "is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			s := server.SSH
			s.KnownHosts = test.file
			_, err := machine(t, pool(t), s).Run(t.Context(), Command{Argv: []string{"true"}})
			if astern.CodeOf(err) != astern.Denied || !strings.Contains(fmt.Sprint(err), test.says) ||
				!strings.Contains(fmt.Sprint(err), "SHA256:") || !strings.Contains(astern.HintOf(err), "ssh-keyscan") {
				t.Errorf("got %v (%s)", err, astern.HintOf(err))
			}
		})
	}
}

// A server that also has a key of a type which is not in known_hosts must not be refused for offering that one.
func TestHostKeyOfTheKnownTypeIsAskedFor(t *testing.T) {
	k, err := readHostKeys("web-1", "127.0.0.1:22", filepath.Join(hosttest.Start(t).Folder, "known_hosts"))
	if err != nil || len(k.algorithms) != 0 {
		t.Errorf("an unknown host has the algorithms %v, %v", k.algorithms, err)
	}
	server := hosttest.Start(t)
	if k, err = readHostKeys("web-1", server.SSH.Address, server.SSH.KnownHosts); err != nil || !slices.Equal(k.algorithms, []string{ssh.KeyAlgoED25519}) {
		t.Errorf("the algorithms are %v, %v", k.algorithms, err)
	}
}

func TestSilentHost(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	key := filepath.Join(t.TempDir(), "key")
	hosttest.WriteKey(t, key, "")
	m := machine(t, pool(t), astern.SSH{Address: l.Addr().String(), User: "u", KeyFile: key, KnownHosts: os.DevNull}).(*sshMachine)
	m.connect = 300 * time.Millisecond
	_, err = m.Run(t.Context(), Command{Argv: []string{"true"}})
	if astern.CodeOf(err) != astern.Unavailable || !strings.Contains(err.Error(), "did not answer") || errors.Is(err, ErrMayHaveRun) {
		t.Errorf("got %v", err)
	}
	l.Close()
	_, err = m.Run(t.Context(), Command{Argv: []string{"true"}})
	if astern.CodeOf(err) != astern.Unavailable {
		t.Errorf("a closed port gives %v", err)
	}
}

func TestLogin(t *testing.T) {
	server := hosttest.Start(t)
	stranger := filepath.Join(t.TempDir(), "stranger")
	hosttest.WriteKey(t, stranger, "")
	locked := filepath.Join(t.TempDir(), "locked")
	public := hosttest.WriteKey(t, locked, "open sesame")
	f, err := os.OpenFile(filepath.Join(server.Folder, "authorized_keys"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Write(ssh.MarshalAuthorizedKey(public))
	f.Close()
	t.Setenv("KEY_PASS", "open sesame")
	t.Setenv("KEY_WRONG", "hunter2")
	try := func(change func(*astern.SSH)) error {
		s := server.SSH
		change(&s)
		_, err := machine(t, pool(t), s).Run(t.Context(), Command{Argv: []string{"true"}})
		return err
	}
	for name, test := range map[string]struct {
		change func(*astern.SSH)
		want   astern.Code
	}{
		"a key that is not let in": {func(s *astern.SSH) { s.KeyFile = stranger }, astern.Denied},
		"no such key":              {func(s *astern.SSH) { s.KeyFile = "/no/such/key" }, astern.Denied},
		"passphrase":               {func(s *astern.SSH) { s.KeyFile, s.Passphrase = locked, &astern.Secret{Env: "KEY_PASS"} }, ""},
		"wrong passphrase":         {func(s *astern.SSH) { s.KeyFile, s.Passphrase = locked, &astern.Secret{Env: "KEY_WRONG"} }, astern.Denied},
		"passphrase not declared":  {func(s *astern.SSH) { s.KeyFile = locked }, astern.Denied},
	} {
		if err := try(test.change); astern.CodeOf(err) != test.want || strings.Contains(fmt.Sprint(err), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	socket := serveAgent(t, filepath.Join(server.Folder, "client"))
	t.Setenv("SSH_AUTH_SOCK", socket)
	if err := try(func(s *astern.SSH) { s.KeyFile, s.Agent = "", true }); err != nil {
		t.Errorf("with the agent: %v", err)
	}
	if err := try(func(s *astern.SSH) { s.KeyFile, s.Agent = stranger, true }); err != nil {
		t.Errorf("with the agent and a key that is not let in: %v", err)
	}
	t.Setenv("SSH_AUTH_SOCK", "")
	if err := try(func(s *astern.SSH) { s.Agent = true }); astern.CodeOf(err) != astern.Denied {
		t.Errorf("without the agent: %v", err)
	}
}

// serveAgent is an SSH agent with one key.
func serveAgent(t *testing.T, file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParseRawPrivateKey(b)
	if err != nil {
		t.Fatal(err)
	}
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			agent.ServeAgent(ring, c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done; os.RemoveAll(dir) })
	return l.Addr().String()
}

func TestSecretsDoNotShow(t *testing.T) {
	s := astern.SSH{Address: "h", Passphrase: &astern.Secret{Env: "KEY_PASS"}}
	b, err := json.Marshal(s)
	if err != nil || !strings.Contains(string(b), "KEY_PASS") {
		t.Errorf("%s, %v", b, err)
	}
}

func TestCommandLine(t *testing.T) {
	for _, test := range []struct{ address, login, key, want string }{
		{"10.0.0.1", "", "", "ssh 10.0.0.1"},
		{"10.0.0.1:22", "deploy", "", "ssh deploy@10.0.0.1"},
		{"web:2222", "deploy", "~/.ssh/k", "ssh -p 2222 -i ~/.ssh/k deploy@web"},
		{"[::1]:22", "", "", "ssh ::1"},
	} {
		if got := strings.Join(CommandLine(test.address, test.login, test.key), " "); got != test.want {
			t.Errorf("%s: got %s, want %s", test.address, got, test.want)
		}
	}
}
