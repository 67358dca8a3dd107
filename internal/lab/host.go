package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/proc"
)

// Place is where a lab is, and how it is to be.
type Place struct {
	Dir  string // its folder
	Addr string // of this machine, "127.0.0.1:0" for any free port
	Seed uint64
}

// At puts the lab into a folder.
func (p *Place) At(dir string) (err error) {
	if p.Dir, err = filepath.Abs(dir); err != nil {
		return astern.Errorf(astern.Invalid, "the lab's folder %s: %w", dir, err)
	}
	return nil
}

// Running is a lab that runs, as its folder says.
type Running struct {
	URL   string        `json:"url"`
	Dir   string        `json:"dir"`
	Began time.Time     `json:"began"`
	Seed  uint64        `json:"seed"`
	Lab   astern.Runner `json:"lab"`
	Moto  astern.Runner `json:"moto"`
}

// Names in the folder of a lab.
const (
	runningFile = "lab.json"
	callsFile   = "calls.jsonl"
	logFile     = "lab.log"
	envFile     = "env"
	lockFile    = "lock"
)

// Environment is what a program needs to be told to use the lab instead of AWS. The key is none: the lab takes any.
func (r Running) Environment() []string {
	return []string{"AWS_ENDPOINT_URL=" + r.URL, "AWS_ACCESS_KEY_ID=lab", "AWS_SECRET_ACCESS_KEY=lab", "AWS_REGION=" + homeRegion,
		"AWS_DEFAULT_REGION=" + homeRegion, "AWS_EC2_METADATA_DISABLED=true"}
}

// Find returns the lab that runs in a folder; NotFound when there is none.
func Find(dir string) (Running, error) {
	none := astern.Errorf(astern.NotFound, "no lab runs in %s", dir).WithHint("astern lab up")
	b, err := os.ReadFile(filepath.Join(dir, runningFile))
	if errors.Is(err, os.ErrNotExist) {
		return Running{}, none
	}
	var r Running
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		return Running{}, astern.Errorf(astern.Internal, "reading which lab runs in %s: %w", dir, err)
	}
	if !proc.Alive(r.Lab) {
		return r, none
	}
	return r, nil
}

// Serve runs a lab in this process until ctx ends. Once it answers, it calls ready.
func Serve(ctx context.Context, p Place, ready func(Running) error) (err error) {
	release, err := occupy(p.Dir)
	if err != nil {
		return err
	}
	defer release()
	for _, left := range leftovers(p.Dir) { // by a lab that was killed
		_ = os.RemoveAll(left)
	}
	listener, err := listen(p.Addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	calls, err := openRoll(filepath.Join(p.Dir, callsFile))
	if err != nil {
		return err
	}
	defer calls.Close()
	moto, err := StartMoto(ctx)
	if err != nil {
		return err
	}
	defer moto.Stop()
	l, err := New(moto.URL, p.Seed, calls)
	if err != nil {
		return err
	}
	defer l.Close()
	l.states.functions.base = p.Dir
	if err := l.Begin(ctx); err != nil {
		return err
	}
	r := Running{URL: "http://" + listener.Addr().String(), Dir: p.Dir, Began: time.Now().UTC().Truncate(time.Second), Seed: p.Seed,
		Lab: proc.Self(), Moto: proc.Of(moto.PID)}
	server := &http.Server{Handler: l, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: log.New(os.Stderr, "", log.LstdFlags)}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	defer func() {
		_ = server.Close() // calls in flight lose their moto anyway
		<-ended
	}()
	if err := r.write(); err != nil {
		return err
	}
	defer os.Remove(filepath.Join(p.Dir, runningFile))
	if err := ready(r); err != nil {
		return err
	}
	return l.watch(ctx, moto, filepath.Join(p.Dir, runningFile))
}

func leftovers(dir string) []string {
	found, _ := filepath.Glob(filepath.Join(dir, "functions-*")) // fails only for a malformed pattern
	return found
}

// watch waits for the end and expires objects meanwhile. A lab whose folder is gone could not be found any more: it ends.
func (l *Lab) watch(ctx context.Context, moto *Moto, note string) error {
	hour, second := time.NewTicker(time.Hour), time.NewTicker(time.Second)
	defer hour.Stop()
	defer second.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-moto.Ended():
			return astern.Errorf(astern.Unavailable, "moto has ended, and the account with it: %s", moto.LastWords())
		case <-second.C:
			if _, err := os.Stat(note); errors.Is(err, os.ErrNotExist) {
				return astern.Errorf(astern.NotFound, "%s is gone, and the lab with it", note)
			}
		case <-hour.C:
			if _, err := l.Expire(ctx); err != nil {
				return err
			}
		}
	}
}

