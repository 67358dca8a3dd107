package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/detect"
	"github.com/astern-dev/astern/internal/host"
	"github.com/astern-dev/astern/internal/planner"
	"github.com/astern-dev/astern/internal/secret"
	"github.com/astern-dev/astern/internal/signal"
	"github.com/astern-dev/astern/internal/signal/cloudwatch"
	"github.com/astern-dev/astern/internal/signal/command"
	"github.com/astern-dev/astern/internal/signal/fetch"
	"github.com/astern-dev/astern/internal/signal/prometheus"
	"github.com/astern-dev/astern/internal/signal/scrape"
)

// Signals reads signals of any source. It keeps connections from one reading to the next: make one and close it.
type Signals struct {
	client     *fetch.Client
	prometheus *prometheus.Reader
	scrape     *scrape.Reader
	command    *command.Reader
	cloudwatch *cloudwatch.Reader
}

// NewSignals returns what reads the signals of the system.
func (a *App) NewSignals() *Signals {
	resolve := func(s astern.Secret) (astern.SecretValue, error) { return secret.Resolve(s, a.System.Folder) }
	client := fetch.New(fetch.Options{Secret: resolve})
	return &Signals{client: client, prometheus: prometheus.New(client, a.Now), scrape: scrape.New(client, a.Now),
		command:    &command.Reader{Machine: host.Here(), Folder: a.System.Folder, Secret: resolve, Now: a.Now},
		cloudwatch: cloudwatch.New(a.accounts, a.Now)}
}

// Close ends the connections that are kept.
func (s *Signals) Close() { s.client.Close() }

// Read returns the answer to each ask, in order. The sources are asked side by side.
func (s *Signals) Read(ctx context.Context, asks []signal.Ask) []signal.Answer {
	out := make([]signal.Answer, len(asks))
	var of [4][]int
	for i, a := range asks {
		switch {
		case a.Signal.Prometheus != nil:
			of[0] = append(of[0], i)
		case a.Signal.Scrape != nil:
			of[1] = append(of[1], i)
		case a.Signal.Command != nil:
			of[2] = append(of[2], i)
		case a.Signal.CloudWatch != nil:
			of[3] = append(of[3], i)
		default:
			out[i].Err = astern.Errorf(astern.Invalid, "signal %s of %s has no source", a.Signal.Name, a.Signal.Address)
		}
	}
	var wait sync.WaitGroup
	for k, read := range []func(context.Context, []signal.Ask) []signal.Answer{s.prometheus.Read, s.scrape.Read, s.command.Read, s.cloudwatch.Read} {
		if len(of[k]) == 0 {
			continue
		}
		wait.Go(func() {
			part := make([]signal.Ask, len(of[k]))
			for j, i := range of[k] {
				part[j] = asks[i]
			}
			for j, answer := range read(ctx, part) {
				out[of[k][j]] = answer
			}
		})
	}
	wait.Wait()
	return out
}

// Past returns what a signal said every so often from one moment to another. The error of a source that keeps no past is
// signal.ErrNoPast.
func (s *Signals) Past(ctx context.Context, ask signal.Ask, from, to time.Time, every time.Duration) ([]signal.Round, error) {
	if ask.Signal.CloudWatch != nil {
		return s.cloudwatch.Past(ctx, ask, from, to)
	}
	if ask.Signal.Prometheus == nil {
		return nil, &astern.Error{Code: astern.Invalid, Doing: fmt.Sprintf("reading the past of signal %s of %s", ask.Signal.Name, ask.Signal.Address),
			Cause: signal.ErrNoPast}
	}
	return s.prometheus.Past(ctx, ask, from, to, every)
}

// askOf returns what to ask of one signal of a component.
func askOf(s astern.Signal, state astern.State) signal.Ask {
	return signal.Ask{Signal: s, Members: membersOf(state)}
}

