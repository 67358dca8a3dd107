package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/audit"
	"github.com/astern-dev/astern/internal/canary"
	"github.com/astern-dev/astern/internal/notice"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/proc"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// untold are the methods of a store of which people are not told, with the reason. Whatever else a store is given has to be
// told by told, or to stand here.
var untold = map[string]string{
	"Plan": "reads", "Documents": "reads", "RecentPlans": "reads", "Execution": "reads", "Executions": "reads", "Runner": "reads", "Approvals": "reads",
	"Read": "reads", "ReadSome": "reads", "Events": "reads", "Incident": "reads", "Incidents": "reads", "EventByToken": "reads", "Proof": "reads", "Signed": "reads", "Overrides": "reads",
	"KeepProof": "nobody's doing", "Take": "the beginning was told", "AddApproval": "who asked follows the plan", "AddSigned": "the same",
	"AddReview": "good news can wait; what is late is told", "AddEvent": "what CI records, at each deployment", "AddEventUnder": "a step of what was told",
	"QueueNotice": "tells", "Dispatches": "reads", "TryDispatch": "tells", "SettleDispatch": "tells", "Subscribe": "tells",
}

// TestNothingUntold: a new method of the store has to be told or excused.
func TestNothingUntold(t *testing.T) {
	store := reflect.TypeFor[Store]()
	for i := range store.NumMethod() {
		name := store.Method(i).Name
		own := declares("notice.go", "func (s told) "+name+"(")
		if own == (untold[name] != "") {
			t.Errorf("the store's %s is neither told nor among those that need not be, or both: give told a method of that name", name)
		}
	}
}

func declares(file, text string) bool {
	b, err := os.ReadFile(file)
	return err == nil && strings.Contains(string(b), text)
}

// recorded is an audit log in memory.
type recorded struct {
	mu sync.Mutex
	n  int64
}

func (r *recorded) Append(_ context.Context, rec audit.Record) (audit.Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	rec.Seq = r.n
	return rec, nil
}

// post office: a state folder, a real receiver and a clock.
type office struct {
	*testing.T
	folder string
	store  *sqlite.Store
	now    time.Time
	// got are the notices that each path of the receiver has taken, in their order; answer says what it answers instead.
	mu     sync.Mutex
	got    map[string][]received
	answer func(w http.ResponseWriter, r *http.Request) bool
	url    string
}

type received struct {
	id     string
	tokens []string
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{T: t, folder: t.TempDir(), now: time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC), got: map[string][]received{}}
	store, err := sqlite.Open(t.Context(), filepath.Join(o.folder, ".astern"))
	if err != nil {
		t.Fatal(err)
	}
	o.store = store
	t.Cleanup(func() { store.Close() })
	o.must(canary.Place(o.folder))
	t.Cleanup(func() {
		if _, found, err := canary.Search(o.folder); err != nil || len(found) > 0 {
			t.Errorf("%v %v", found, err)
		}
	})
	srv := httptest.NewServer(http.HandlerFunc(o.receive))
	t.Cleanup(srv.Close)
	o.url = srv.URL
	return o
}

func (o *office) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	o.mu.Lock()
	answer := o.answer
	o.mu.Unlock()
	if answer != nil && answer(w, r) {
		return
	}
	var p struct {
		Data struct {
			Token   string
			Earlier []astern.Notice
		}
	}
	if err := json.Unmarshal(body, &p); err != nil {
		o.Errorf("it sends %q: %v", body, err)
	}
	m := received{id: r.Header.Get("webhook-id")}
	for _, e := range p.Data.Earlier {
		m.tokens = append(m.tokens, e.Token)
	}
	m.tokens = append(m.tokens, p.Data.Token)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.got[r.URL.Path] = append(o.got[r.URL.Path], m)
}

// answers makes the receiver answer otherwise; answer says whether it did.
func (o *office) answers(answer func(w http.ResponseWriter, r *http.Request) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer = answer
}

