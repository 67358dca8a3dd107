package astern

import "time"

// Verdict is what a check says. Unknown is never taken for Pass.
type Verdict string

// The verdicts.
const (
	Pass    Verdict = "pass"
	Fail    Verdict = "fail"
	Unknown Verdict = "unknown"
)

// Effects says whether a check changes anything in the world.
type Effects string

// The effects of a check.
const (
	EffectsNone Effects = "none"
	EffectsSome Effects = "some"
)

// Check proves health or the lack of it. Exactly one of HTTP, TCP, Command, Judge and Proven is set. Strings of it may hold the
// placeholders {revision}, {version}, {member} and {address} (of Addresses); they are bound when a plan is made, or when the check
// is run by itself.
type Check struct {
	Name    string        `json:"name"`
	Address string        `json:"address"` // ENV/COMPONENT it belongs to
	HTTP    *HTTPCheck    `json:"http,omitempty"`
	TCP     *TCPCheck     `json:"tcp,omitempty"`
	Command *CommandCheck `json:"command,omitempty"`
	Judge   *JudgeCheck   `json:"judge,omitempty"`
	Proven  *ProvenCheck  `json:"proven,omitempty"`
	// Effects is none or some; commands are "some" unless declared otherwise.
	Effects Effects `json:"effects"`
	// Host is where a command runs; empty means on the machine that astern runs on.
	Host string `json:"host,omitempty"`
	// Each is true for a check that is made once for each member of the component, with {member} and {address} bound.
	Each bool `json:"each,omitempty"`
	// Share is true for a check whose question names {revision} or {version} and so asks that revision itself: it can be made while
	// only a share of the calls goes there.
	Share bool `json:"share,omitempty"`
	// Member is set on a bound check that is for one member.
	Member string `json:"member,omitempty"`
	// TimeoutSeconds bounds one attempt.
	TimeoutSeconds float64 `json:"timeout_seconds"`
	// Attempts is how often a failing or unknown check is tried before its verdict counts; at least 1.
	Attempts int `json:"attempts"`
	// IntervalSeconds lies between two attempts.
	IntervalSeconds float64 `json:"interval_seconds"`
}

// ID returns NAME, or NAME@MEMBER for a check bound to a member.
func (c Check) ID() string {
	if c.Member == "" {
		return c.Name
	}
	return c.Name + "@" + c.Member
}

// HTTPCheck asks a URL and compares the answer.
type HTTPCheck struct {
	URL    string `json:"url"`
	Method string `json:"method,omitempty"` // default GET
	Body   string `json:"body,omitempty"`
	// Headers are sent with the request; a header whose value is secret stands in SecretHeaders.
	Headers       map[string]string `json:"headers,omitempty"`
	SecretHeaders map[string]Secret `json:"secret_headers,omitempty"`
	// Status lists the status codes that pass; empty means 200 to 299. [401] says "401 is alive".
	Status []int `json:"status,omitempty"`
	// HeaderEquals maps response header names to the values they must have.
	HeaderEquals map[string]string `json:"header_equals,omitempty"`
	// JSONEquals maps paths into a JSON body ("version", "db.pool.free", "items.0.id") to the value they must have, as text.
	JSONEquals map[string]string `json:"json_equals,omitempty"`
	// Contains must appear in the body.
	Contains string `json:"contains,omitempty"`
}

// TCPCheck passes when a connection can be opened.
type TCPCheck struct {
	Address string `json:"address"` // host:port
}

// CommandCheck passes when the command exits with 0, fails on 1 to 125 (or what FailOn lists), and is unknown on anything
// else or when it could not be run. It never runs through a shell.
type CommandCheck struct {
	Argv []string `json:"argv"`
	// FailOn lists exit codes that mean fail; empty means 1 to 125. Others than these and 0 are unknown.
	FailOn []int             `json:"fail_on,omitempty"`
	Env    map[string]string `json:"env,omitempty"`
}

// JudgeCheck holds the members of its component that run a revision against those that run another one, by all signals of the
// component: it passes when each is known not to be worse, fails when one is worse, and is unknown until then. No placeholder
// stands in it: the planner makes it.
type JudgeCheck struct {
	Revision string `json:"revision"`
	Baseline string `json:"baseline"`
	// Trial tells apart two trials of the same revision: the id of the plan. One without is not gone on with by another
	// process.
	Trial string `json:"trial"`
}

// ProvenCheck asks whether its component, which is the one of another environment, was taken to a revision and validated there
// lately: it passes when that was the last that happened to it, and is unknown while it is under way. No placeholder stands in
// it: the planner makes it.
type ProvenCheck struct {
	Revision string `json:"revision"`
	// Content is what the revision must hold, as the state of its component shows it; "" where its name says that.
	Content string `json:"content,omitempty"`
	// Since is how far back the proof counts.
	Since time.Time `json:"since"`
}

// CheckResult is the verdict of one check with its evidence.
type CheckResult struct {
	Check    string    `json:"check"` // Check.ID
	Verdict  Verdict   `json:"verdict"`
	Evidence string    `json:"evidence"` // what was seen, one line, no secret
	At       time.Time `json:"at"`
	// Seconds is how long it took.
	Seconds  float64 `json:"seconds"`
	Attempts int     `json:"attempts"`
}
