package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/proc"
)

// serveHere lets the test binary be the lab in the background: see TestMain.
func serveHere() {
	err := Serve(context.Background(), Place{os.Getenv("ASTERN_LAB_SERVE"), os.Getenv("ASTERN_LAB_ADDR"), 1}, func(r Running) error {
		return json.NewEncoder(os.Stdout).Encode(Heard{Running: &r})
	})
	json.NewEncoder(os.Stdout).Encode(Fails(err))
	os.Exit(1)
}

// up starts a lab in the background, as the program does.
func up(t *testing.T, dir, addr string) (Running, bool, error) {
	t.Helper()
	program(t, "moto_server")
	t.Setenv("ASTERN_LAB_SERVE", dir)
	t.Setenv("ASTERN_LAB_ADDR", addr)
	t.Cleanup(func() { Down(context.Background(), dir) })
	return Up(t.Context(), Place{dir, addr, 1}, os.Args[0])
}

// gone waits until a process has ended. One that never does is ended, so that nothing is left behind.
func gone(t *testing.T, p astern.Runner) {
	t.Helper()
	for began := time.Now(); proc.Alive(p); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			syscall.Kill(p.PID, syscall.SIGKILL)
			t.Fatalf("process %d lives on", p.PID)
		}
	}
}

// One lab in a folder, found again, and ended with its moto; another folder has another one.
func TestUpAndDown(t *testing.T) {
	dir := t.TempDir()
	r, first, err := up(t, dir, "127.0.0.1:0")
	if err != nil || !first {
		t.Fatal(first, err)
	}
	again, first, err := Up(t.Context(), Place{Dir: dir}, "/no/such/program")
	if err != nil || first || again != r {
		t.Fatalf("the second finds %+v, first %v, %v", again, first, err)
	}
	if _, err := r.Client().Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ended, err := Down(t.Context(), dir); !ended || err != nil {
		t.Fatal(ended, err)
	}
	if proc.Alive(r.Lab) || proc.Alive(r.Moto) {
		t.Errorf("after the end, lab alive %v, moto alive %v", proc.Alive(r.Lab), proc.Alive(r.Moto))
	}
	if ended, err := Down(t.Context(), dir); ended || err != nil {
		t.Errorf("the second end: %v, %v", ended, err)
	}
	if _, err := Find(dir); astern.CodeOf(err) != astern.NotFound {
		t.Error(err)
	}
}

// Killed, the lab takes its moto along; the next one starts where it was. A moto that is killed ends the lab.
func TestKilledLab(t *testing.T) {
	dir := t.TempDir()
	r, _, err := up(t, dir, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(r.Lab.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	syscall.Wait4(r.Lab.PID, nil, 0, nil)
	gone(t, r.Moto)
	if _, err := Find(dir); astern.CodeOf(err) != astern.NotFound {
		t.Errorf("a killed lab is found: %v", err)
	}
	next, first, err := up(t, dir, strings.TrimPrefix(r.URL, "http://"))
	if err != nil || !first || next.URL != r.URL {
		t.Fatal(next, first, err)
	}
	if err := syscall.Kill(next.Moto.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	syscall.Wait4(next.Lab.PID, &status, 0, nil)
	if status.ExitStatus() != 1 {
		t.Errorf("without moto the lab ends with %d", status.ExitStatus())
	}
}

// A lab whose folder was taken away ends, and its moto.
func TestLabWithoutFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	r, _, err := up(t, dir, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	gone(t, r.Lab)
	gone(t, r.Moto)
}

// Each reason not to start is told apart.
func TestWhyItDoesNotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	held := t.TempDir()
	release, err := occupy(held)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	for name, script := range map[string]string{"dies": "echo a line >&2; echo ModuleNotFoundError: No module named flask >&2; exit 3", "missing": ""} {
		os.Mkdir(filepath.Join(bin, name), 0o755)
		if script != "" {
			os.WriteFile(filepath.Join(bin, name, "moto_server"), []byte("#!/bin/sh\n"+script+"\n"), 0o755)
		}
	}
	for _, c := range []struct {
		name, dir, addr, path string
		code                  astern.Code
		want                  string
	}{
		{"port taken", t.TempDir(), taken.Addr().String(), "", astern.Conflict, "the port of " + taken.Addr().String() + " is taken by another program"},
		{"folder taken", held, "127.0.0.1:0", "", astern.Conflict, "another lab runs in " + held},
		{"not this machine", t.TempDir(), "0.0.0.0:0", "", astern.Refused, "on this machine only"},
		{"no address", t.TempDir(), "nonsense", "", astern.Invalid, `can't listen on "nonsense"`},
		{"no folder", file, "127.0.0.1:0", "", astern.Invalid, "making the lab's folder"},
		{"moto dies", t.TempDir(), "127.0.0.1:0", "dies", astern.Unavailable, "moto ended as it was started (exit status 3): a line | ModuleNotFoundError: No module named flask"},
		{"no moto", t.TempDir(), "127.0.0.1:0", "missing", astern.Unavailable, "the lab needs moto_server, which is not on PATH"},
	} {
		if c.path != "" {
			t.Setenv("PATH", filepath.Join(bin, c.path))
		}
		_, _, err := func() (Running, bool, error) {
			t.Setenv("ASTERN_LAB_SERVE", c.dir)
			t.Setenv("ASTERN_LAB_ADDR", c.addr)
			return Up(t.Context(), Place{c.dir, c.addr, 1}, os.Args[0])
		}()
		if astern.CodeOf(err) != c.code || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %s %v\nwant %s %s", c.name, astern.CodeOf(err), err, c.code, c.want)
		}
	}
}

// Where the kernel does not end a child with us, a shell does that holds our end of a pipe.
func TestLeash(t *testing.T) {
	cmd := leashed("sh", "-c", "echo $$; exec sleep 1000")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var child int
	if _, err := fmt.Fscan(stdout, &child); err != nil {
		t.Fatal(err)
	}
	who := proc.Of(child)
	stdin.Close() // as the kernel does when we die
	gone(t, who)
	cmd.Wait()
	out, err := leashed("sh", "-c", "echo hello; exit 4").CombinedOutput()
	if cmd := fmt.Sprint(err); cmd != "exit status 4" || string(out) != "hello\n" {
		t.Errorf("what the child does comes through as %q, %v", out, err)
	}
}

// The file of calls is begun anew when it is large.
func TestRoll(t *testing.T) {
	name := filepath.Join(t.TempDir(), "calls")
	r, err := openRoll(name)
	if err != nil {
		t.Fatal(err)
	}
	line := bytes.Repeat([]byte("x"), rollBytes/4)
	for range 6 {
		if _, err := r.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	now, _ := os.Stat(name)
	before, _ := os.Stat(name + ".1")
	if now.Size() != rollBytes/2 || before.Size() != rollBytes {
		t.Errorf("the file has %d bytes, the one before %d", now.Size(), before.Size())
	}
}
