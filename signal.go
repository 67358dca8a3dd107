package astern

import (
	"math"
	"time"
)

// SignalKind is what a signal measures.
type SignalKind string

// The kinds of signals.
const (
	SignalErrors     SignalKind = "errors"     // the share of requests that fail
	SignalLatency    SignalKind = "latency"    // how long requests take
	SignalThroughput SignalKind = "throughput" // how many requests come
	SignalBusiness   SignalKind = "business"   // what the system is for: orders, bookings, sign-ins
	// SignalAlarm is no series: an Alarm judges by itself.
	SignalAlarm SignalKind = "alarm"
)

// CountsUsers is what Counts of a signal says that counts users.
const CountsUsers = "users"

// Signal is a measured series of a component. Exactly one of Prometheus, Scrape, Command and CloudWatch says where it comes
// from.
type Signal struct {
	Name    string     `json:"name"`
	Address string     `json:"address"` // ENV/COMPONENT it belongs to
	Kind    SignalKind `json:"kind"`
	// Margin is how much worse matters: percentage points for errors, percent of the baseline for the others. Zero means
	// the default of the kind: 0.5 points, 25 % of the 95th percentile, 20 % of throughput, 10 % of a business metric.
	Margin float64 `json:"margin,omitempty"`
	// Quantile is what a latency signal looks at, in percent; zero means 95.
	Quantile float64 `json:"quantile,omitempty"`
	// Counts says what a signal of errors counts: "" is requests, CountsUsers users (or sessions), each of them once in the
	// time that its source counts by. The cost of an incident then says how many were harmed.
	Counts     string            `json:"counts,omitempty"`
	Prometheus *PrometheusSource `json:"prometheus,omitempty"`
	Scrape     *ScrapeSource     `json:"scrape,omitempty"`
	Command    *CommandSource    `json:"command,omitempty"`
	CloudWatch *CloudWatchSource `json:"cloudwatch,omitempty"`
}

// Remembers reports whether the source of the signal can be asked for the past.
func (s Signal) Remembers() bool { return s.Prometheus != nil || s.CloudWatch != nil }

// PrometheusSource asks a Prometheus by its HTTP API. Selectors name cumulative counters (or a histogram): each series must
// carry the label Member, whose value is the name or the address of a member of the component.
type PrometheusSource struct {
	URL string `json:"url"`
	// Headers are sent with each question; one whose value is secret stands in SecretHeaders.
	Headers       map[string]string `json:"headers,omitempty"`
	SecretHeaders map[string]Secret `json:"secret_headers,omitempty"`
	// Total counts requests, Bad those of them that failed; Histogram selects the series of a classic or native histogram
	// by its name without _bucket. Each is a metric's name with label matchers: `http_requests_total{code=~"5.."}`.
	Total     string `json:"total,omitempty"`
	Bad       string `json:"bad,omitempty"`
	Histogram string `json:"histogram,omitempty"`
	Member    string `json:"member"`
}

// ScrapeSource reads what each member exposes (text or OpenMetrics). The URL may hold {member} and {address}. Selectors
// are a metric's name with label matchers, as in PromQL: `http_requests_total{code=~"5.."}`.
type ScrapeSource struct {
	URL           string            `json:"url"`
	Headers       map[string]string `json:"headers,omitempty"`
	SecretHeaders map[string]Secret `json:"secret_headers,omitempty"`
	Total         string            `json:"total,omitempty"`
	Bad           string            `json:"bad,omitempty"`
	Histogram     string            `json:"histogram,omitempty"`
}

// CommandSource runs a command that prints one JSON document: a list of Reading. It never runs through a shell.
type CommandSource struct {
	Argv      []string          `json:"argv"`
	Env       map[string]string `json:"env,omitempty"`
	SecretEnv map[string]Secret `json:"secret_env,omitempty"`
}

// Reading is what the counters of one member said at a moment. Counters only grow, except when their process starts anew.
type Reading struct {
	Member string    `json:"member"`
	At     time.Time `json:"at"` // by the clock of whoever counted
	Total  float64   `json:"total"`
	Bad    float64   `json:"bad,omitempty"`
	// Buckets are the histogram's, cumulative: how many took at most Upper. The last one's Upper is +Inf, as null in JSON.
	Buckets []Bucket `json:"buckets,omitempty"`
	// Started is when the process began to count, where it says so: another one means that the counters are new.
	Started *time.Time `json:"started,omitempty"`
}

// Bucket is one bucket of a histogram of seconds.
type Bucket struct {
	Upper *float64 `json:"upper"` // seconds; nil is +Inf
	Count float64  `json:"count"`
}

// Counts is what a group of members did in a time: differences of counters, added up.
type Counts struct {
	Total   float64  `json:"total"`
	Bad     float64  `json:"bad,omitempty"`
	Buckets []Bucket `json:"buckets,omitempty"` // cumulative, as in Reading
	// Members is how many members it is the sum of.
	Members int `json:"members"`
}

// Sample is one interval of one signal: members that run the new revision (candidate) beside those that run the earlier one
// (control) in the same time. A group that could not be counted is nil, and Missing says why: that is no health.
type Sample struct {
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Candidate *Counts   `json:"candidate,omitempty"`
	Control   *Counts   `json:"control,omitempty"`
	Missing   string    `json:"missing,omitempty"`
	// Left are the members of both groups that were not counted, with the reason.
	Left map[string]string `json:"left,omitempty"`
}

// AtMost returns how many took at most x seconds, where the buckets can tell: at a bound, and between two bounds that
// nothing lies between (those of a native histogram come and go). It never interpolates.
func (c Counts) AtMost(x float64) (count float64, ok bool) { return atMost(c.Buckets, x) }

// AtMost is that of Counts, since the process began to count.
func (r Reading) AtMost(x float64) (count float64, ok bool) { return atMost(r.Buckets, x) }

func atMost(buckets []Bucket, x float64) (count float64, ok bool) {
	before := 0.0
	for _, b := range buckets {
		upper := math.Inf(1)
		if b.Upper != nil {
			upper = *b.Upper
		}
		if upper >= x {
			if upper == x {
				return b.Count, true
			}
			return before, b.Count == before
		}
		before = b.Count
	}
	return before, false
}
