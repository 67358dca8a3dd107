// Package cloudwatch reads signals, alarms and the last failures in logs from Amazon CloudWatch.
//
// CloudWatch keeps sums of periods, and a period goes on growing after its end: services publish once a minute, and late. So
// a period counts only when it has settled, and what is read are the sums of all settled periods since a common beginning:
// counters, as the judge wants them, that stay the same whoever asks and whenever. A period without a datapoint is a gap and no
// zero, unless astern.yaml says so or a later datapoint shows that it was empty.
//
// A latency is counted at the bounds that are declared, by the statistic TC (trimmed count): how many took at most so long. A
// percentile of each period would be of no use, because percentiles of periods and of revisions can't be added up.
//
// GetMetricData costs by metric, so each is asked for once in a period and up to 500 in one call; what is asked in between is
// answered from what was read last.
//
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
package cloudwatch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	smithy "github.com/aws/smithy-go/middleware"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/signal"
)

const (
	// spans is how many periods lie between two beginnings of the sums: at each, one period is counted nowhere.
	spans = 60
	// holes is how many of the newest periods may still get a datapoint that the others have.
	holes = 3
	// mostKept is how many answers are kept.
	mostKept = 20_000
	// readWithin bounds one reading of all signals.
	readWithin = 20 * time.Second
	// apart is by how much the clocks may differ before CloudWatch's own is gone by: its answers tell whole seconds only.
	apart = 2 * time.Second
)

// Reader reads. It is safe for concurrent use.
type Reader struct {
	accounts *awsapi.Accounts
	now      func() time.Time

	lock sync.Mutex
	kept map[string]kept   // by signal and members
	last map[string]string // by signal and member: what counted it last
	skew map[astern.AWSPlace]time.Duration
}

// kept is what was read last, which stands until another period has settled.
type kept struct {
	to     time.Time
	answer signal.Answer
}

// New returns a Reader with the sessions of accounts; now is our own clock.
func New(accounts *awsapi.Accounts, now func() time.Time) *Reader {
	return &Reader{accounts: accounts, now: now, kept: map[string]kept{}, last: map[string]string{}, skew: map[astern.AWSPlace]time.Duration{}}
}

// question is one signal: which time is asked for, and the series of each member.
type question struct {
	ask      int
	source   astern.CloudWatchSource
	from, to time.Time
	arms     []*arm
	failed   map[string]string
	name     string // of the signal in the whole system
	key      string // with its members
	err      error
}

// arm is a member that is counted by itself.
type arm struct {
	member     string
	dimensions map[string]string
	byVersion  bool
	series     []*series // the first is the total
}

// identity is what the arm is counted by.
func (a *arm) identity() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(a.dimensions)) {
		fmt.Fprintf(&b, "%s=%s\x00", name, a.dimensions[name])
	}
	return b.String()
}

// Read returns the answer to each ask, in order: what had settled by now.
func (r *Reader) Read(ctx context.Context, asks []signal.Ask) []signal.Answer {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	r.forget()
	now := r.now()
	out := make([]signal.Answer, len(asks))
	var open []*question
	for i, a := range asks {
		skew := r.ahead(a.Signal.CloudWatch.AWSPlace)
		q := questionOf(i, a, now.Add(skew))
		if k, ok := r.recall(q.key); ok && k.to.Equal(q.to) {
			out[i] = k.answer
			out[i].Now, out[i].Skew = now.Add(skew), skew
			continue
		}
		open = append(open, q)
	}
	if r.ask(ctx, open) { // what has settled is judged by CloudWatch's clock
		for i, q := range open {
			open[i] = questionOf(q.ask, asks[q.ask], now.Add(r.ahead(q.source.AWSPlace)))
		}
		r.ask(ctx, open)
	}
	for _, q := range open {
		out[q.ask] = r.answer(q, now, r.ahead(q.source.AWSPlace))
	}
	return out
}

// ahead is by how much CloudWatch's clock was ahead of ours when it answered last.
func (r *Reader) ahead(place astern.AWSPlace) time.Duration {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.skew[place]
}