// took returns the tokens that a path has taken, one message after the other.
func (o *office) took(path string) (out []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range o.got[path] {
		out = append(out, m.tokens...)
	}
	return out
}

// app is a process over the state: the channels are webhooks of the receiver.
func (o *office) app(channels ...astern.Channel) *App {
	if channels == nil {
		channels = []astern.Channel{o.channel("hook")}
	}
	a := &App{Store: o.store, Now: func() time.Time { return o.now }, By: "ana", Alive: func(astern.Runner) bool { return false }, Runner: proc.Self(),
		System: astern.System{Name: "webshop", Channels: channels, Environments: []astern.Environment{{Name: "production", Components: []astern.Component{{Environment: "production", Name: "shop"}}}}}}
	a.Audit(&recorded{})
	return a
}

func (o *office) channel(name string) astern.Channel {
	return astern.Channel{Name: name, Webhook: &astern.WebhookChannel{URL: o.url + "/" + name,
		SecretHeaders: map[string]astern.Secret{"X-Key": {Env: "PROBE_TOKEN"}}}}
}

func (o *office) must(err error) {
	o.Helper()
	if err != nil {
		o.Fatalf("%v (hint: %s)", err, astern.HintOf(err))
	}
}

func (o *office) deliver(a *App) Delivered {
	o.Helper()
	d, err := a.Deliver(o.Context())
	o.must(err)
	return d
}

// incident opens one and lets the watch decide n times.
func (o *office) incident(a *App, decisions int) string {
	o.Helper()
	id, _, err := a.Store.OpenIncident(o.Context(), astern.IncidentEvent{At: o.now, Kind: astern.IncidentOpened, By: "watch", Text: "errors", Addresses: []string{"production/shop"}})
	o.must(err)
	for i := range decisions {
		o.event(a, id, astern.IncidentEvent{Kind: astern.IncidentDecided, By: "watch", Decision: &astern.Decision{Act: astern.ActHold, Because: fmt.Sprint("no data ", i)}})
	}
	return id
}

func (o *office) event(a *App, id string, e astern.IncidentEvent) {
	o.Helper()
	e.At = o.now
	_, err := a.Store.AddIncidentEvent(o.Context(), id, e)
	o.must(err)
}

func (o *office) want(path string, want ...string) {
	o.Helper()
	if got := o.took(path); !slices.Equal(got, want) {
		o.Errorf("%s took %q, want %q", path, got, want)
	}
}

// TestDownForAnHour: a channel that is down for an hour, then up: nothing is lost, the order of each incident is kept, and the
// other channel noticed nothing.
func TestDownForAnHour(t *testing.T) {
	o := newOffice(t)
	a := o.app(o.channel("hook"), o.channel("other"))
	tries := 0
	o.answers(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/hook" {
			tries++
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return r.URL.Path == "/hook"
	})
	one, two := o.incident(a, 3), o.incident(a, 1)
	for range 720 { // a round each five seconds
		if d := o.deliver(a); d.Waiting == 0 || d.GivenUp > 0 {
			t.Fatalf("%+v", d)
		}
		o.now = o.now.Add(5 * time.Second)
	}
	if tries < 12 || tries > 30 {
		t.Errorf("it was asked %d times in an hour", tries)
	}
	o.event(a, one, astern.IncidentEvent{Kind: astern.IncidentResolved, By: "watch", Text: "healthy"})
	o.answers(nil)
	o.now = o.now.Add(5 * time.Minute)
	if d := o.deliver(a); d.Waiting > 0 || d.Sent != 8 || len(d.Failed) > 0 {
		t.Errorf("%+v", d)
	}
	of := func(id string) []string {
		return slices.DeleteFunc(o.took("/hook"), func(token string) bool { return !strings.HasPrefix(token, id+"/") })
	}
	if got, want := of(one), []string{one + "/1", one + "/2", one + "/3", one + "/4", one + "/5"}; !slices.Equal(got, want) {
		t.Errorf("of %s it took %q, want %q", one, got, want)
	}
	if got, want := of(two), []string{two + "/1", two + "/2"}; !slices.Equal(got, want) {
		t.Errorf("of %s it took %q, want %q", two, got, want)
	}
	if n := len(o.took("/other")); n != 7 {
		t.Errorf("the other channel took %d: %q", n, o.took("/other"))
	}
}

