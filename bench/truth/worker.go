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
	"strconv"
	"strings"
	"syscall"

	"github.com/astern-dev/astern/bench/nobody"
	"github.com/astern-dev/astern/bench/verdict"
)

// The first argument of this program when it is one of its own children.
const (
	serveChild = "truth-serve" // ADDRESS FILE: the service that is deployed
	enterChild = "truth-enter" // FOLDER FIRST COUNT: gets itself disks of its own, gives up all rights, and becomes the next
	workChild  = "truth-work"  // FOLDER FIRST COUNT: makes the trials
)

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
		err = stage(args[2]).Become(args[2:])
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

// stage is where the trials are made; sshd asks for a shell.
func stage(folder string) nobody.Stage {
	return nobody.Stage{Folder: folder, Program: "truth", Enter: enterChild, Work: workChild, Slots: slots, Disk: "size=24m,nr_inodes=600", Shell: true}
}

// outcomes makes the trials in a child, as somebody whom permissions hinder, on disks of its own where that is possible.
func outcomes(ctx context.Context, folder string, first, count uint64) (result, error) {
	var out result
	said, err := stage(folder).Run(ctx, first, count)
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
