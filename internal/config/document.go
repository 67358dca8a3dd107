package config

import "github.com/astern-dev/astern"

// Document is astern.yaml as it is written. The JSON Schema is generated from it, so a key without omitempty is
// required, and the tags are what editors show.
type Document struct {
	Version        int                    `json:"version" jsonschema:"enum=1,description=version of this format"`
	System         string                 `json:"system" jsonschema:"pattern=^[a-z0-9][a-z0-9-]{0\\,62}$,description=name of the system"`
	AllowedSigners string                 `json:"allowed_signers,omitempty" jsonschema:"minLength=1,description=file of the SSH keys that may sign plans\\, in the form of ssh-keygen's allowed signers"`
	RevokedSigners string                 `json:"revoked_signers,omitempty" jsonschema:"minLength=1,description=file of the SSH keys whose signatures no longer count\\, one public key a line"`
	Audit          Audit                  `json:"audit,omitempty" jsonschema:"description=the audit log"`
	Knowledge      []astern.Advice        `json:"knowledge,omitempty" jsonschema:"description=which way back to prefer at which symptom; comes before what astern knows by itself"`
	Notify         map[string]Channel     `json:"notify,omitempty" jsonschema:"description=how people are told what happens\\, by name"`
	Environments   map[string]Environment `json:"environments" jsonschema:"description=production\\, staging …: each with its components"`
}

// Audit says where the checkpoints of the audit log go, which show what somebody with its key cut or wrote anew.
type Audit struct {
	Copy    string   `json:"copy,omitempty" jsonschema:"minLength=1,description=folder that gets each checkpoint\\, best on another machine's disk"`
	Command []string `json:"command,omitempty" jsonschema:"minItems=1,description=command that gets each checkpoint on its standard input\\, in place of a folder"`
}

// Environment is production, staging …: components that run together.
type Environment struct {
	Policy     Policy                 `json:"policy,omitempty" jsonschema:"description=what must be given before a plan may be applied"`
	Hosts      map[string]Host        `json:"hosts,omitempty" jsonschema:"description=machines that components run on"`
	Compatible []astern.Compatibility `json:"compatible,omitempty" jsonschema:"description=which revisions can work together"`
	Components map[string]Component   `json:"components" jsonschema:"description=the parts of the system"`
}

// Host is a machine that instances run on.
type Host struct {
	SSH *astern.SSH `json:"ssh,omitempty" jsonschema:"description=how the host is reached; without it the host is the machine that astern runs on"`
}

// Component is one part of an environment.
type Component struct {
	Kind       string                 `json:"kind" jsonschema:"description=what the component is"`
	DependsOn  []string               `json:"depends_on,omitempty" jsonschema:"description=components of this environment that it needs"`
	Objectives Objectives             `json:"objectives,omitempty" jsonschema:"description=the recovery objectives as wanted"`
	Checks     map[string]Check       `json:"checks,omitempty" jsonschema:"description=what proves health or the lack of it"`
	Ready      []string               `json:"ready,omitempty" jsonschema:"description=checks that an instance must pass before the next one is touched"`
	Validate   []string               `json:"validate,omitempty" jsonschema:"description=checks that prove a recovery (default: all)"`
	Checklist  []astern.ChecklistItem `json:"checklist,omitempty" jsonschema:"description=worked through after a recovery; an item is ticked by its check or by a person"`
	Signals    map[string]Signal      `json:"signals,omitempty" jsonschema:"description=measured series that tell a bad release"`
	Logs       *Logs                  `json:"logs,omitempty" jsonschema:"description=where failures are written down: an incident shows the last of them (aws.lambda: that of the function)"`
	Flags      []astern.FlagUse       `json:"flags,omitempty" jsonschema:"description=flags that switch parts of the component off"`
	With       Settings               `json:"with,omitempty" jsonschema:"description=the settings of the kind"`
}

// Settings is the kind's own part of a component. What it may hold is up to the kind's driver.
type Settings map[string]any

// Objectives are the recovery objectives of a component.
type Objectives struct {
	RTO   *Duration `json:"rto,omitempty" jsonschema:"description=how long a recovery may take until health is proven"`
	RPO   *Duration `json:"rpo,omitempty" jsonschema:"description=how much of the newest data may be lost"`
	Proof *Duration `json:"proof,omitempty" jsonschema:"description=how long a proof of readiness counts (default 90d)"`
}

// Check is one check of a component. Exactly one of HTTP, TCP and Command is given.
type Check struct {
	HTTP     *HTTP                `json:"http,omitempty" jsonschema:"oneof_required=http,description=asks a URL and compares the answer"`
	TCP      *astern.TCPCheck     `json:"tcp,omitempty" jsonschema:"oneof_required=tcp,description=passes when a connection can be opened"`
	Command  *astern.CommandCheck `json:"command,omitempty" jsonschema:"oneof_required=command,description=passes when the command exits with 0"`
	Effects  astern.Effects       `json:"effects,omitempty" jsonschema:"enum=none,enum=some,description=whether the check changes anything (default: some for commands\\, else none)"`
	Host     string               `json:"host,omitempty" jsonschema:"description=where a command runs (default: the machine that astern runs on)"`
	Each     bool                 `json:"each,omitempty" jsonschema:"description=made once for each member\\, with {member} and {address} known"`
	Share    bool                 `json:"share,omitempty" jsonschema:"description=it asks {revision} or {version} itself\\, so it is made also while only a share of the calls goes there"`
	Timeout  *Duration            `json:"timeout,omitempty" jsonschema:"description=bounds one attempt (default 5s)"`
	Attempts *int                 `json:"attempts,omitempty" jsonschema:"minimum=1,description=how often it is tried before its verdict counts (default 1)"`
	Interval *Duration            `json:"interval,omitempty" jsonschema:"description=lies between two attempts (default 1s)"`
}