// TestDeliversOnce: two processes that send at the same time send each message once.
func TestDeliversOnce(t *testing.T) {
	o := newOffice(t)
	for range 20 {
		o.incident(o.app(), 2)
	}
	var all sync.WaitGroup
	for range 4 {
		a := o.app()
		all.Go(func() {
			for range 3 {
				if _, err := a.Deliver(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	o.deliver(o.app())
	got := o.took("/hook")
	if len(got) != 60 || len(slices.Compact(slices.Sorted(slices.Values(got)))) != 60 {
		t.Errorf("%d notices: %q", len(got), got)
	}
}

// noting tells when a dispatch is settled.
type noting struct {
	*sqlite.Store
	sent func()
}

func (n noting) SettleDispatch(ctx context.Context, row int64, state astern.DispatchState, why string, next, at time.Time) error {
	err := n.Store.SettleDispatch(ctx, row, state, why, next, at)
	if state == astern.DispatchSent {
		n.sent()
	}
	return err
}

// TestHangingChannel: a receiver that never answers keeps no other from being told, and what it was sent is sent again.
func TestHangingChannel(t *testing.T) {
	o := newOffice(t)
	a := o.app(o.channel("hangs"), o.channel("hook"))
	o.incident(a, 0)
	ctx, cancel := context.WithCancel(t.Context())
	hangs, told := make(chan struct{}), make(chan struct{})
	o.answers(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/hangs" {
			close(hangs)
			<-r.Context().Done()
			return true
		}
		return false
	})
	a.Store = noting{o.store, func() { close(told) }}
	a.Audit(&recorded{})
	go func() { <-hangs; <-told; cancel() }()
	d, err := a.Deliver(ctx)
	o.must(err)
	if d.Waiting != 1 || !strings.Contains(d.Failed["hangs"], "interrupted") {
		t.Errorf("%+v", d)
	}
	o.want("/hook", "inc-1/1")
	o.answers(nil)
	a.Store = o.store
	if d := o.deliver(a); d.Sent != 1 || d.Waiting != 0 { // being interrupted is nobody's fault: at once
		t.Errorf("%+v", d)
	}
	o.want("/hangs", "inc-1/1")
}

// TestRetryAfter: a receiver that asks for time gets it, and what it calls malformed is given up at once, and said.
func TestRetryAfter(t *testing.T) {
	o := newOffice(t)
	a := o.app()
	o.incident(a, 0)
	status := http.StatusTooManyRequests
	o.answers(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Retry-After", "600")
		w.WriteHeader(status)
		return true
	})
	o.deliver(a)
	for range 9 {
		o.now = o.now.Add(time.Minute)
		if d := o.deliver(a); len(d.Failed) > 0 {
			t.Fatalf("it was asked again before its time: %+v", d)
		}
	}
	o.now, status = o.now.Add(time.Minute), http.StatusBadRequest
	if d := o.deliver(a); d.GivenUp != 1 || !strings.Contains(d.Failed["hook"], "400") {
		t.Errorf("%+v", d)
	}
	all, err := a.Store.Dispatches(t.Context(), o.now.Add(-time.Hour))
	o.must(err)
	if len(all) != 1 || all[0].State != astern.DispatchGivenUp || all[0].Tries != 2 || !strings.Contains(all[0].Error, "telling hook (webhook): it answers 400") {
		t.Errorf("%+v", all)
	}
}

// TestGivesUpAfterADay: and not before; what waited while nobody sent is tried once more all the same.
func TestGivesUpAfterADay(t *testing.T) {
	o := newOffice(t)
	a := o.app()
	o.incident(a, 0)
	o.answers(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusForbidden); return true })
	o.deliver(a)
	o.now = o.now.Add(notice.GiveUp - time.Second)
	if d := o.deliver(a); d.Waiting != 1 || d.GivenUp != 0 {
		t.Errorf("%+v", d)
	}
	o.now = o.now.Add(time.Hour)
	if d := o.deliver(a); d.Waiting != 0 || d.GivenUp != 1 {
		t.Errorf("%+v", d)
	}
	o.incident(a, 0)
	o.answers(nil)
	o.now = o.now.Add(3 * 24 * time.Hour)
	o.deliver(a)
	o.want("/hook", "inc-2/1")
}

