package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/astern-dev/astern/bench/verdict"
)

// The first argument of this program when it is one of its own children.
const (
	serveChild = "truth-serve" // ADDRESS FILE: the service that is deployed
	enterChild = "truth-enter" // FOLDER FIRST COUNT: gets itself disks of its own, gives up all rights, and becomes the next
	workChild  = "truth-work"  // FOLDER FIRST COUNT: makes the trials
)

// nobody is as whom the trials are made where this program is run by root, whom no permission hinders.
const nobody = 65534

// slots is how many worlds there are side by side: trials mostly wait.
const slots = 16

// result is what a worker prints.
type result struct {
	Tried   []verdict.Tried `json:"tried"`
	Untried []string        `json:"untried,omitempty"` // rows that were drawn and are not possible here
	Trouble string          `json:"trouble,omitempty"`
}

// child does the work of a child, and reports whether this process is one.
func child(args []string) (code int, ours bool) {
	if len(args) < 2 {
		return 0, false
	}
	var err error
	switch args[1] {
	case serveChild:
		err = serve(args[2], args[3])
	case enterChild:
		err = enter(args[2:])
	case workChild:
		err = json.NewEncoder(os.Stdout).Encode(work(args[2], args[3], args[4]))
	default:
		return 0, false
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, args[1], err)
		return 1, true
	}
	return 0, true
}

// serve is the service: it answers with the text of the file as it was at the start, and with its process id.
func serve(address, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	said := fmt.Sprintf("%s %d\n", strings.TrimSpace(string(text)), os.Getpid())
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, said) })) // who went away hears nothing
}

// outcomes makes the trials in a child, as somebody whom permissions hinder, on disks of its own where that is possible.
func outcomes(ctx context.Context, folder string, first, count uint64) (result, error) {
	var out result
	if err := prepare(folder); err != nil {
		return out, err
	}
	args := []string{folder, strconv.FormatUint(first, 10), strconv.FormatUint(count, 10)}
	uid, gid := os.Getuid(), os.Getgid()
	own := &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	plain := &syscall.SysProcAttr{}
	if uid == 0 {
		plain.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	} else {
		own = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, AmbientCaps: []uintptr{capSysAdmin},
			UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}}
	}
	said, err := start(ctx, folder, enterChild, args, own)
	if err != nil && ctx.Err() == nil && len(said) == 0 {
		fmt.Fprintf(os.Stderr, "truth: no disks of its own (%v), so full ones are not tried\n", err)
		said, err = start(ctx, folder, workChild, args, plain)
	}
	sweep(folder)
	for pid := range processes(func(line []byte) bool { return isServer(folder, bytes.ReplaceAll(line, []byte{0}, []byte{' '})) }) {
		syscall.Kill(pid, syscall.SIGKILL) // the worker was ended before it could
	}
	if err != nil {
		return out, fmt.Errorf("making the trials: %w", err)
	}
	if err := json.Unmarshal(said, &out); err != nil {
		return out, fmt.Errorf("reading what the trials showed: %w", err)
	}
	if out.Trouble != "" {
		return out, errors.New(out.Trouble)
	}
	return out, nil
}

// prepare makes the folder fit for somebody else: a copy of this program, and places for the worlds.
func prepare(folder string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(self)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "truth"), text, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		return err
	}
	for i := range slots + 1 {
		name := filepath.Join(folder, "slot-"+strconv.Itoa(i))
		if i == slots {
			name = filepath.Join(folder, "work")
		}
		if err := os.Mkdir(name, 0o700); err != nil {
			return err
		}
		if os.Getuid() == 0 {
			if err := os.Chown(name, nobody, nobody); err != nil {
				return err
			}
		}
	}
	return nil
}

func start(ctx context.Context, folder, verb string, args []string, as *syscall.SysProcAttr) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(folder, "truth"), append([]string{verb}, args...)...)
	cmd.SysProcAttr, cmd.Dir = as, "/"
	cmd.Env = []string{"PATH=" + filepath.Join(folder, "work", "bin") + ":" + os.Getenv("PATH"), "HOME=" + filepath.Join(folder, "work"),
		"LANG=C", "GORACE=atexit_sleep_ms=0"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	err := cmd.Run()
	return out.Bytes(), err
}

