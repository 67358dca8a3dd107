package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// One moto and one Python serve all tests of the package; each test gets a lab of its own in front of an emptied moto.
var (
	sharedMoto   *Moto
	sharedPython *interpreter
)

func TestMain(m *testing.M) {
	if os.Getenv("ASTERN_LAB_SERVE") != "" {
		serveHere()
	}
	code := m.Run()
	if sharedPython != nil {
		sharedPython.stop()
	}
	if sharedMoto != nil {
		sharedMoto.Stop()
	}
	os.Exit(code)
}

// account is a lab over HTTP.
type account struct {
	*Lab
	URL string
	t   *testing.T
}

// start makes an empty account. Tests that use one do not run in parallel: moto is shared.
func start(t *testing.T) *account {
	t.Helper()
	if sharedMoto == nil {
		program(t, "moto_server")
		m, err := StartMoto(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		sharedMoto = m
	}
	l, err := New(sharedMoto.URL, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(l)
	t.Cleanup(func() {
		server.Close()
		l.Close()
	})
	return &account{l, server.URL, t}
}

// program finds a program on PATH, or where scripts/need.sh installs moto and what its tests use. A test whose program is
// not there is skipped; in CI it fails instead.
func program(t *testing.T, name string) string {
	t.Helper()
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	if moto, err := findMoto(); err == nil {
		if p, err := exec.LookPath(filepath.Join(filepath.Dir(moto), name)); err == nil {
			return p
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("CI=true, and there is no %s", name)
	}
	t.Skipf("there is no %s", name)
	return ""
}

// aws runs the unmodified command line of AWS and returns what it printed.
func (a *account) aws(args ...string) string {
	a.t.Helper()
	out, err := a.tryAWS(args...)
	if err != nil {
		a.t.Fatalf("aws %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// tryAWS is aws for calls that are refused: the error holds what it said.
func (a *account) tryAWS(args ...string) (string, error) {
	a.t.Helper()
	cmd := exec.CommandContext(a.t.Context(), program(a.t, "aws"), args...)
	cmd.Env = append(os.Environ(), a.environment()...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(complaint.String()))
	}
	return strings.TrimSpace(string(out)), err
}

func (a *account) environment() []string {
	return []string{"AWS_ENDPOINT_URL=" + a.URL, "AWS_ACCESS_KEY_ID=lab", "AWS_SECRET_ACCESS_KEY=lab", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_REGION=us-east-1", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true"}
}

// python runs a script in a Python that has boto3, with client("s3") for a client that asks the lab, and refused(f) for
// the code with which f() is refused. It returns what the script printed.
func (a *account) python(script string) string {
	a.t.Helper()
	out, err := interpret(a.t, map[string]string{"script": script, "url": a.URL})
	if err != nil {
		a.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// wantPython runs a script and compares what it prints.
func (a *account) wantPython(want, script string) {
	a.t.Helper()
	if got := a.python(script); got != strings.TrimSpace(want) {
		a.t.Errorf("got\n%s\nwant\n%s", got, strings.TrimSpace(want))
	}
}

// interpreter is a Python that runs one script after another.
type interpreter struct {
	mu  sync.Mutex
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

const interpreterScript = `
import sys, json, io, contextlib, traceback
import boto3, botocore.session, botocore.config, botocore.exceptions
answers, clients, url = sys.stdout, {}, None
def client(name, region="us-east-1", key="lab", attempts=1, **more):
    at = (name, url, region, key, attempts, str(more))
    if at not in clients:
        clients[at] = boto3.client(name, endpoint_url=url, region_name=region, aws_access_key_id=key, aws_secret_access_key="lab", **more,
            config=botocore.config.Config(retries={"total_max_attempts": attempts}, s3={"addressing_style": "path"}))
    return clients[at]
def refused(f):
    try:
        f()
    except botocore.exceptions.ClientError as e:
        return "%d %s: %s" % (e.response["ResponseMetadata"]["HTTPStatusCode"], e.response["Error"]["Code"], e.response["Error"]["Message"])
    except Exception as e:
        return type(e).__name__
    return "not refused"
for line in sys.stdin:
    job, out, error = json.loads(line), io.StringIO(), ""
    url = job["url"]
    names = {"client": client, "refused": refused, "boto3": boto3, "json": json, "url": url, "job": job}
    with contextlib.redirect_stdout(out):
        try:
            exec(job["script"], names)
        except BaseException:
            error = traceback.format_exc(limit=-3)
    answers.write(json.dumps({"out": out.getvalue(), "error": error}) + "\n")
    answers.flush()
`

func interpret(t *testing.T, job map[string]string) (string, error) {
	t.Helper()
	if sharedPython == nil {
		python := program(t, "python3")
		if exec.Command(python, "-c", "import boto3").Run() != nil { // that of moto's has it
			if moto, err := findMoto(); err == nil {
				python = filepath.Join(filepath.Dir(moto), "python3")
			}
		}
		if out, err := exec.Command(python, "-c", "import boto3").CombinedOutput(); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("CI=true, and python3 has no boto3: %s", out)
			}
			t.Skip("python3 has no boto3")
		}
		cmd := exec.Command(python, "-u", "-c", interpreterScript)
		cmd.Stderr = os.Stderr
		in, err1 := cmd.StdinPipe()
		out, err2 := cmd.StdoutPipe()
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		sharedPython = &interpreter{cmd: cmd, in: in, out: bufio.NewReader(out)}
	}
	return sharedPython.run(job)
}

func (p *interpreter) run(job map[string]string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, err := json.Marshal(job)
	if err != nil {
		return "", err
	}
	if _, err := p.in.Write(append(b, '\n')); err != nil {
		return "", err
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return "", err
	}
	var answer struct{ Out, Error string }
	if err := json.Unmarshal(line, &answer); err != nil {
		return "", err
	}
	if answer.Error != "" {
		return "", fmt.Errorf("%s\nafter printing: %s", answer.Error, answer.Out)
	}
	return answer.Out, nil
}

func (p *interpreter) stop() {
	p.in.Close()
	p.cmd.Wait()
}