// forgetful is a state that can't take notices, or a process that dies before it has queued them.
type forgetful struct {
	*sqlite.Store
	broken bool
}

func (f *forgetful) QueueNotice(ctx context.Context, n astern.Notice, channels []string, at time.Time) error {
	if f.broken {
		return errors.New("the disk is full")
	}
	return f.Store.QueueNotice(ctx, n, channels, at)
}

// TestUnqueued: what could not be queued stops nothing, and is told later: by the same process, or by another one when the
// first died in between. What a channel was not told of is not made up for when it is told of more.
func TestUnqueued(t *testing.T) {
	o := newOffice(t)
	f := &forgetful{o.store, true}
	a := o.app()
	a.Store = f
	a.Audit(&recorded{})
	o.incident(a, 1)
	f.broken = false
	o.deliver(a)
	o.want("/hook", "inc-1/1", "inc-1/2")

	f.broken = true
	o.event(a, "inc-1", astern.IncidentEvent{Kind: astern.IncidentResolved, By: "ana", Text: "over"})
	o.event(a, "inc-1", astern.IncidentEvent{Kind: astern.IncidentNoted, By: "ana", Text: "not told"})
	o.now = o.now.Add(time.Hour)
	fresh := o.app(o.channel("hook"), o.channel("new"))
	o.deliver(fresh)
	o.want("/hook", "inc-1/1", "inc-1/2", "inc-1/3")
	o.want("/new")
	few := o.channel("few")
	few.Events = []astern.NoticeEvent{astern.NoticeOpened}
	o.deliver(o.app(few))
	o.now = o.now.Add(2 * time.Hour) // some tasks are late by now
	more := o.app(o.channel("few"))
	o.incident(more, 0)
	o.deliver(more)
	o.want("/few", "inc-2/1")
}

// TestLateIsTold: tasks after an incident, and reviews of broken glasses.
func TestLateIsTold(t *testing.T) {
	o := newOffice(t)
	a := o.app()
	o.must(o.store.PutPlan(t.Context(), strings.Repeat("a", 64), []byte(`{}`), o.now))
	o.must(o.store.AddOverride(t.Context(), astern.Override{PlanHash: strings.Repeat("a", 64), By: "ana", Reason: "alone", At: o.now, ReviewDue: o.now.Add(90 * time.Minute)}))
	id := o.incident(a, 0)
	o.event(a, id, astern.IncidentEvent{Kind: astern.IncidentResolved, By: "watch"})
	o.deliver(a)
	before := len(o.took("/hook"))
	o.now = o.now.Add(3 * 24 * time.Hour) // nothing looked over the weekend
	o.deliver(a)
	late := o.took("/hook")[before:]
	if len(late) < 2 || !slices.Contains(late, "review/"+strings.Repeat("a", 64)) || !strings.Contains(strings.Join(late, " "), "inc-1/overdue/") {
		t.Errorf("late are %q", late)
	}
	o.now = o.now.Add(2 * time.Minute)
	o.deliver(a)
	if again := o.took("/hook")[before:]; len(again) != len(late) {
		t.Errorf("it is told again: %q", again)
	}
}

// TestNoChannel: what waits for a channel that is no longer declared is given up, and said.
func TestNoChannel(t *testing.T) {
	o := newOffice(t)
	o.incident(o.app(), 0)
	if d := o.deliver(o.app(o.channel("another"))); d.GivenUp != 1 {
		t.Errorf("%+v", d)
	}
	none := o.app()
	none.System.Channels = nil
	o.incident(none, 3)
	if d := o.deliver(none); d.Sent+d.Waiting+d.GivenUp != 0 {
		t.Errorf("%+v", d)
	}
}