// HTTP is a check that asks a URL.
type HTTP struct {
	URL          string                 `json:"url" jsonschema:"description=may hold {revision}\\, {member} and {address}"`
	Method       string                 `json:"method,omitempty" jsonschema:"description=default GET"`
	Body         string                 `json:"body,omitempty"`
	Headers      map[string]HeaderValue `json:"headers,omitempty" jsonschema:"description=sent with the request; a secret is {env: NAME} or {file: PATH}"`
	Status       []int                  `json:"status,omitempty" jsonschema:"description=status codes that pass (default 200 to 299)"`
	HeaderEquals map[string]string      `json:"header_equals,omitempty" jsonschema:"description=headers of the answer and the values they must have"`
	JSONEquals   map[string]string      `json:"json_equals,omitempty" jsonschema:"description=paths into a JSON answer (db.pool.free\\, items.0.id) and the values they must have\\, as text"`
	Contains     string                 `json:"contains,omitempty" jsonschema:"description=text that must be in the answer"`
}

// HeaderValue is a plain string, or a reference to a secret.
type HeaderValue struct {
	Plain  string
	Secret *astern.Secret
}

// Signal is one measured series of a component, or an alarm. Exactly one of Prometheus, Scrape, Command, CloudWatch and Alarm is
// given.
type Signal struct {
	Kind       astern.SignalKind `json:"kind" jsonschema:"enum=errors,enum=latency,enum=throughput,enum=business,enum=alarm,description=what it measures; an alarm judges by itself"`
	Margin     *float64          `json:"margin,omitempty" jsonschema:"minimum=0,description=how much worse matters: percentage points for errors\\, percent of the baseline for the others (default 0.5 points\\, 25 % of latency\\, 20 % of throughput\\, 10 % of business)"`
	Quantile   *float64          `json:"quantile,omitempty" jsonschema:"minimum=0,description=what a latency signal looks at\\, in percent (default 95)"`
	Counts     string            `json:"counts,omitempty" jsonschema:"enum=requests,enum=users,description=what a signal of errors counts (default requests); users make an incident say how many were harmed"`
	Prometheus *Prometheus       `json:"prometheus,omitempty" jsonschema:"oneof_required=prometheus,description=asks a Prometheus by its HTTP API"`
	Scrape     *Scrape           `json:"scrape,omitempty" jsonschema:"oneof_required=scrape,description=reads what each member exposes"`
	Command    *SignalCommand    `json:"command,omitempty" jsonschema:"oneof_required=command,description=runs a command that prints readings as JSON"`
	CloudWatch *CloudWatch       `json:"cloudwatch,omitempty" jsonschema:"oneof_required=cloudwatch,description=asks CloudWatch; {} is enough for an aws.lambda; each metric costs what AWS takes for GetMetricData\\, once a period"`
	Alarm      *Alarm            `json:"alarm,omitempty" jsonschema:"oneof_required=alarm,description=an alarm of CloudWatch\\, metric or composite: in ALARM after a deployment is worse\\, INSUFFICIENT_DATA is unknown; in ALARM before it does not count"`
}

// Prometheus is a signal's source.
type Prometheus struct {
	URL       string                 `json:"url" jsonschema:"description=of the server\\, without /api"`
	Headers   map[string]HeaderValue `json:"headers,omitempty" jsonschema:"description=sent with each question; a secret is {env: NAME} or {file: PATH}"`
	Total     string                 `json:"total,omitempty" jsonschema:"description=selects the counters of requests: http_requests_total{job=\"shop\"}"`
	Bad       string                 `json:"bad,omitempty" jsonschema:"description=selects those of them that count failures"`
	Histogram string                 `json:"histogram,omitempty" jsonschema:"description=selects a histogram of seconds\\, by its name without _bucket"`
	Member    string                 `json:"member" jsonschema:"description=the label whose value is a member's name or address\\, such as instance"`
}

// Scrape is a signal's source.
type Scrape struct {
	URL       string                 `json:"url" jsonschema:"description=of each member; holds {member} or {address}"`
	Headers   map[string]HeaderValue `json:"headers,omitempty" jsonschema:"description=sent with each question; a secret is {env: NAME} or {file: PATH}"`
	Total     string                 `json:"total,omitempty" jsonschema:"description=selects the counters of requests: http_requests_total"`
	Bad       string                 `json:"bad,omitempty" jsonschema:"description=selects those of them that count failures"`
	Histogram string                 `json:"histogram,omitempty" jsonschema:"description=selects a histogram of seconds\\, by its name without _bucket"`
}

// SignalCommand is a signal's source.
type SignalCommand struct {
	Argv []string               `json:"argv" jsonschema:"minItems=1,description=the command and its arguments; no shell reads them"`
	Env  map[string]HeaderValue `json:"env,omitempty" jsonschema:"description=added to PATH\\, HOME and LANG; a secret is {env: NAME} or {file: PATH}"`
}