// occupy makes the folder of a lab and takes it, so that no two labs write there. The kernel gives it back when we end.
func occupy(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, astern.Errorf(astern.Invalid, "making the lab's folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, astern.Errorf(astern.Invalid, "taking the lab's folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, astern.Errorf(astern.Conflict, "another lab runs in %s, or is being started there", dir).WithHint("astern lab status")
	}
	return func() { f.Close() }, nil
}

// listen listens on this machine only: a lab believes whoever asks.
func listen(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, astern.Errorf(astern.Invalid, "the lab can't listen on %q: %w", addr, err).WithHint("--addr 127.0.0.1:4566")
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, astern.Errorf(astern.Refused, "the lab listens on this machine only, not on %q: it believes whoever asks", host).
			WithHint("--addr 127.0.0.1:4566")
	}
	listener, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, astern.Errorf(astern.Conflict, "the port of %s is taken by another program", addr).WithHint("without --addr the lab takes a free one")
	}
	if err != nil {
		return nil, astern.Errorf(astern.Unavailable, "listening on %s: %w", addr, err)
	}
	return listener, nil
}

// write says in the folder that the lab runs, and how to use it.
func (r Running) write() error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return astern.Errorf(astern.Internal, "noting that the lab runs: %w", err)
	}
	var env strings.Builder
	for _, v := range r.Environment() {
		fmt.Fprintln(&env, "export "+v)
	}
	for name, text := range map[string]string{envFile: env.String(), runningFile: string(b) + "\n"} {
		at := filepath.Join(r.Dir, name)
		if err := os.WriteFile(at+".new", []byte(text), 0o600); err != nil {
			return astern.Errorf(astern.Unavailable, "noting that the lab runs: %w", err)
		}
		if err := os.Rename(at+".new", at); err != nil {
			return astern.Errorf(astern.Unavailable, "noting that the lab runs: %w", err)
		}
	}
	return nil
}

// upPatience is how long a lab may take to start.
const upPatience = motoPatience + 15*time.Second

// Heard is what a lab in the background says once, on its standard output: that it runs, or why not.
type Heard struct {
	Running *Running   `json:"running,omitempty"`
	Failed  *complaint `json:"failed,omitempty"`
}

// Fails makes what a lab says that can't run.
func Fails(err error) Heard {
	return Heard{Failed: &complaint{astern.CodeOf(err), err.Error(), astern.HintOf(err)}}
}