// Words of Linux that the syscall package does not have.
const (
	capSysAdmin   = 21
	prCapAmbient  = 47
	ambientAllOff = 4
)

// hasDisks is the file that says that the slots are disks of their own.
const hasDisks = "disks"

// enter mounts a small disk on each slot. To root it also gives nobody a shell, for sshd asks for one; that is seen by
// this process and its children only.
func enter(args []string) error {
	folder := args[0]
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts of its own: %w", err)
	}
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = nobody, nobody
		if err := giveShell(folder); err != nil {
			return err
		}
	}
	for i := range slots + 1 {
		at, size := filepath.Join(folder, "slot-"+strconv.Itoa(i)), "size=24m,nr_inodes=600"
		if i == slots {
			at, size = filepath.Join(folder, "work"), "size=400m"
		}
		if err := syscall.Mount("tmpfs", at, "tmpfs", 0, fmt.Sprintf("%s,mode=0755,uid=%d,gid=%d", size, uid, gid)); err != nil {
			return fmt.Errorf("mounting %s: %w", at, err)
		}
	}
	if os.Getuid() == 0 {
		for _, err := range []error{syscall.Setgroups(nil), syscall.Setgid(gid), syscall.Setuid(uid)} {
			if err != nil {
				return fmt.Errorf("giving up rights: %w", err)
			}
		}
	} else if _, _, errno := syscall.Syscall6(syscall.SYS_PRCTL, prCapAmbient, ambientAllOff, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("giving up rights: %w", errno)
	}
	if err := os.WriteFile(filepath.Join(folder, "work", hasDisks), nil, 0o600); err != nil {
		return err
	}
	return syscall.Exec(filepath.Join(folder, "truth"), append([]string{"truth", workChild}, args...), os.Environ())
}

func giveShell(folder string) error {
	home := filepath.Join(folder, "work")
	for _, file := range []string{"passwd", "shadow"} {
		text, err := os.ReadFile(filepath.Join("/etc", file))
		if err != nil {
			return err
		}
		var out strings.Builder
		for line := range strings.Lines(string(text)) {
			switch f := strings.Split(strings.TrimSpace(line), ":"); {
			case file == "passwd" && len(f) == 7 && f[2] == strconv.Itoa(nobody):
				line = strings.Join([]string{f[0], "-", f[2], f[3], f[4], home, "/bin/sh"}, ":") + "\n"
			case file == "shadow" && f[0] == "nobody":
				line = "nobody:-:1::::::\n" // no password fits, and the account is not locked
			}
			if file == "passwd" || strings.HasPrefix(line, "nobody:") { // nobody else's secrets are copied
				out.WriteString(line)
			}
		}
		mine := filepath.Join(folder, file)
		if err := os.WriteFile(mine, []byte(out.String()), 0o644); err != nil {
			return err
		}
		if err := syscall.Mount(mine, filepath.Join("/etc", file), "", syscall.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}

// isServer reports whether a command line is that of an SSH server that was started below the folder.
func isServer(folder string, line []byte) bool {
	return bytes.Contains(line, []byte("sshd")) && bytes.Contains(line, []byte(folder+"/work/sshd-"))
}

// services returns the process ids of the services that were started below the folder.
func services(folder string) map[int]string {
	return processes(func(line []byte) bool {
		return bytes.HasPrefix(line, []byte(folder+"/")) && bytes.Contains(line, []byte("\x00"+serveChild+"\x00"))
	})
}

// processes returns those whose command line, with NUL bytes, is one of those meant.
func processes(meant func(line []byte) bool) map[int]string {
	out := map[int]string{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return out
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err == nil && meant(line) {
			out[pid] = string(bytes.TrimRight(line, "\x00"))
		}
	}
	return out
}

// sweep ends the services that were started below the folder.
func sweep(folder string) {
	for pid := range services(folder) {
		syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
	}
}

// answer asks a service what it is.
func answer(address string) (said string, err error) {
	conn, err := net.DialTimeout("tcp", address, 500_000_000)
	if err != nil {
		return "", err
	}
	defer conn.Close() // nothing is written that could be lost
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return "", err
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", err
	}
	defer r.Body.Close() // read to its end
	text, err := io.ReadAll(io.LimitReader(r.Body, 1<<10))
	return strings.TrimSpace(string(text)), err
}