// TestNoSecretInTheOutbox: a receiver that gives everything back that it was sent, and every way to fail, leave no secret in
// the state, in errors or in notices.
func TestNoSecretInTheOutbox(t *testing.T) {
	o := newOffice(t)
	probe := canary.Variables()["PROBE_TOKEN"]
	o.must(os.WriteFile(filepath.Join(o.folder, canary.Folder, "url"), []byte(o.url+"/services/"+probe), 0o600))
	o.must(os.WriteFile(filepath.Join(o.folder, canary.Folder, "nowhere"), []byte("http://127.0.0.1:1/"+probe), 0o600))
	file := func(name string) astern.Secret { return astern.Secret{File: filepath.Join(canary.Folder, name)} }
	url, nowhere, token := file("url"), file("nowhere"), file("token")
	a := o.app(astern.Channel{Name: "team", Slack: &astern.SlackChannel{URL: url}}, astern.Channel{Name: "gone", Slack: &astern.SlackChannel{URL: nowhere}},
		astern.Channel{Name: "duty", PagerDuty: &astern.PagerDutyChannel{RoutingKey: token, URL: o.url}},
		astern.Channel{Name: "hook", Webhook: &astern.WebhookChannel{SecretURL: &url, Secret: &token, SecretHeaders: map[string]astern.Secret{"X-Key": token}}},
		astern.Channel{Name: "mail", Email: &astern.EmailChannel{Server: "127.0.0.1:1", From: "a@x.com", To: []string{"b@x.com"}, User: "u", Password: &token}})
	a.System.Folder = o.folder
	for _, status := range []int{302, 400, 401, 429, 500} {
		o.answers(func(w http.ResponseWriter, r *http.Request) bool {
			dump, _ := httputil.DumpRequest(r, true) // a request that was parsed can be written
			w.Header().Set("Location", "http://127.0.0.1:1/"+probe)
			w.WriteHeader(status)
			_, _ = w.Write(dump) // whoever hung up has seen enough
			return true
		})
		o.incident(a, 1)
		o.now = o.now.Add(time.Hour)
		d, err := a.Deliver(t.Context())
		if len(d.Failed) != 5 || err != nil {
			t.Errorf("%d: %+v, %v", status, d, err)
		}
		for _, name := range a.channelNames() {
			err := a.TryChannel(t.Context(), name)
			if leaks := canary.Leaks(fmt.Appendf(nil, "%v %s %v", err, astern.HintOf(err), d)); err == nil || len(leaks) > 0 {
				t.Errorf("%s, %d: %v tells %v", name, status, err, leaks)
			}
		}
	}
}

// notifyWorld makes the test binary a process that sends what waits in that state folder, to that URL.
const notifyWorld = "ASTERN_NOTIFY_WORLD"

// TestSendingProcess is that process.
func TestSendingProcess(t *testing.T) {
	folder, url, ok := strings.Cut(os.Getenv(notifyWorld), " ")
	if !ok {
		return // it is run by TestKilledBetweenSendAndMark alone
	}
	store, err := sqlite.Open(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	o := &office{T: t, store: store, url: url, now: time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)}
	_, err = o.app().Deliver(t.Context())
	t.Fatalf("it lives on: %v", err)
}

