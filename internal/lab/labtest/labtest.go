// Package labtest is the table that every driver of an AWS kind must stand: every fault of the lab, once, at every call of
// every plan, and somebody else who changes or deletes something just before it. Only tests import it.
//
//	func TestEveryFault(t *testing.T) {
//		labtest.Run(t, moto, 20,
//			labtest.Plan{Name: "alias at once", New: func(t testing.TB, a *labtest.Account) labtest.World { … }},
//		)
//	}
//
// A plan is made and carried out once undisturbed; the lab's journal then says which calls it makes. Each case begins with a
// world of its own in which one of these calls meets one fault. The engine's own rules decide what follows. A case passes when the
// plan comes to its end, or holds and `resume` then leads it there while `cancel` would have ended it; when the journal has every
// effect exactly as often as undisturbed; and when the world is as the plan says. What somebody else did is never overwritten:
// there the plan may hold for good, and must let itself be cancelled.
//
// A step that takes long is polled, often with the same calls each time. Of polls of one attempt that follow each other and make the
// same calls the first and the last meet the faults, and stand for those in between: a driver keeps nothing from one poll to the
// next. Somebody else comes at every one, for the account goes on meanwhile.
//
// Reading order: labtest.go (what a table is made of), faults.go (what happens to a call), case.go (one case), carry.go (the
// plan being carried out).
package labtest

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
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/lab"
	"github.com/astern-dev/astern/internal/proof"
)

// Plan is one plan of a driver.
type Plan struct {
	Name string
	// New makes a world of its own in the account, in which the plan has something to do.
	New func(t testing.TB, a *Account) World
}

// World is a component that exists, and the plan for it.
type World struct {
	Component astern.Component
	// Driver makes the driver with sessions of its own, as another process has; Lookup finds the component.
	Driver func(accounts *awsapi.Accounts, lookup func(string) (astern.Component, bool)) astern.Driver
	// Route makes the plan: it observes and asks for the way, and changes nothing.
	Route func(ctx context.Context, d astern.Driver) (astern.Route, error)
	// Effect names what a call that succeeded has changed, "" for nothing that counts; names of this world are left out.
	Effect func(e lab.Entry) string
	// Reached says what is not as the plan leaves it, "" when all is.
	Reached func() string
	// Others are what somebody else does in the middle.
	Others []Other
	// Secrets are canaries (canary.Kept) that lie in the world; neither the plan nor a record of an execution may hold one.
	Secrets []string
	// Every is how often a step that runs is polled, by the lab's clock, in the place of what the driver says; 0 for as it says.
	Every time.Duration
	// Pause says of how far a step is whether the operator pauses there, once, to resume when all stands still; nil for never.
	Pause func(op astern.Op) bool
}

// Other is what somebody else does.
type Other struct {
	Name string
	Do   func() error
	// Kept says what became of it where it is not as they left it, "" when it is.
	Kept func() string
	// Undoes is the effect that they undo: a person who is told and resumes has it once more; "" where there is none.
	Undoes string
	// Window is the operation that has no condition: what comes just before it is overwritten; "" where there is none.
	Window string
}

// Account is where a world is made.
type Account struct {
	*lab.Lab
	// Settings lead the driver to the account.
	Settings awsapi.Settings
	// Config is for everybody else: who makes the world, and who disturbs it.
	Config aws.Config
	// ID is a name that nothing else in the account has.
	ID string
	// URL is where the lab answers.
	URL string
}

// The keys by which the journal tells who called.
const (
	ourKey   = "AKIAASTERN"
	theirKey = "AKIASOMEBODY"
	region   = "eu-central-1"
)

// slot is where one case after the other finds its lab: an address that a profile of the SDK's configuration names.
type slot struct {
	profile string
	server  *httptest.Server
	now     atomic.Pointer[lab.Lab]
}

func (s *slot) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.now.Load().ServeHTTP(w, r) }

// sideBySide is how many cases are under way: most of their time they wait for moto, or out what the SDK waits.
const sideBySide = 6

// table is one run of cases.
type table struct {
	*testing.T
	moto  string
	kind  string
	slots chan *slot
	made  atomic.Int64 // worlds

	mu     sync.Mutex
	counts map[string]float64
}

// Run carries out a share of the table, one of so many parts of it; `make proof` carries out all. The test must not run beside
// others that need the environment: AWS's is changed.
func Run(t *testing.T, moto string, parts uint64, plans ...Plan) {
	t.Helper()
	x := &table{T: t, moto: moto, counts: map[string]float64{}}
	x.open()
	first, count := proof.Seeds(t, 1)
	var all []someCase
	whole := true
	for _, p := range plans {
		c := x.undisturbed(p)
		whole = whole && len(c.doing) > 0 // else `go test -run` leaves it out, or it failed
		all = append(all, c.cases(p)...)
	}
	if whole {
		x.allWindows()
	}
	var wait sync.WaitGroup
	width := make(chan struct{}, sideBySide)
	for n, c := range all {
		if part := uint64(n) % parts; part < first || part >= first+count {
			continue
		}
		width <- struct{}{}
		wait.Go(func() {
			defer func() { <-width }()
			x.T.Run(c.name(), func(t *testing.T) { x.meets(t, c) })
		})
	}
	wait.Wait()
	x.counts["cases"] = 0
	for name, n := range x.counts {
		if strings.HasPrefix(name, "cases_") {
			x.counts["cases"] += n
		}
	}
	proof.Figures(t, x.counts)
}

// open makes the slots. Nothing of the machine's own credentials is read.
func (x *table) open() {
	x.Helper()
	folder := x.TempDir()
	var text strings.Builder
	x.slots = make(chan *slot, sideBySide)
	for i := range sideBySide {
		s := &slot{profile: fmt.Sprintf("slot-%d", i)}
		s.server = httptest.NewServer(s)
		x.Cleanup(s.server.Close)
		fmt.Fprintf(&text, "[profile %s]\nregion = %s\nendpoint_url = %s\naws_access_key_id = %s\naws_secret_access_key = lab\n", s.profile, region, s.server.URL, ourKey)
		x.slots <- s
	}
	at := filepath.Join(folder, "config")
	if err := os.WriteFile(at, []byte(text.String()), 0o600); err != nil {
		x.Fatal(err)
	}
	for _, name := range []string{"AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_CLOUDFRONT",
		"AWS_CA_BUNDLE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		x.Setenv(name, "")
		os.Unsetenv(name) // it can't fail for these names; the line above has it put back
	}
	x.Setenv("AWS_CONFIG_FILE", at)
	x.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	x.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

// account makes an account for one case.
func (x *table) account(t testing.TB) *Account {
	t.Helper()
	s := <-x.slots
	n := x.made.Add(1)
	l, err := lab.New(x.moto, uint64(n), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.now.Store(l)
	t.Cleanup(func() {
		l.Close()
		x.slots <- s
	})
	return &Account{Lab: l, Settings: awsapi.Settings{Profile: s.profile}, URL: s.server.URL, ID: fmt.Sprintf("w%d-%d", os.Getpid(), n),
		Config: aws.Config{Region: region, BaseEndpoint: aws.String(s.server.URL), RetryMaxAttempts: 1, HTTPClient: s.server.Client(),
			Credentials: credentials.NewStaticCredentialsProvider(theirKey, "lab", "")}}
}

// count notes what became of a case.
func (x *table) count(what string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.counts[what]++
}
