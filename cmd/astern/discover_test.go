package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/astern-dev/astern/internal/awsapi/awstest"
	"github.com/astern-dev/astern/internal/canary"
	"github.com/astern-dev/astern/internal/lab"
)

// crowded is an account in the lab with a thousand resources, and who asks it: a page of parameters can be held back.
type crowded struct {
	*lab.Lab
	url string

	mu    sync.Mutex
	holds int           // pages of parameters until one is held back; 0 for none
	held  chan struct{} // closed when it is
	goOn  chan struct{}
}

const (
	parameters = 730
	secrets    = 250
	functions  = 20
)

func crowd(t *testing.T) *crowded {
	t.Helper()
	if !awstest.Here() {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI=true, and there is no moto_server")
		}
		t.Skip("there is no moto_server")
	}
	moto, err := lab.StartMoto(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moto.Stop)
	c := &crowded{}
	if c.Lab, err = lab.New(moto.URL, 1, nil); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(c)
	t.Cleanup(func() { server.Close(); c.Close() })
	c.url = server.URL
	c.fill(t)
	return c
}

// ServeHTTP lets the lab answer, but for a page that is held back.
func (c *crowded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".DescribeParameters") {
		c.mu.Lock()
		c.holds--
		wait := c.holds == 0
		held, goOn := c.held, c.goOn
		c.mu.Unlock()
		if wait {
			close(held)
			<-goOn
			panic(http.ErrAbortHandler) // who asked has ended
		}
	}
	c.Lab.ServeHTTP(w, r)
}

// hold holds back the nth page of parameters from now on.
func (c *crowded) hold(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holds, c.held, c.goOn = n, make(chan struct{}), make(chan struct{})
}

// fill makes the resources, some at a time.
func (c *crowded) fill(t *testing.T) {
	t.Helper()
	config := aws.Config{Region: "eu-central-1", BaseEndpoint: &c.url, Credentials: credentials.NewStaticCredentialsProvider("lab", "lab", "")}
	ctx, s, m, l := context.Background(), ssm.NewFromConfig(config), secretsmanager.NewFromConfig(config), lambda.NewFromConfig(config)
	role, err := iam.NewFromConfig(config).CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("fn"), AssumeRolePolicyDocument: aws.String("{}")})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, _ := w.Create("main.py")
	_, _ = f.Write([]byte("def handler(e, c): return 1\n"))
	_ = w.Close()
	var wait sync.WaitGroup
	slots := make(chan struct{}, 16)
	errs := make(chan error, parameters+secrets+functions)
	do := func(f func() error) {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			if err := f(); err != nil {
				errs <- err
			}
		})
	}
	for n := range parameters {
		do(func() error {
			_, err := s.PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String(fmt.Sprintf("/shop/%04d", n)), Value: aws.String("1"), Type: ssmtypes.ParameterTypeString})
			return err
		})
	}
	var one sync.Mutex // moto stumbles where secrets are added while it looks through them
	for n := range secrets {
		do(func() error {
			one.Lock()
			defer one.Unlock()
			_, err := m.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String(fmt.Sprintf("shop-%04d", n)), SecretString: aws.String(newValue)})
			return err
		})
	}
	for n := range functions {
		do(func() error {
			name := aws.String(fmt.Sprintf("fn-%04d", n))
			_, err := l.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: name, Role: role.Role.Arn, Runtime: types.RuntimePython313,
				Handler: aws.String("main.handler"), Code: &types.FunctionCode{ZipFile: b.Bytes()}, Publish: true})
			if err == nil {
				_, err = l.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: name, Name: aws.String("live"), FunctionVersion: aws.String("1")})
			}
			return err
		})
	}
	wait.Wait()
	close(errs)
	for err := range errs {
		t.Fatal(err)
	}
}

// start begins astern init in the folder.
func (c *crowded) start(t *testing.T, folder string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.Command("astern", "init", "aws:eu-central-1")
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), append(awstest.Environment(folder), "AWS_ENDPOINT_URL="+c.url, "GORACE=atexit_sleep_ms=0")...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, &said
}