// TestKilledBetweenSendAndMark: the receiver has the message, and kills the sender (-9) before it hears so. Another process sends
// it again, with the same id and the same content, though more has come since.
func TestKilledBetweenSendAndMark(t *testing.T) {
	o := newOffice(t)
	a := o.app()
	o.incident(a, 0)
	o.deliver(a)
	for range 3 { // a burst, which is sent as one
		o.event(a, "inc-1", astern.IncidentEvent{Kind: astern.IncidentDecided, By: "watch", Decision: &astern.Decision{Act: astern.ActHold, Because: "no data"}})
	}
	sender := exec.Command(os.Args[0], "-test.run=^TestSendingProcess$")
	sender.Env = append(os.Environ(), notifyWorld+"="+filepath.Join(o.folder, ".astern")+" "+o.url, "GORACE=atexit_sleep_ms=0")
	var out bytes.Buffer
	sender.Stdout, sender.Stderr = &out, &out
	ids, process := make(chan string, 1), make(chan *os.Process, 1)
	o.answers(func(_ http.ResponseWriter, r *http.Request) bool {
		ids <- r.Header.Get("webhook-id")
		o.must((<-process).Signal(syscall.SIGKILL))
		<-r.Context().Done()
		return true
	})
	o.must(sender.Start())
	process <- sender.Process
	err := sender.Wait()
	if status, ok := sender.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("%v: %s", err, out.Bytes())
	}
	id := <-ids
	o.answers(nil)
	o.event(a, "inc-1", astern.IncidentEvent{Kind: astern.IncidentDecided, By: "watch", Decision: &astern.Decision{Act: astern.ActHold, Because: "still none"}})
	if d := o.deliver(a); d.Sent != 0 || d.Waiting != 4 { // its lease lasts
		t.Errorf("%+v", d)
	}
	o.now = o.now.Add(lease)
	if d := o.deliver(a); d.Sent != 3 || d.Waiting != 1 {
		t.Errorf("%+v", d)
	}
	o.mu.Lock()
	last := o.got["/hook"][len(o.got["/hook"])-1]
	o.mu.Unlock()
	if last.id != id || !slices.Equal(last.tokens, []string{"inc-1/2", "inc-1/3", "inc-1/4"}) {
		t.Errorf("%+v, the first try had %s", last, id)
	}
	o.now = o.now.Add(notice.Window)
	o.deliver(a)
	o.want("/hook", "inc-1/1", "inc-1/2", "inc-1/3", "inc-1/4", "inc-1/5")
}

// TestPlansAndExecutionsAreTold: that a plan waits for approvals, is carried out, goes over the policy's head, and has ended; what
// happens to a component of an incident belongs to it.
func TestPlansAndExecutionsAreTold(t *testing.T) {
	o := newOffice(t)
	a := o.app()
	ctx := t.Context()
	doc, err := os.ReadFile("../planfile/testdata/plans/ecs.json")
	o.must(err)
	p, _, err := planfile.Decode(doc)
	o.must(err)
	p.Approvals = 2
	p, err = planfile.Seal(p)
	o.must(err)
	doc, hash, err := planfile.Encode(p)
	o.must(err)
	o.now = p.CreatedAt.Add(time.Minute)
	id, _, err := a.Store.OpenIncident(ctx, astern.IncidentEvent{At: o.now, Kind: astern.IncidentOpened, By: "ana", Text: "errors", Addresses: p.Addresses()[:1]})
	o.must(err)
	for range 2 { // it is stored again by each command
		o.must(a.Store.PutPlan(ctx, hash, doc, o.now))
	}
	o.must(a.Store.AddOverride(ctx, astern.Override{PlanHash: hash, By: "ben", Reason: "alone", Over: []string{"2 approvals"}, At: o.now, ReviewDue: o.now.Add(24 * time.Hour)}))
	e, _, err := a.Store.CreateExecution(ctx, astern.Execution{PlanHash: hash, CreatedAt: o.now, Addresses: p.Addresses()}, 0)
	o.must(err)
	fence, err := a.Store.Take(ctx, e.ID, a.Runner, a.Alive, 0, o.now)
	o.must(err)
	o.must(a.Store.Append(ctx, e.ID, fence, astern.Record{At: o.now, Kind: astern.RecordRound}))
	o.must(a.Store.Append(ctx, e.ID, fence, astern.Record{At: o.now, Kind: astern.RecordEnded, Outcome: astern.OutcomeDone}))
	all, err := a.Store.Dispatches(ctx, o.now)
	o.must(err)
	for _, d := range all[1:] {
		if d.Notice.Incident != id || d.Notice.Topic != id || d.Notice.System != "webshop" || len(d.Notice.ID) != 32 {
			t.Errorf("%+v", d.Notice)
		}
	}
	o.deliver(a)
	want := []string{id + "/1", "asked/" + hash, "override/" + hash, "began/" + e.ID, "ended/" + e.ID}
	o.want("/hook", want...)

	// Another channel that was declared all the time but got nothing, because each process died before it had queued, gets the same.
	again := o.channel("again")
	_, err = o.store.Subscribe(ctx, []string{subscription(again)}, o.now)
	o.must(err)
	o.now = o.now.Add(time.Hour)
	o.deliver(o.app(again))
	// The plan has begun: it asks for nobody any more.
	got := o.took("/again")
	slices.Sort(got)
	left := slices.DeleteFunc(slices.Clone(want), func(token string) bool { return strings.HasPrefix(token, "asked/") })
	slices.Sort(left)
	if !slices.Equal(got, left) {
		t.Errorf("%q, want %q", got, left)
	}
}

