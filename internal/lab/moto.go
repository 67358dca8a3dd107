package lab

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/astern-dev/astern"
)

// Moto is a moto_server that runs as our child. It ends when we do, also when we are killed.
type Moto struct {
	URL string
	PID int

	cmd   *exec.Cmd
	stdin io.Closer
	said  *tail
	ended chan struct{}
	err   error // of its end; to be read once ended is closed
}

// Limits of starting moto.
const (
	motoPatience = 30 * time.Second // it imports half a million lines of Python on a cold disk
	motoPorts    = 5                // tries to find a free port
)

// StartMoto starts a moto_server on a free port of this machine and waits until it answers. The program is looked for on
// PATH and where scripts/need.sh installs it.
func StartMoto(ctx context.Context) (*Moto, error) {
	program, err := findMoto()
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		m, err := launch(ctx, program, port)
		if err == nil || try == motoPorts || m == nil || !m.said.has("Address already in use") {
			return m, err
		}
	}
}

// findMoto looks on PATH, beside the program, and in build/moto of the working folder and those above it.
func findMoto() (string, error) {
	if p, err := exec.LookPath("moto_server"); err == nil {
		return p, nil
	}
	var places []string
	if self, err := os.Executable(); err == nil {
		places = append(places, filepath.Dir(filepath.Dir(self)))
	}
	if at, err := os.Getwd(); err == nil {
		for ; ; at = filepath.Dir(at) {
			places = append(places, at)
			if at == filepath.Dir(at) {
				break
			}
		}
	}
	for _, place := range places {
		p := filepath.Join(place, "build", "moto", "bin", "moto_server")
		if i, err := os.Stat(p); err == nil && i.Mode().IsRegular() {
			return p, nil
		}
	}
	return "", astern.Errorf(astern.Unavailable, "the lab needs moto_server, which is not on PATH").
		WithHint("scripts/need.sh lab installs it into build/moto; or: pip install 'moto[server]>=5.2,<5.3'")
}

func freePort() (int, error) {
	s, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, astern.Errorf(astern.Unavailable, "looking for a free port for moto: %w", err)
	}
	defer s.Close()
	return s.Addr().(*net.TCPAddr).Port, nil
}

// launch starts moto on a port. The Moto comes with an error, too, when it was started: it has said why.
func launch(ctx context.Context, program string, port int) (_ *Moto, err error) {
	m := &Moto{URL: "http://127.0.0.1:" + strconv.Itoa(port), said: &tail{}, ended: make(chan struct{})}
	m.cmd = bound(program, "-H", "127.0.0.1", "-p", strconv.Itoa(port))
	m.cmd.Env = motoEnvironment(os.Environ())
	m.cmd.Stdout, m.cmd.Stderr = m.said, m.said
	m.cmd.WaitDelay = time.Second
	if m.stdin, err = spawn(m.cmd, func(err error) {
		m.err = err
		close(m.ended)
	}); err != nil {
		return nil, astern.Errorf(astern.Unavailable, "starting %s: %w", program, err)
	}
	m.PID = m.cmd.Process.Pid
	if err := m.wait(ctx); err != nil {
		m.Stop()
		return m, err
	}
	return m, nil
}

// spawn starts a command that bound has made, and calls ended with what Wait returns. Who closes stdin lets it go.
func spawn(cmd *exec.Cmd, ended func(error)) (stdin io.Closer, err error) {
	if stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	started := make(chan error)
	go func() {
		// Linux ends the child with the thread that started it, so this one must stay.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended(cmd.Wait())
		}
	}()
	return stdin, <-started
}

// motoEnvironment keeps the user's own settings of AWS and moto away from moto.
func motoEnvironment(of []string) []string {
	var out []string
	for _, v := range of {
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "MOTO_") {
			out = append(out, v)
		}
	}
	return append(out, "PYTHONUNBUFFERED=1")
}

// wait waits until moto answers.
func (m *Moto) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, motoPatience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, m.URL+"/moto-api/", nil)
		if err != nil {
			return astern.Errorf(astern.Internal, "asking moto whether it is there: %w", err)
		}
		if r, err := http.DefaultClient.Do(q); err == nil {
			_ = r.Body.Close() // nothing of it is wanted
			if r.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-m.ended:
			return astern.Errorf(astern.Unavailable, "moto ended as it was started (%v): %s", m.err, m.said)
		case <-ctx.Done():
			return astern.Errorf(astern.Unavailable, "moto does not answer on %s after %s: %s", m.URL, motoPatience, m.said)
		case <-tick.C:
		}
	}
}

// Ended is closed when moto has ended.
func (m *Moto) Ended() <-chan struct{} { return m.ended }

// LastWords are the last lines that moto wrote, for an error.
func (m *Moto) LastWords() string { return m.said.String() }

// Stop ends moto and waits for its end.
func (m *Moto) Stop() {
	_ = m.stdin.Close()                                                     // where the kernel does not end it with us, this does
	_ = m.cmd.Process.Signal(os.Interrupt)                                  // it may have ended already
	t := time.AfterFunc(3*time.Second, func() { _ = m.cmd.Process.Kill() }) // the same
	defer t.Stop()
	<-m.ended
}

// tail keeps the end of what a program writes.
type tail struct {
	mu    sync.Mutex
	text  []byte
	total int // bytes written
	told  int // of them told by next
}

// next is what was written since it was last asked for, as far as it is kept.
func (t *tail) next() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := string(t.text[max(0, len(t.text)-(t.total-t.told)):])
	t.told = t.total
	return out
}

const tailBytes = 16 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	t.total += len(b)
	if len(t.text) > 2*tailBytes {
		t.text = append(t.text[:0], t.text[len(t.text)-tailBytes:]...)
	}
	return len(b), nil
}

func (t *tail) has(s string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Contains(t.text, []byte(s))
}

// String returns the last five lines.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " | ")
}

// leash runs a program and ends it when its own standard input ends, as it does when we die, however we die.
const leash = `exec 3<&0
"$@" 3<&- </dev/null & child=$!
{ cat <&3 >/dev/null; kill -9 $child 2>/dev/null; } & watch=$!
trap 'kill $child $watch 2>/dev/null' INT TERM
wait $child
status=$?
kill $watch 2>/dev/null
exit $status`

// leashed makes a command that ends when we end, where no kernel sees to that.
func leashed(program string, args ...string) *exec.Cmd {
	return exec.Command("/bin/sh", append([]string{"-c", leash, "sh", program}, args...)...)
}