// init runs astern init to its end, and demands its exit code.
func (c *crowded) init(t *testing.T, folder string, want int) string {
	t.Helper()
	cmd, said := c.start(t, folder)
	return ended(t, cmd, said, want)
}

func ended(t *testing.T, cmd *exec.Cmd, said *bytes.Buffer, want int) string {
	t.Helper()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if code := cmd.ProcessState.ExitCode(); code != want {
		t.Fatalf("exit code %d, want %d: %s", code, want, said)
	}
	return said.String()
}

// calls counts those since the one with that number.
func (c *crowded) calls(service, operation string, after int64) int {
	return len(c.Calls(service, operation, after))
}

func (c *crowded) last() int64 { return c.Status().Calls }

func says(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not said:\n%s", w, text)
		}
	}
}

func read(t *testing.T, name ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(name...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A search through a thousand resources is told, and goes on where it was after kill -9, an interruption, expired credentials
// and a throttled account: with the same result as one that nothing disturbed.
func TestInitGoesOn(t *testing.T) {
	t.Parallel()
	c := crowd(t)
	whole := filepath.Join(t.TempDir(), "shop")
	folder := func(t *testing.T) string {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "shop") // the name of the system
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	if err := os.Mkdir(whole, 0o700); err != nil {
		t.Fatal(err)
	}
	says(t, c.init(t, whole, 0), "found so far, looking for aws.")
	pages := c.calls("ssm", "DescribeParameters", 0)
	want := read(t, whole, "astern.yaml")
	if n := strings.Count(want, "kind: aws."); n != parameters+secrets+functions {
		t.Fatalf("%d components were found", n)
	}
	same := func(t *testing.T, dir string) {
		t.Helper()
		if read(t, dir, "astern.yaml") != want {
			t.Error("the file is another one than that of a search that nothing disturbed")
		}
		if _, err := os.Stat(filepath.Join(dir, "astern.yaml.search")); !os.IsNotExist(err) {
			t.Errorf("what was kept is still there: %v", err)
		}
	}
	t.Run("killed", func(t *testing.T) {
		dir := folder(t)
		c.hold(5)
		cmd, _ := c.start(t, dir)
		<-c.held
		for deadline := time.Now().Add(time.Minute); !strings.Contains(read(t, dir, "astern.yaml.search"), `{"kind":"aws.lambda","place":"aws:eu-central-1","done":true`); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) { // the other kinds are looked for beside the parameters
				t.Fatal("the functions were not found")
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		close(c.goOn)
		kept := read(t, dir, "astern.yaml.search")
		if len(canary.Leaks([]byte(kept))) > 0 || !strings.Contains(kept, "fn-0001") {
			t.Errorf("kept: %s", kept)
		}
		f, err := os.OpenFile(filepath.Join(dir, "astern.yaml.search"), os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString(`{"kind":"aws.ssm","place":"aws:eu-cen`) // as a kill in the middle of a line leaves it
		}
		if err != nil || f.Close() != nil {
			t.Fatal(err)
		}
		from := c.last()
		says(t, c.init(t, dir, 0), "going on from an earlier search:")
		same(t, dir)
		if n, m := c.calls("ssm", "DescribeParameters", from), c.calls("lambda", "ListFunctions", from); n != pages-4 || m != 0 {
			t.Errorf("%d pages of parameters and %d of functions were asked for again", n, m)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		dir := folder(t)
		c.hold(3)
		cmd, said := c.start(t, dir)
		<-c.held
		_ = cmd.Process.Signal(syscall.SIGINT)
		text := ended(t, cmd, said, 130)
		close(c.goOn)
		says(t, text, "astern.yaml.search: the same command goes on from there")
		c.init(t, dir, 0)
		same(t, dir)
	})
	t.Run("credentials that expire", func(t *testing.T) {
		dir := folder(t)
		c.fault(t, lab.Fault{Service: "ssm", Operation: "DescribeParameters", Nth: 4, Status: 400, Code: "ExpiredTokenException", Message: "The security token included in the request is expired"})
		says(t, c.init(t, dir, 3), "ssm:DescribeParameters: ExpiredTokenException", "aws sso login", "goes on from there")
		c.ClearFaults()
		c.init(t, dir, 0)
		same(t, dir)
	})
	t.Run("a throttled account", func(t *testing.T) {
		dir := folder(t)
		c.fault(t, lab.Fault{Service: "ssm", Operation: "DescribeParameters", Nth: pages - 1, Count: 5, Status: 400, Code: "ThrottlingException", Message: "Rate exceeded"})
		says(t, c.init(t, dir, 0), "the account is asked too often; waiting 1s")
		c.ClearFaults()
		same(t, dir)
	})
	t.Run("one kind is denied", func(t *testing.T) {
		dir := folder(t)
		c.fault(t, lab.Fault{Service: "secretsmanager", Operation: "ListSecrets", Status: 400, Code: "AccessDeniedException",
			Message: "User: arn:aws:iam::123456789012:user/u is not authorized to perform: secretsmanager:ListSecrets because no identity-based policy allows the secretsmanager:ListSecrets action"})
		says(t, c.init(t, dir, 0), "components of kind aws.secret were not looked for", "allow secretsmanager:ListSecrets")
		c.ClearFaults()
		if n := strings.Count(read(t, dir, "astern.yaml"), "kind: aws."); n != parameters+functions {
			t.Errorf("%d components were found", n)
		}
	})
	t.Run("not from what is old, of others, or torn", func(t *testing.T) {
		for what, head := range map[string]string{
			"it is of another account": `{"kind":"InitSearch","version":1,"at":"` + time.Now().UTC().Format(time.RFC3339) + `","places":["aws:eu-central-1"],"accounts":{"aws:eu-central-1":"999999999999"}}`,
			"it is of another region":  `{"kind":"InitSearch","version":1,"at":"` + time.Now().UTC().Format(time.RFC3339) + `","places":["aws:eu-central-1"],"accounts":{"aws:eu-central-1":"123456789012"},"regions":{"aws:eu-central-1":"eu-west-1"}}`,
			"it is of 2020-01-02":      `{"kind":"InitSearch","version":1,"at":"2020-01-02T03:04:05Z","places":["aws:eu-central-1"],"accounts":{"aws:eu-central-1":"123456789012"},"regions":{"aws:eu-central-1":"eu-central-1"}}`,
			"it is of other places":    `{"kind":"InitSearch","version":1,"at":"2020-01-02T03:04:05Z","places":["aws:"],"accounts":{}}`,
			"it can't be read":         `{"kind":"InitSearch","version":1,"at":"20`,
		} {
			dir := folder(t)
			page, _ := json.Marshal(map[string]any{"kind": "aws.ssm", "place": "aws:eu-central-1", "done": true, "found": []any{}})
			if err := os.WriteFile(filepath.Join(dir, "astern.yaml.search"), []byte(head+"\n"+string(page)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			says(t, c.init(t, dir, 0), "is not used: "+what)
			same(t, dir)
		}
	})
	t.Run("not over a file of somebody else", func(t *testing.T) {
		dir := folder(t)
		kept := filepath.Join(dir, "keys")
		if err := os.WriteFile(kept, []byte("ssh-ed25519 AAAA\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(kept, filepath.Join(dir, "astern.yaml.search")); err != nil {
			t.Fatal(err)
		}
		says(t, c.init(t, dir, 3), "it is no regular file")
		if err := os.Rename(kept, filepath.Join(dir, "astern.yaml.search")); err != nil {
			t.Fatal(err)
		}
		says(t, c.init(t, dir, 3), "that file is not of astern")
		if got := read(t, dir, "astern.yaml.search"); got != "ssh-ed25519 AAAA\n" {
			t.Errorf("the file holds %q", got)
		}
	})
}

func (c *crowded) fault(t *testing.T, f lab.Fault) {
	t.Helper()
	if _, err := c.AddFault(f); err != nil {
		t.Fatal(err)
	}
}
