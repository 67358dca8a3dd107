package astern

import "time"

// AWSPlace is where something is in AWS, and as whom it is reached. What is empty is that of the environment.
type AWSPlace struct {
	Region  string `json:"region,omitempty"`
	Profile string `json:"profile,omitempty"`
	Role    string `json:"role,omitempty"`
	Account string `json:"account,omitempty"`
}

// CloudWatchSource asks CloudWatch for the sums of periods. Values of Dimensions may hold {member} and {address}; where none
// does, the metrics are those of the component as a whole.
type CloudWatchSource struct {
	AWSPlace
	Namespace  string            `json:"namespace"`
	Dimensions map[string]string `json:"dimensions,omitempty"`
	// Version is the dimension that tells revisions apart while several of them serve; "" where none does.
	Version string `json:"version,omitempty"`
	// Total counts requests and Bad those of them that failed, by their sums; Latency is how long each took, and counted at
	// Bounds, in seconds.
	Total        string    `json:"total,omitempty"`
	Bad          string    `json:"bad,omitempty"`
	Latency      string    `json:"latency,omitempty"`
	Milliseconds bool      `json:"milliseconds,omitempty"` // that Latency is measured in
	Bounds       []float64 `json:"bounds,omitempty"`
	// ZeroTotal and ZeroBad say that a period without a datapoint is one in which nothing was counted; else it is a gap.
	ZeroTotal bool `json:"zero_total,omitempty"`
	ZeroBad   bool `json:"zero_bad,omitempty"`
	// PeriodSeconds is how long a period is; SettleSeconds after its end it counts, for until then it may still grow.
	PeriodSeconds int64 `json:"period_seconds"`
	SettleSeconds int64 `json:"settle_seconds"`
}

// Alarm is an alarm of CloudWatch, metric or composite, that judges a release of a component.
type Alarm struct {
	Name    string `json:"name"`
	Address string `json:"address"` // ENV/COMPONENT it belongs to
	AWSPlace
	Alarm string `json:"alarm"` // its name in CloudWatch
	// Harm is what share of the requests is taken to be harmed while it is in ALARM, in percent: the policy's severity follows
	// from it.
	Harm float64 `json:"harm"`
}

// LogSource is a log group of CloudWatch.
type LogSource struct {
	AWSPlace
	Group string `json:"group"`
	// Pattern is CloudWatch's filter pattern of lines that tell of failures.
	Pattern string `json:"pattern"`
}

// FailureLog is what a component wrote down of its last failures.
type FailureLog struct {
	Group string    `json:"group"`
	Since time.Time `json:"since"`
	Lines []LogLine `json:"lines,omitempty"` // the oldest first
	// More is true when there were more lines than these, or too many to look through.
	More bool `json:"more,omitempty"`
	// Missing says why there are none, where they could not be read.
	Missing string `json:"missing,omitempty"`
}

// LogLine is one line of a log, harmless to show.
type LogLine struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}