// learn takes in the time of an answer to what was asked between two moments of our clock, and reports whether the clocks differ
// in another way than was known.
func (r *Reader) learn(place astern.AWSPlace, asked, answered time.Time, metadata smithy.Metadata) bool {
	at, ok := middleware.GetServerTime(metadata)
	if !ok {
		return false
	}
	skew := at.Sub(asked.Add(answered.Sub(asked) / 2))
	if skew.Abs() <= apart {
		skew = 0
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	changed := (skew - r.skew[place]).Abs() > apart
	if changed {
		r.skew[place] = skew
	}
	return changed
}

// forget drops everything once revisions that nobody runs any more fill the memory: what is lost is one period.
func (r *Reader) forget() {
	r.lock.Lock()
	defer r.lock.Unlock()
	if len(r.kept) > mostKept || len(r.last) > mostKept {
		clear(r.kept)
		clear(r.last)
	}
}

func (r *Reader) recall(key string) (kept, bool) {
	r.lock.Lock()
	defer r.lock.Unlock()
	k, ok := r.kept[key]
	return k, ok
}

// questionOf returns what to ask so that all settled periods since a beginning are known.
func questionOf(i int, a signal.Ask, now time.Time) *question {
	s := *a.Signal.CloudWatch
	period := time.Duration(s.PeriodSeconds) * time.Second
	q := &question{ask: i, source: s, to: now.Add(-time.Duration(s.SettleSeconds) * time.Second).Truncate(period).UTC()}
	q.from = q.to.Truncate(spans * period).Add(-spans * period)
	q.arms, q.failed = armsOf(s, a.Members)
	q.name = a.Signal.Address + "\x00" + a.Signal.Name
	q.key = q.name
	for _, m := range a.Members {
		q.key += "\x00" + m.Name + "\x00" + m.Address
	}
	return q
}

// armsOf returns the members that can be counted by themselves, and why others can't.
func armsOf(s astern.CloudWatchSource, members []signal.Member) (arms []*arm, failed map[string]string) {
	own := false
	for _, v := range s.Dimensions {
		own = own || strings.Contains(v, "{member}") || strings.Contains(v, "{address}")
	}
	var names []string
	for _, m := range members {
		names = append(names, m.Name)
	}
	fail := func(m signal.Member, why string) {
		if failed == nil {
			failed = map[string]string{}
		}
		failed[m.Name] = why
	}
	for _, m := range members {
		a := &arm{member: m.Name, dimensions: map[string]string{}}
		for name, v := range s.Dimensions {
			a.dimensions[name] = strings.NewReplacer("{member}", m.Name, "{address}", m.Address).Replace(v)
		}
		switch {
		case own || len(members) == 1:
		case s.Version == "":
			fail(m, "CloudWatch counts "+strings.Join(names, " and ")+" together: no dimension tells them apart")
			continue
		case m.Address == "":
			fail(m, "its version is not known")
			continue
		default:
			a.dimensions[s.Version], a.byVersion = m.Address, true
		}
		a.series = seriesOf(s)
		arms = append(arms, a)
	}
	return arms, failed
}

// answer is what came of a question. What failed in passing is asked again in the next round; until a period is overdue, what
// was read before stands.
func (r *Reader) answer(q *question, now time.Time, skew time.Duration) signal.Answer {
	period := time.Duration(q.source.PeriodSeconds) * time.Second
	a := signal.Answer{Now: now.Add(skew), Skew: skew, Lag: period + time.Duration(q.source.SettleSeconds)*time.Second, Failed: q.failed}
	r.lock.Lock()
	defer r.lock.Unlock()
	if q.err != nil {
		if k, ok := r.kept[q.key]; ok && q.to.Sub(k.to) <= period {
			k.answer.Now = a.Now
			return k.answer
		}
		a.Err = q.err
		return a
	}
	for _, arm := range q.arms {
		member := q.name + "\x00" + arm.member
		identity := arm.identity()
		if before, ok := r.last[member]; ok && before != identity {
			a.Fail(arm.member, "what counts it is another metric now")
		} else if reading, note, why := arm.read(q); why != "" {
			a.Fail(arm.member, why)
		} else {
			a.Readings = append(a.Readings, reading)
			if note != "" && !slices.Contains(a.Notes, note) {
				a.Notes = append(a.Notes, note)
			}
		}
		r.last[member] = identity
		a.Series += len(arm.series)
	}
	r.kept[q.key] = kept{q.to, a}
	return a
}

// settings are those of a session.
func settings(p astern.AWSPlace) awsapi.Settings {
	return awsapi.Settings{Region: p.Region, Profile: p.Profile, Role: p.Role, Account: p.Account}
}
