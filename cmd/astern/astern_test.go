package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"astern": main, "mirror": mirror, "receiver": receiver})
}

// The scripts in testdata/script run the program on the system in testdata/system: real processes under a small ctl
// script. Whatever a script prints and leaves is searched for canaries (canary_test.go). Besides testscript's own commands
// they have
//
//	exits CODE COMMAND ARGS…   runs the command and demands its exit code
//	until COMMAND ARGS…        repeats the command until it succeeds
//	account FUNCTION…          runs an emulated AWS account for the script, with these functions in it (account_test.go)
//	configurations             runs an emulated AWS account with two configurations of AppConfig (configuration_test.go)
//	later DURATION             steps the clock of that account
//	gets CONFIGURATION LABEL…  demands what clients of a configuration get
//	alias FUNCTION VERSION     demands that the alias live of the function leads to the version
//	estate                     runs a lab with two environments of a service, two configurations and a site (estate_test.go)
//	held FILE… [-ACTION…]      holds the script's programs to these policies, without some actions (estate_test.go)
//	refused [CALL…]            demands which calls were refused since (estate_test.go)
//	unused [ACTION…]           demands which actions of the policies no call needed (estate_test.go)
//	services NAME…             runs a lab with these services of ECS in it (ecs_test.go)
//	serves SERVICE REVISION    demands that the service runs that task definition alone
//	world NAME                 writes every file and every process of the system into the file .tmp/NAME, to be compared
func TestScripts(t *testing.T) {
	testscript.RunT(watched{t}, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               layOut,
		Condition:           condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "until": until, "world": world, "account": account, "alias": alias,
			"configurations": configurations, "later": later, "gets": gets, "services": services, "serves": serves,
			"estate": estate, "held": held, "refused": refused, "unused": unused},
	})
}

// layOut copies the system into the script's folder; files that the script brings are left as they are.
func layOut(env *testscript.Env) error {
	if err := placeCanaries(env); err != nil {
		return err
	}
	env.Defer(func() { endProcesses(env.WorkDir) }) // before the search, which comes after all
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("TZ", "UTC")
	env.Setenv("OWN_MOUNTS", ownMounts())
	env.Setenv("GORACE", "atexit_sleep_ms=0") // else each program that is built with -race waits for a second at its end
	from, err := filepath.Abs(filepath.Join("testdata", "system"))
	if err != nil {
		return err
	}
	err = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		to := filepath.Join(env.WorkDir, name)
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		if _, err := os.Stat(to); err == nil {
			return os.Chmod(to, 0o755)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, content, 0o755)
	})
	if err != nil {
		return err
	}
	for _, link := range []string{"shop/current-shop-1", "shop/current-shop-2", "stock/current-stock-1"} {
		if err := os.Symlink("releases/v1.2.3", filepath.Join(env.WorkDir, link)); err != nil {
			return err
		}
	}
	return nil
}

// instances returns the recorded process id of each instance by its file.
func instances(folder string) map[string]int {
	out := map[string]int{}
	files, _ := filepath.Glob(filepath.Join(folder, "*", "run", "*.pid")) // the pattern is fine
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && pid > 1 {
			out[f] = pid
		}
	}
	return out
}

// endProcesses ends what a script has left running, by the recorded ids of those that run below its folder.
func endProcesses(folder string) {
	for _, pid := range instances(folder) {
		if at, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err == nil && !strings.HasPrefix(at, folder) {
			continue // the number is another's by now
		}
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
	}
}

// ownMounts is the option of unshare(1) that gives a script mounts of its own. Root needs no namespace of users for that.
func ownMounts() string {
	if os.Getuid() == 0 {
		return "-m"
	}
	return "-Urm"
}

// condition adds [root] and [namespaces]: the script may have mounts of its own. Under CI=true it has to, unless the kernel has none.
func condition(cond string) (bool, error) {
	switch cond {
	case "root":
		return os.Getuid() == 0, nil
	case "namespaces":
		cmd := exec.Command("unshare", ownMounts(), "mount", "-t", "tmpfs", "none", ".")
		cmd.Dir = os.TempDir()
		out, err := cmd.CombinedOutput()
		if _, none := os.Stat("/proc/self/ns/user"); err != nil && none == nil && os.Getenv("CI") == "true" {
			return false, fmt.Errorf("CI=true, and this login may not mount disks of its own, as scripts/need.sh says: %w: %s", err, out)
		}
		return err == nil, nil
	}
	if program, ok := strings.CutPrefix(cond, "needs:"); ok { // [exec:…] would pass in silence where CI has to fail
		_, err := exec.LookPath(program)
		if err != nil && os.Getenv("CI") == "true" {
			return false, fmt.Errorf("CI=true, and there is no %s: scripts/need.sh tests installs it", program)
		}
		return err == nil, nil
	}
	return false, fmt.Errorf("unknown condition %s", cond)
}

// exits runs a command and demands its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if neg || err != nil || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS…")
	}
	code := 0
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// until repeats a command until it succeeds.
func until(ts *testscript.TestScript, neg bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second) // a busy machine takes its time; what comes true ends the wait
	defer cancel()
	for ts.Exec(args[0], args[1:]...) != nil {
		select {
		case <-ctx.Done():
			ts.Fatalf("it never came true")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// world writes down every file (mode, size, content, time of change, where links lead) and every process.
func world(ts *testscript.TestScript, neg bool, args []string) {
	folder := ts.Getenv("WORK")
	var b strings.Builder
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".tmp" {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		what := ""
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			what, err = os.Readlink(path)
		case info.Mode().IsRegular():
			var content []byte
			content, err = os.ReadFile(path)
			what = fmt.Sprintf("%x", sha256.Sum256(content))
		}
		fmt.Fprintf(&b, "%s %s %s %s\n", path, info.Mode(), info.ModTime().Format(time.RFC3339Nano), what)
		return err
	})
	ts.Check(err)
	for file, pid := range instances(folder) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if err != nil || len(fields) < 20 {
			ts.Fatalf("the process of %s is gone: %v", file, err)
		}
		fmt.Fprintf(&b, "%s runs as %d since tick %s\n", file, pid, fields[19])
	}
	lines := slices.Sorted(strings.Lines(b.String()))
	ts.Check(os.WriteFile(filepath.Join(folder, ".tmp", args[0]), []byte(strings.Join(lines, "")), 0o600))
}