// Up starts a lab in the background and waits until it answers. When one runs in that folder already, that one is
// returned and first is false. Command is the program with the arguments that let it Serve and say what it Heard.
func Up(ctx context.Context, p Place, command ...string) (r Running, first bool, err error) {
	if r, err := Find(p.Dir); err == nil {
		return r, false, nil
	}
	if err := os.MkdirAll(p.Dir, 0o700); err != nil {
		return Running{}, false, astern.Errorf(astern.Invalid, "making the lab's folder: %w", err)
	}
	complaints, err := os.OpenFile(filepath.Join(p.Dir, logFile), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return Running{}, false, astern.Errorf(astern.Invalid, "writing the lab's log: %w", err)
	}
	defer complaints.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = complaints
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // the end of our terminal is not its end
	out, err := cmd.StdoutPipe()
	if err != nil {
		return Running{}, false, astern.Errorf(astern.Internal, "starting the lab: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return Running{}, false, astern.Errorf(astern.Unavailable, "starting the lab: %w", err)
	}
	heard := make(chan Heard, 1)
	go func() {
		var h Heard
		line, _ := bufio.NewReader(io.LimitReader(out, 1<<20)).ReadBytes('\n')
		_ = json.Unmarshal(line, &h) // what is no answer is none: see below
		heard <- h
	}()
	select {
	case h := <-heard:
		return h.settle(p, cmd)
	case <-ctx.Done():
		err = astern.Errorf(astern.Interrupted, "starting the lab: %w", context.Cause(ctx))
	case <-time.After(upPatience):
		err = astern.Errorf(astern.Unavailable, "the lab does not answer after %s", upPatience).WithHint("%s has what it says", complaints.Name())
	}
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()
	return Running{}, false, err
}

// settle turns what was heard into an answer.
func (h Heard) settle(p Place, cmd *exec.Cmd) (Running, bool, error) {
	if h.Running != nil {
		_ = cmd.Process.Release() // it is its own from here on
		return *h.Running, true, nil
	}
	_ = cmd.Wait()
	if h.Failed == nil {
		text, _ := os.ReadFile(filepath.Join(p.Dir, logFile)) // "" says as much
		return Running{}, false, astern.Errorf(astern.Unavailable, "the lab ended as it was started: %s", strings.TrimSpace(string(text)))
	}
	if h.Failed.Code == astern.Conflict { // somebody else was faster
		if r, err := Find(p.Dir); err == nil {
			return r, false, nil
		}
	}
	return Running{}, false, h.Failed.err()
}

// err is the complaint as the error that it was.
func (c complaint) err() error {
	e := astern.Errorf(c.Code, "%s", c.Message)
	if c.Hint != "" {
		e = e.WithHint("%s", c.Hint)
	}
	return e
}

// downPatience is how long a lab may take to end.
const downPatience = 10 * time.Second

// Down ends the lab of a folder and its moto, and no other processes. It returns false when none ran.
func Down(ctx context.Context, dir string) (ended bool, err error) {
	r, err := Find(dir)
	if err != nil && (astern.CodeOf(err) != astern.NotFound || r.URL == "") {
		if astern.CodeOf(err) == astern.NotFound {
			return false, nil
		}
		return false, err
	}
	ended = err == nil
	here := proc.Self()
	for _, p := range []astern.Runner{r.Lab, r.Moto} {
		if p.Boot != here.Boot || p.Host != here.Host || p.Start == "" {
			if !proc.Alive(p) {
				continue
			}
			return false, astern.Errorf(astern.Refused, "the lab in %s runs on %s, as process %d: it can't be ended from here", dir, p.Host, p.PID)
		}
		if err := end(ctx, p); err != nil {
			return false, err
		}
	}
	if err := os.Remove(filepath.Join(dir, runningFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return ended, astern.Errorf(astern.Unavailable, "noting that the lab has ended: %w", err)
	}
	return ended, nil
}

// end asks a process to end, and makes it when it does not.
func end(ctx context.Context, p astern.Runner) error {
	if !proc.Alive(p) {
		return nil
	}
	if err := syscall.Kill(p.PID, syscall.SIGTERM); err != nil && err != syscall.ESRCH {
		return astern.Errorf(astern.Denied, "ending process %d of the lab: %w", p.PID, err)
	}
	tick, late := time.NewTicker(10*time.Millisecond), time.After(downPatience)
	defer tick.Stop()
	for proc.Alive(p) {
		select {
		case <-ctx.Done():
			return astern.Errorf(astern.Interrupted, "ending process %d of the lab: %w", p.PID, context.Cause(ctx))
		case <-late:
			if proc.Alive(p) {
				_ = syscall.Kill(p.PID, syscall.SIGKILL) // it may have ended in between
			}
			late = nil
		case <-tick.C:
		}
	}
	return nil
}

// roll is a file that is begun anew when it is large; the one before is kept.
type roll struct {
	name string
	file *os.File
	size int64
}

const rollBytes = 64 << 20

func openRoll(name string) (*roll, error) {
	r := &roll{name: name}
	if err := r.begin(); err != nil {
		return nil, astern.Errorf(astern.Unavailable, "writing the lab's calls: %w", err)
	}
	return r, nil
}

func (r *roll) begin() (err error) {
	if err := os.Rename(r.name, r.name+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	r.file, err = os.OpenFile(r.name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	r.size = 0
	return err
}

// Write appends a line.
func (r *roll) Write(b []byte) (int, error) {
	if r.size+int64(len(b)) > rollBytes {
		if err := r.file.Close(); err != nil {
			return 0, err
		}
		if err := r.begin(); err != nil {
			return 0, err
		}
	}
	n, err := r.file.Write(b)
	r.size += int64(n)
	return n, err
}

// Close closes the file.
func (r *roll) Close() error { return r.file.Close() }