// membersOf returns the members of a component and where each is reached. What has none and serves revisions (a function's alias, a
// service of the cloud) is counted by those: each revision that serves is a member that runs it, and is reached as its version.
func membersOf(state astern.State) []signal.Member {
	var out []signal.Member
	for _, m := range planner.Members(state) {
		out = append(out, signal.Member{Name: m, Address: state.Values[m+"/address"].Text})
	}
	v, ok := state.Get("revision")
	if len(out) > 0 || !ok || !v.Known() || v.Text == "" || hasLinks(state) {
		return out
	}
	for _, revision := range strings.Split(v.Text, "+") {
		out = append(out, signal.Member{Name: revision, Address: state.Version(revision)})
	}
	return out
}

// hasLinks reports whether the component has members, of which nobody says where they are reached.
func hasLinks(state astern.State) bool {
	for path := range state.Values {
		if strings.HasSuffix(path, "/link") {
			return true
		}
	}
	return false
}

// namesOf returns the members' names.
func namesOf(state astern.State) []string {
	var out []string
	for _, m := range membersOf(state) {
		out = append(out, m.Name)
	}
	return out
}

// readSignals reads each signal of the component once and says how that went.
func (a *App) readSignals(ctx context.Context, c *Checked, p planner.Part) {
	if !p.Component.Watchable() {
		return
	}
	reader := a.NewSignals()
	defer reader.Close()
	a.readAlarms(ctx, c, reader, p.Component)
	var asks []signal.Ask
	for _, s := range p.Component.Signals {
		asks = append(asks, askOf(s, p.State))
	}
	began := a.Now()
	for i, answer := range reader.Read(ctx, asks) {
		r := astern.CheckResult{Check: p.Component.Signals[i].Name, At: a.Now(), Seconds: a.Now().Sub(began).Seconds(), Attempts: 1}
		r.Verdict, r.Evidence = sightOf(asks[i], answer)
		c.Signals = append(c.Signals, r)
		c.worse(r.Verdict)
		for _, finding := range signalFindings(asks[i].Signal, answer) {
			c.Findings = append(c.Findings, "signal "+asks[i].Signal.Name+": "+finding)
		}
	}
}

// sightOf says whether a signal can be read: a pass when it can be of every member.
func sightOf(ask signal.Ask, a signal.Answer) (astern.Verdict, string) {
	if a.Err != nil {
		return astern.Unknown, a.Err.Error()
	}
	read := map[string]bool{}
	oldest := time.Duration(0)
	for i := range a.Readings {
		r := &a.Readings[i]
		if why := signal.Invalid(r, a.Now, a.Lag); why != "" {
			a.Fail(r.Member, why)
			continue
		}
		read[r.Member] = true
		oldest = max(oldest, a.Now.Sub(r.At))
	}
	evidence := fmt.Sprintf("read of %d of %d members, %d series", len(read), len(ask.Members), a.Series)
	if len(read) > 0 {
		evidence += fmt.Sprintf(", the oldest %s old", oldest.Round(time.Second))
	}
	var failed []string
	for _, m := range ask.Members {
		if why, ok := a.Failed[m.Name]; ok && !read[m.Name] {
			failed = append(failed, m.Name+": "+why)
		}
	}
	if over := len(failed) - 3; over > 0 {
		failed = append(failed[:3], fmt.Sprintf("and %d more", over))
	}
	if len(failed) > 0 || len(ask.Members) == 0 {
		return astern.Unknown, strings.TrimSuffix(evidence+"; "+strings.Join(failed, "; "), "; ")
	}
	return astern.Pass, evidence
}

// signalFindings are what a person should change about a signal that can be read: what its source notes, and buckets that
// can't show the margin.
func signalFindings(s astern.Signal, a signal.Answer) []string {
	out := slices.Clone(a.Notes)
	if s.Kind != astern.SignalLatency {
		return out
	}
	rule, err := detect.RuleOf(s)
	if err != nil {
		return append(out, err.Error())
	}
	var all []astern.Bucket
	for i, r := range a.Readings {
		if all = signal.Add(all, r.Buckets); i == 0 {
			all = r.Buckets
		}
	}
	if len(all) == 0 || all[len(all)-1].Count == 0 {
		return out // nothing was counted yet: nobody knows where the quantile lies
	}
	if c := detect.Bounds(rule, all); c.Problem != "" {
		out = append(out, c.Problem)
	}
	return out
}
