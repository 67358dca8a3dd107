// Package nobody makes trials in a child process whom permissions hinder, as they do not hinder root, on small disks of its own
// where the system gives it some. The benches of truth that break files share it.
package nobody

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// nobody is as whom the trials are made where this program is run by root, whom no permission hinders.
const nobody = 65534

// Stage is where trials are made: a copy of this program, and a folder "slot-N" for each world, which is a disk of its own where
// that is possible. The folder "work" is for what is beside the worlds.
type Stage struct {
	Folder  string // of everything
	Program string // name of the copy
	// Enter and Work are the first argument of the program when it is its own child; the others are FOLDER FIRST COUNT. By
	// the one it calls Become, by the other it makes the trials and prints what they showed.
	Enter, Work string
	Slots       int
	Disk        string // options of the disk of each slot, as mount has them
	Shell       bool   // nobody is given a shell, for sshd asks for one
}

// Run prepares the stage and makes the trials in a child. It returns what that printed.
func (s Stage) Run(ctx context.Context, first, count uint64) ([]byte, error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	args := []string{s.Folder, strconv.FormatUint(first, 10), strconv.FormatUint(count, 10)}
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
	said, err := s.start(ctx, s.Enter, args, own)
	if err != nil && ctx.Err() == nil && len(said) == 0 {
		fmt.Fprintf(os.Stderr, "%s: no disks of its own (%v), so full ones are not tried\n", s.Program, err)
		said, err = s.start(ctx, s.Work, args, plain)
	}
	return said, err
}

// prepare makes the folder fit for somebody else: a copy of this program, and places for the worlds.
func (s Stage) prepare() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(self)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.Folder, s.Program), text, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(s.Folder, 0o755); err != nil {
		return err
	}
	for i := range s.Slots + 1 {
		name := filepath.Join(s.Folder, "slot-"+strconv.Itoa(i))
		if i == s.Slots {
			name = filepath.Join(s.Folder, "work")
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

func (s Stage) start(ctx context.Context, verb string, args []string, as *syscall.SysProcAttr) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.Folder, s.Program), append([]string{verb}, args...)...)
	cmd.SysProcAttr, cmd.Dir = as, "/"
	cmd.Env = []string{"PATH=" + filepath.Join(s.Folder, "work", "bin") + ":" + os.Getenv("PATH"), "HOME=" + filepath.Join(s.Folder, "work"),
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

// HasDisks is the file in the folder "work" that says that the slots are disks of their own.
const HasDisks = "disks"

// Become mounts a small disk on each slot. To root it also gives nobody a shell, for sshd asks for one; that is seen by
// this process and its children only. It only returns an error: this process becomes the one that makes the trials.
func (s Stage) Become(args []string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts of its own: %w", err)
	}
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = nobody, nobody
		if s.Shell {
			if err := s.giveShell(); err != nil {
				return err
			}
		}
	}
	for i := range s.Slots + 1 {
		at, size := filepath.Join(s.Folder, "slot-"+strconv.Itoa(i)), s.Disk
		if i == s.Slots {
			at, size = filepath.Join(s.Folder, "work"), "size=400m"
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
	if err := os.WriteFile(filepath.Join(s.Folder, "work", HasDisks), nil, 0o600); err != nil {
		return err
	}
	return syscall.Exec(filepath.Join(s.Folder, s.Program), append([]string{s.Program, s.Work}, args...), os.Environ())
}

func (s Stage) giveShell() error {
	home := filepath.Join(s.Folder, "work")
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
		mine := filepath.Join(s.Folder, file)
		if err := os.WriteFile(mine, []byte(out.String()), 0o644); err != nil {
			return err
		}
		if err := syscall.Mount(mine, filepath.Join("/etc", file), "", syscall.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}
