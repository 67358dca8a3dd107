package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/astern-dev/astern/internal/lab"
)

// What is in the account: a thousand resources.
const (
	cloudFunctions  = 100
	cloudSecrets    = 300
	cloudParameters = 600
	cloudRounds     = 3
	cloudMost       = 32 // connections of astern to one endpoint
)

// cloudAccount is the lab, with every call that comes written down so that it can be sent again.
type cloudAccount struct {
	lab *lab.Lab
	url string

	mu      sync.Mutex
	calls   []sentCall
	now     map[string]int // in flight, by operation
	most    map[string]int
	touched chan string // when a call of that operation comes
}

// sentCall is one call as it came.
type sentCall struct {
	operation string
	request   *http.Request
	body      []byte
}

// cloud measures astern on a thousand resources in the lab against the very calls that it makes, sent again bare: an HTTP client
// and nothing else, as many at a time as astern had of each kind. Both are limited by the emulator.
func (b *bench) cloud() ([]figure, error) {
	if _, err := exec.LookPath("moto_server"); err != nil {
		return nil, fmt.Errorf("there is no moto_server on PATH: %w", err)
	}
	moto, err := lab.StartMoto(b.ctx)
	if err != nil {
		return nil, err
	}
	defer moto.Stop()
	a := &cloudAccount{}
	if a.lab, err = lab.New(moto.URL, 1, nil); err != nil {
		return nil, err
	}
	server := httptest.NewServer(a)
	defer server.Close()
	defer a.lab.Close()
	a.url = server.URL
	if err := a.fill(b.ctx); err != nil {
		return nil, err
	}
	var out []figure
	for _, m := range []struct {
		name string
		args []string
	}{{"discover-1000-resources", []string{"init", "aws:eu-central-1"}}, {"check-1000-resources", []string{"check"}}} {
		dir := filepath.Join(b.folder, "cloud")
		most := 0.0
		ours, bare, err := b.pair(cloudRounds, func() (float64, error) {
			took, mb, err := a.astern(b, dir, m.args)
			most = max(most, mb)
			return took, err
		}, a.again)
		if err != nil {
			return nil, err
		}
		out = append(out, compared(m.name, "ms", ours, fmt.Sprintf("the same %d calls sent bare", len(a.calls)), bare, 1.2),
			figure{Name: m.name + "-memory", Value: round(most), Unit: "MB", Goal: 150, OK: most <= 150})
	}
	first, err := a.firstCall(b, filepath.Join(b.folder, "cloud"))
	if err != nil {
		return nil, err
	}
	return append(out, figure{Name: "decision-to-first-aws-call", Value: round(first), Unit: "ms", Goal: 1000, OK: first <= 1000}), nil
}

// ServeHTTP writes the call down and lets the lab answer.
func (a *cloudAccount) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client went away
	}
	operation := r.Header.Get("X-Amz-Target")
	if operation == "" {
		parts := strings.Split(r.URL.Path, "/")
		operation = r.Method + " " + parts[len(parts)-1]
		if strings.Contains(r.URL.Path, "/functions/fn-") && len(parts) > 4 {
			operation = r.Method + " " + parts[4] // versions, aliases, configuration …
		}
	}
	a.mu.Lock()
	if a.calls != nil {
		a.calls = append(a.calls, sentCall{operation, r.Clone(context.Background()), body})
	}
	a.now[operation]++
	a.most[operation] = max(a.most[operation], a.now[operation])
	if a.touched != nil {
		select {
		case a.touched <- operation:
		default: // somebody heard already
		}
	}
	a.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	a.lab.ServeHTTP(w, r)
	a.mu.Lock()
	a.now[operation]--
	a.mu.Unlock()
}

// astern runs a command and writes its calls down. It returns how long it took and how much memory, in MB.
func (a *cloudAccount) astern(b *bench, dir string, args []string) (ms, mb float64, err error) {
	if args[0] == "init" {
		_ = os.RemoveAll(dir) // a file is never overwritten
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, 0, err
	}
	a.begin()
	cmd := a.command(b, dir, args...)
	start := time.Now()
	text, err := cmd.CombinedOutput()
	ms = float64(time.Since(start).Microseconds()) / 1000
	if code := cmd.ProcessState.ExitCode(); code != 0 && code != 4 {
		return 0, 0, fmt.Errorf("astern %v: %w: %s", args, err, text)
	}
	return ms, float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1000, nil
}

func (a *cloudAccount) command(b *bench, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(b.ctx, b.astern, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+a.url, "AWS_ACCESS_KEY_ID=lab", "AWS_SECRET_ACCESS_KEY=lab", "AWS_REGION=eu-central-1",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true")
	return cmd
}

// begin forgets the calls so far.
func (a *cloudAccount) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls, a.now, a.most = make([]sentCall, 0, 1<<12), map[string]int{}, map[string]int{}
}

