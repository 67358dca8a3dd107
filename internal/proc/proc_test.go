package proc

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/astern-dev/astern"
)

// TestMain lets the test binary be the child that the tests start: it prints its identity and waits for its end.
func TestMain(m *testing.M) {
	if os.Getenv("ASTERN_PROC_CHILD") != "" {
		if err := json.NewEncoder(os.Stdout).Encode(Self()); err != nil {
			os.Exit(1)
		}
		bufio.NewReader(os.Stdin).ReadString('\n')
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child starts a process and returns it with the identity that it says it has.
func child(t *testing.T) (*exec.Cmd, astern.Runner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ASTERN_PROC_CHILD=1")
	cmd.Stderr = os.Stderr
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
	t.Cleanup(func() { // does nothing to a child that a test has ended
		stdin.Close()
		cmd.Wait()
	})
	var r astern.Runner
	if err := json.NewDecoder(stdout).Decode(&r); err != nil {
		t.Fatal(err)
	}
	return cmd, r
}

func TestSelf(t *testing.T) {
	r := Self()
	if r.Host == "" || r.PID != os.Getpid() || r.Start == "" || r.Boot == "" || r.User == "" {
		t.Fatalf("incomplete: %+v", r)
	}
	if r != Self() {
		t.Fatalf("a second call says something else: %+v, %+v", r, Self())
	}
	if !Alive(r) {
		t.Fatal("we are not alive")
	}
}

func TestAliveFollowsRealProcess(t *testing.T) {
	cmd, r := child(t)
	if r.PID != cmd.Process.Pid || r.Boot != Self().Boot {
		t.Fatalf("child says it is %+v", r)
	}
	if !Alive(r) {
		t.Fatal("a running process is not alive")
	}
	if Of(cmd.Process.Pid) != r {
		t.Fatalf("from outside it is %+v, it says %+v", Of(cmd.Process.Pid), r)
	}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if !Alive(r) {
		t.Fatal("a stopped process is not alive, and it can go on")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for ended := false; !ended; { // it becomes a zombie: nobody has waited for it
		_, ended, _ = inspect(r.PID)
	}
	if Alive(r) {
		t.Fatal("a zombie is alive")
	}
	if err := syscall.Kill(r.PID, 0); err != nil {
		t.Fatalf("the child was not a zombie: %v", err)
	}
	cmd.Wait()
	if Alive(r) {
		t.Fatal("a process that is gone is alive")
	}
}

func TestAliveNeedsCertainty(t *testing.T) {
	me := Self()
	id, space, _ := strings.Cut(me.Boot, "/")
	with := func(change func(r *astern.Runner)) astern.Runner { r := me; change(&r); return r }
	for _, c := range []struct {
		name string
		r    astern.Runner
		want bool
	}{
		{"our id, another start: the id was used again", with(func(r *astern.Runner) { r.Start = "1" }), false},
		{"no start known", with(func(r *astern.Runner) { r.Start = "" }), true},
		{"another boot of this machine", with(func(r *astern.Runner) { r.Boot = "b0/" + space }), false},
		{"another boot, another machine", with(func(r *astern.Runner) { r.Boot, r.Host = "b0/"+space, "elsewhere" }), true},
		{"another machine, no boot known", with(func(r *astern.Runner) { r.Boot, r.Host, r.PID = "", "elsewhere", 1<<30 }), true},
		{"no machine known", with(func(r *astern.Runner) { r.Boot, r.Host, r.PID = "", "", 1<<30 }), true},
		{"no boot known, id is free", with(func(r *astern.Runner) { r.Boot, r.PID = "", 1<<30 }), space != ""},
		{"another container of this machine", with(func(r *astern.Runner) { r.Boot, r.PID = id+"/1", 1<<30 }), true},
		{"this boot, machine was renamed, id is free", with(func(r *astern.Runner) { r.Host, r.PID = "old", 1<<30 }), false},
		{"no process", with(func(r *astern.Runner) { r.PID = 0 }), true},
		{"a process of another user", with(func(r *astern.Runner) { r.PID, r.Start = 1, "" }), true},
	} {
		if got := Alive(c.r); got != c.want {
			t.Errorf("%s: alive is %v, want %v (%+v)", c.name, got, c.want, c.r)
		}
	}
	if alive(astern.Runner{Host: "h", PID: 1 << 30}, "h", "") {
		t.Error("same machine, nothing else known, and the id is free: alive")
	}
}
