package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// sandbox is a process that runs a function, one call after the other, and the runtime interface that it talks to.
//
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
type sandbox struct {
	folder string
	life   int // of the account
	server *http.Server
	cmd    *exec.Cmd
	stdin  io.Closer
	said   *tail
	ended  chan struct{}
	err    error // of its end; to be read once ended is closed

	work    chan *invocation
	mu      sync.Mutex
	current *invocation
}

// invocation is one call of a function.
type invocation struct {
	id, arn  string
	payload  []byte
	timeout  time.Duration
	deadline time.Time
	done     chan outcome // takes one
}

// outcome is how it ended. problem is "" when the function answered.
type outcome struct {
	payload []byte
	problem string
}

// failed is the payload of a call that the function did not answer.
func failed(kind, message string) outcome {
	b, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": message}) // texts can be written
	return outcome{b, "Unhandled"}
}

const maxAnswer = 6 << 20 // of a function, as Lambda takes it

// startSandbox unpacks an archive and runs its bootstrap.
func startSandbox(folder string, archive []byte, env []string) (*sandbox, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	s := &sandbox{folder: folder, said: &tail{}, ended: make(chan struct{}), work: make(chan *invocation)}
	if err := unzip(archive, folder, maxUnzipped); err != nil {
		s.remove()
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.remove()
		return nil, err
	}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.server.Serve(listener) }() // ends when close closes the server
	program := filepath.Join(folder, "bootstrap")
	if _, err := os.Stat(program); err != nil {
		s.shut()
		return nil, inLambdasWords("Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]")
	}
	s.cmd = bound(program)
	s.cmd.Dir = folder
	s.cmd.Env = append(env, "LAMBDA_TASK_ROOT="+folder, "AWS_LAMBDA_RUNTIME_API="+listener.Addr().String())
	s.cmd.Stdout, s.cmd.Stderr = s.said, s.said
	s.cmd.WaitDelay = time.Second
	if s.stdin, err = spawn(s.cmd, func(err error) {
		s.err = err
		close(s.ended)
	}); err != nil {
		s.shut()
		return nil, fmt.Errorf("fork/exec /var/task/bootstrap: %w", bare(err))
	}
	return s, nil
}

// inLambdasWords is an error that is shown as it is.
type inLambdasWords string

func (w inLambdasWords) Error() string { return string(w) }

// bare is the reason of an error without the names of our folders.
func bare(err error) error {
	for {
		inner, ok := err.(interface{ Unwrap() error })
		if !ok || inner.Unwrap() == nil {
			return err
		}
		err = inner.Unwrap()
	}
}

// call lets the function work on one call. The sandbox can be used again when it is still alive.
func (s *sandbox) call(ctx context.Context, i *invocation) outcome {
	late := time.NewTimer(time.Until(i.deadline))
	defer late.Stop()
	s.mu.Lock()
	s.current = i
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.current = nil
	}()
	work := s.work
	for {
		select {
		case work <- i: // the process has asked for it
			work = nil
		case out := <-i.done:
			return out
		case <-s.ended:
			select {
			case out := <-i.done: // it answered and ended
				return out
			default:
			}
			reason := "exit status 0"
			if s.err != nil {
				reason = s.err.Error()
			}
			return failed("Runtime.ExitError", "RequestId: "+i.id+" Error: Runtime exited with error: "+reason)
		case <-late.C:
			s.close()
			return failed("Sandbox.Timedout", fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", i.id, i.timeout.Seconds()))
		case <-ctx.Done():
			s.close()
			return failed("Sandbox.Stopped", "RequestId: "+i.id+" Error: the lab ends")
		}
	}
}

// alive reports whether the process may take another call.
func (s *sandbox) alive() bool {
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// ServeHTTP is the runtime interface.
func (s *sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, "/2018-06-01/runtime/")
	switch {
	case !ok:
		http.NotFound(w, r)
	case path == "invocation/next":
		s.next(w, r)
	case path == "init/error":
		s.settle(w, r, "", "Unhandled")
	default:
		id, how, _ := strings.Cut(strings.TrimPrefix(path, "invocation/"), "/")
		switch how {
		case "response":
			s.settle(w, r, id, "")
		case "error":
			s.settle(w, r, id, "Unhandled")
		default:
			http.NotFound(w, r)
		}
	}
}

// next hands out the next call, as soon as there is one.
func (s *sandbox) next(w http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case i := <-s.work:
		h := w.Header()
		h.Set("Lambda-Runtime-Aws-Request-Id", i.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(i.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", i.arn)
		h.Set("Content-Type", "application/json")
		_, _ = w.Write(i.payload) // a process that has ended gets nothing: call sees its end
	}
}

// settle takes the answer to the call that the process works on.
func (s *sandbox) settle(w http.ResponseWriter, r *http.Request, id, problem string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAnswer))
	if err != nil {
		out := failed("Function.ResponseSizeTooLarge", "Response payload size exceeded maximum allowed payload size (6291556 bytes).")
		body, problem = out.payload, out.problem
	}
	s.mu.Lock()
	i := s.current
	s.mu.Unlock()
	if i == nil || id != "" && id != i.id {
		http.Error(w, `{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}`, http.StatusBadRequest)
		return
	}
	select {
	case i.done <- outcome{body, problem}:
		w.WriteHeader(http.StatusAccepted)
	default: // a second answer
		http.Error(w, `{"errorMessage":"State transition is not allowed","errorType":"InvalidStateTransition"}`, http.StatusForbidden)
	}
}

// close ends the process, with what it has started, and waits for its end.
func (s *sandbox) close() {
	if s.cmd.SysProcAttr != nil && s.alive() {
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // the group is ours as long as it has not been waited for
	}
	_ = s.stdin.Close()
	<-s.ended
	s.shut()
}

// shut gives back everything but the process.
func (s *sandbox) shut() {
	_ = s.server.Close() // nobody is served any more
	s.remove()
}

func (s *sandbox) remove() { _ = os.RemoveAll(s.folder) }
