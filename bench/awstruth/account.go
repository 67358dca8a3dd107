package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/astern-dev/astern/internal/lab"
)

const region = "us-east-1"

// slot is where one trial after the other finds its lab: an address that a profile of the SDK's configuration names.
type slot struct {
	profile string
	server  *httptest.Server
	now     atomic.Pointer[lab.Lab]
	// calls is how many there were, and underWay how many of them are not answered yet.
	calls, underWay atomic.Int64
}

func (s *slot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	s.underWay.Add(1)
	defer s.underWay.Add(-1)
	if l := s.now.Load(); l != nil {
		l.ServeHTTP(w, r)
		return
	}
	http.Error(w, "there is no lab here now", http.StatusServiceUnavailable)
}

// machine is what all trials of one run share: moto, the slots, and nothing of this machine's own credentials.
type machine struct {
	folder string
	moto   *lab.Moto
	slots  []*slot
}

// outside are the variables by which the SDK would find other credentials or another place than the lab's.
var outside = []string{"AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
	"AWS_SESSION_TOKEN"}

// newMachine starts moto and the slots. It changes the environment of this process.
func newMachine(ctx context.Context, folder string, slots int) (*machine, error) {
	moto, err := lab.StartMoto(ctx)
	if err != nil {
		return nil, err
	}
	m := &machine{folder: folder, moto: moto}
	first, err := lab.New(moto.URL, 1, nil)
	if err == nil {
		err = first.Begin(ctx)
		first.Close()
	}
	if err != nil {
		m.stop()
		return nil, err
	}
	var config strings.Builder
	for i := range slots {
		s := &slot{profile: fmt.Sprintf("slot-%d", i)}
		s.server = httptest.NewServer(s)
		m.slots = append(m.slots, s)
		fmt.Fprintf(&config, "[profile %s]\nregion = %s\nendpoint_url = %s\naws_access_key_id = lab\naws_secret_access_key = lab\n", s.profile, region, s.server.URL)
	}
	for _, name := range outside {
		os.Unsetenv(name) // it can't fail for these names
	}
	os.Setenv("AWS_CONFIG_FILE", filepath.Join(folder, "config"))
	os.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	if err := os.WriteFile(filepath.Join(folder, "config"), []byte(config.String()), 0o600); err != nil {
		m.stop()
		return nil, err
	}
	return m, nil
}

func (m *machine) stop() {
	for _, s := range m.slots {
		s.server.Close()
	}
	m.moto.Stop()
}

// roleIn is the role that is assumed in an account: each trial has an account of its own, so that none sees what others left.
func roleIn(account string) string { return "arn:aws:iam::" + account + ":role/operator" }

// session is the SDK's configuration for whoever breaks things and looks at the world: one attempt a call.
func (s *slot) session(account string) aws.Config {
	c := aws.Config{Region: region, BaseEndpoint: aws.String(s.server.URL), RetryMaxAttempts: 1, HTTPClient: s.server.Client(),
		Credentials: credentials.NewStaticCredentialsProvider("lab", "lab", "")}
	c.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(c), roleIn(account)))
	return c
}

// glance is what a wait takes of this machine's time, however long it is; leap is how far the trial's time goes at once when
// waiting lasts. The engine looks into its journal five times a second: waits are mostly a little shorter than that.
const (
	glance = 10 * time.Millisecond
	leap   = 5 * time.Second
)

// clock is the lab's, which goes faster while everybody waits for it: what takes minutes in the cloud is no reason to wait as
// long here. While a call is under way it goes as the machine's, or a slow machine would make steps run out of time.
type clock struct {
	*lab.Lab
	slot *slot

	mu    sync.Mutex
	calls int64         // that had been made when it was stepped last
	step  time.Duration // by which it was
}

// After steps the lab by what was waited less than asked for, and further each time that nothing happens in between.
func (c *clock) After(d time.Duration) <-chan time.Time {
	if d <= glance {
		return time.After(d)
	}
	out, due := make(chan time.Time, 1), c.Now().Add(d)
	time.AfterFunc(glance, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		calls := c.slot.calls.Load()
		if c.step *= 2; calls != c.calls {
			c.step = 0
		}
		c.calls = calls
		c.step = min(max(c.step, due.Sub(c.Now())), max(leap, d))
		if c.step > 0 && c.slot.underWay.Load() == 0 {
			_, _ = c.Step(context.Background(), c.step) // it only refuses to go back, or on for a century
		}
		out <- c.Now()
	})
	return out
}
