package hostservice

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/astern-dev/astern/internal/host"
)

// endFirstThread ends the first thread of the process, and lets the others live for as long as somebody holds its input open.
func endFirstThread() {
	for {
		go func() {
			runtime.LockOSThread()
			if syscall.Gettid() == os.Getpid() {
				syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
			}
			select {} // it keeps its thread, so that the next one comes upon another
		}()
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", os.Getpid())); err == nil && strings.Contains(string(stat), ") Z ") {
			break
		}
		runtime.Gosched()
	}
	fmt.Println("ended")
	_, _ = os.Stdin.Read(make([]byte, 1)) // nothing comes but the end
	os.Exit(0)
}

// A process of which only the first thread has ended still holds its port: nothing may be started in its place.
func TestFirstThreadEnded(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), halfEnded+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(file, fmt.Append(nil, cmd.Process.Pid), 0o600); err != nil {
		t.Fatal(err)
	}
	w := way{pidFile: file}
	there := processThere(t.Context(), host.Here(), w)
	here, ok := processHere(t.Context(), host.Here(), w)
	if !ok || there.identity == "" || here.identity != there.identity {
		t.Errorf("it is\n%+v, and for the script\n%+v, but it holds its ports", here, there)
	}
}