// TestHoldsAreTold: an execution that holds and one whose process is gone, once for each hold.
func TestHoldsAreTold(t *testing.T) {
	o := newOffice(t)
	a := o.app()
	ctx := t.Context()
	doc, err := os.ReadFile("../planfile/testdata/plans/ecs.json")
	o.must(err)
	p, hash, err := planfile.Decode(doc)
	o.must(err)
	o.now = p.CreatedAt.Add(time.Minute)
	o.must(a.Store.PutPlan(ctx, hash, doc, o.now))
	e, _, err := a.Store.CreateExecution(ctx, astern.Execution{PlanHash: hash, CreatedAt: o.now, Addresses: p.Addresses()}, 0)
	o.must(err)
	_, err = a.Store.Take(ctx, e.ID, a.Runner, a.Alive, 0, o.now)
	o.must(err)
	held := func() (out []string) {
		for range 3 {
			o.now = o.now.Add(2 * time.Minute)
			o.deliver(a)
		}
		for _, token := range o.took("/hook") {
			if rest, ok := strings.CutPrefix(token, "held/"+e.ID+"/"); ok {
				out = append(out, rest)
			}
		}
		return out
	}
	if got := held(); len(got) != 1 || got[0] != "lost/1" {
		t.Fatalf("its process is gone: %q", got)
	}
	a.Alive = func(astern.Runner) bool { return true }
	fence, err := a.Store.Take(ctx, e.ID, a.Runner, func(astern.Runner) bool { return false }, 0, o.now)
	o.must(err)
	l, err := a.load(ctx, e.ID)
	o.must(err)
	step := l.fold.Steps()[0].ID
	call := astern.Call{Execution: e.ID, Step: step, Token: "t"}
	fail := func(attempt int) {
		t.Helper()
		o.must(a.Store.Append(ctx, e.ID, fence, astern.Record{At: o.now, Kind: astern.RecordIntent, Step: step, Attempt: attempt, Call: &call},
			astern.Record{At: o.now, Kind: astern.RecordOp, Step: step, Attempt: attempt, Op: &astern.Op{Status: astern.OpFailed, Code: astern.Invalid, Error: "no"}}))
	}
	fail(1)
	o.must(a.tellHold(ctx, e.ID)) // as the process says that carries it out
	if got := held(); len(got) != 2 {
		t.Fatalf("it holds: %q", got)
	}
	o.must(a.Store.Append(ctx, e.ID, 0, astern.Record{At: o.now, Kind: astern.RecordResumed, By: "ana"}))
	fail(2)
	if got := held(); len(got) != 3 {
		t.Errorf("it holds again: %q", got)
	}
	o.must(a.Store.Append(ctx, e.ID, 0, astern.Record{At: o.now, Kind: astern.RecordPaused, By: "ana"}))
	if got := held(); len(got) != 3 {
		t.Errorf("who paused it knows: %q", got)
	}
}