// again sends the calls that were written down once more. Those of one operation go as many at a time as they came. Of one service,
// operations that came side by side go side by side, and those that came one after the other do so; services go side by side.
func (a *cloudAccount) again() (float64, error) {
	a.mu.Lock()
	calls, most := a.calls, a.most
	a.calls = nil // the second time is not written down
	a.mu.Unlock()
	defer func() { a.calls = calls }()
	of := map[string][]sentCall{}
	for _, c := range calls {
		of[c.service()] = append(of[c.service()], c)
	}
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: cloudMost, MaxIdleConnsPerHost: cloudMost, DisableCompression: true}}
	defer client.CloseIdleConnections()
	start := time.Now()
	errs := make(chan error, len(of))
	for _, own := range of {
		go func() { errs <- a.inOrder(client, own, most) }()
	}
	var all []error
	for range of {
		all = append(all, <-errs)
	}
	return float64(time.Since(start).Microseconds()) / 1000, errors.Join(all...)
}

// service is the service that a call is for, as its signature says.
func (c sentCall) service() string {
	scope := strings.Split(c.request.Header.Get("Authorization"), "/") // …Credential=KEY/DATE/REGION/SERVICE/aws4_request,…
	return scope[min(3, len(scope)-1)]
}

// inOrder sends the calls of one service in the order in which they came.
func (a *cloudAccount) inOrder(client *http.Client, calls []sentCall, most map[string]int) error {
	var groups [][]sentCall // calls that follow each other and may go side by side
	for _, c := range calls {
		last := len(groups) - 1
		if last >= 0 && most[c.operation] > 1 && most[groups[last][0].operation] > 1 {
			groups[last] = append(groups[last], c)
			continue
		}
		groups = append(groups, []sentCall{c})
	}
	for _, g := range groups {
		width := 0
		for _, c := range g {
			width = max(width, most[c.operation])
		}
		if err := a.send(client, g, min(width, cloudMost)); err != nil {
			return err
		}
	}
	return nil
}

// send sends calls, so many at a time.
func (a *cloudAccount) send(client *http.Client, calls []sentCall, width int) error {
	errs := make(chan error, len(calls))
	slots := make(chan struct{}, width)
	var wait sync.WaitGroup
	for _, c := range calls {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			q, err := http.NewRequest(c.request.Method, a.url+c.request.URL.RequestURI(), bytes.NewReader(c.body))
			if err == nil {
				q.Header = c.request.Header.Clone()
				var reply *http.Response
				if reply, err = client.Do(q); err == nil {
					_, err = io.Copy(io.Discard, reply.Body)
					reply.Body.Close()
				}
			}
			errs <- err
		})
	}
	wait.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// firstCall returns how long it takes from the word of a person to the first call that AWS gets, in milliseconds.
func (a *cloudAccount) firstCall(b *bench, dir string) (float64, error) {
	var took []float64
	for range 5 {
		a.begin()
		a.mu.Lock()
		a.touched = make(chan string, 1)
		a.mu.Unlock()
		cmd := a.command(b, dir, "rollback", "fn-0001", "--to", "1", "--reason", "bench", "--yes")
		ended := make(chan error, 1)
		start := time.Now()
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		go func() { ended <- cmd.Wait() }()
		select {
		case <-a.touched:
			took = append(took, float64(time.Since(start).Microseconds())/1000)
			<-ended // there is nothing to go back to, which it says
		case err := <-ended:
			return 0, fmt.Errorf("astern rollback made no call: %w", err)
		}
	}
	slices.Sort(took)
	return median(took), nil
}

// fill makes the resources.
func (a *cloudAccount) fill(ctx context.Context) error {
	a.begin()
	a.calls = nil
	config := aws.Config{Region: "eu-central-1", BaseEndpoint: &a.url, Credentials: credentials.NewStaticCredentialsProvider("lab", "lab", "")}
	s, m, l := ssm.NewFromConfig(config), secretsmanager.NewFromConfig(config), lambda.NewFromConfig(config)
	role, err := iam.NewFromConfig(config).CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("fn"), AssumeRolePolicyDocument: aws.String("{}")})
	if err != nil {
		return err
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("main.py")
	if err == nil {
		_, err = f.Write([]byte("def handler(e, c): return 1\n"))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	make := func(n int) error {
		switch {
		case n < cloudParameters:
			_, err := s.PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String(fmt.Sprintf("/shop/%04d", n)), Value: aws.String("1"), Type: ssmtypes.ParameterTypeString})
			return err
		case n < cloudParameters+cloudSecrets:
			_, err := m.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String(fmt.Sprintf("shop-%04d", n)), SecretString: aws.String("1")})
			return err
		}
		name := aws.String(fmt.Sprintf("fn-%04d", n-cloudParameters-cloudSecrets))
		_, err := l.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: name, Role: role.Role.Arn, Runtime: types.RuntimePython313,
			Handler: aws.String("main.handler"), Code: &types.FunctionCode{ZipFile: b.Bytes()}, Publish: true})
		if err == nil {
			_, err = l.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: name, Name: aws.String("live"), FunctionVersion: aws.String("1")})
		}
		return err
	}
	for n := range cloudParameters + cloudSecrets + cloudFunctions {
		if err := make(n); err != nil {
			return err
		}
	}
	return nil
}
