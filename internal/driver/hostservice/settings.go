package hostservice

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
	"github.com/astern-dev/astern/internal/pattern"
)

// Settings is the `with` of a component of kind host.service.
type Settings struct {
	// Root is the folder on each host that holds releases and links. A relative one is below the folder of astern.yaml,
	// and for this machine only.
	Root string `json:"root" jsonschema:"minLength=1,description=folder on each host that holds the releases and the link"`
	// Releases is the folder of the releases, below the root.
	Releases string `json:"releases,omitempty" jsonschema:"description=folder of the releases below the root (default releases)"`
	// Link is the symbolic link to the current release, below the root; with {instance} each instance has its own.
	Link string `json:"link,omitempty" jsonschema:"description=link to the current release below the root; may hold {instance} (default current)"`
	// Instances are the processes, in the order in which they are taken.
	Instances []Instance `json:"instances" jsonschema:"minItems=1,description=the processes in the order in which they are taken"`
	// Parallel is how many instances are taken at a time.
	Parallel int `json:"parallel,omitempty" jsonschema:"minimum=1,description=how many instances are taken at a time (default 1)"`
	// Systemd names the unit of each instance; without it Commands start and stop it.
	Systemd  *Systemd  `json:"systemd,omitempty" jsonschema:"description=the systemd unit of each instance"`
	Commands *Commands `json:"commands,omitempty" jsonschema:"description=commands that start and stop an instance; run in the root and never by a shell"`
	// PIDFile holds the process id of an instance, below the root; may hold {instance}.
	PIDFile string `json:"pid_file,omitempty" jsonschema:"description=file below the root with the process id of an instance; may hold {instance}"`
	// Retention says how many releases are kept; astern judges by it and deletes nothing.
	Retention *Retention `json:"retention,omitempty" jsonschema:"description=how many releases are kept; judged and never carried out"`
	// Source is a folder on this machine from which a missing release is copied; holds {revision}.
	Source string `json:"source,omitempty" jsonschema:"description=folder on this machine from which a missing release is copied; holds {revision}"`
	// Uptime is how long a process must live after its start to count as started.
	Uptime Duration `json:"uptime,omitempty" jsonschema:"description=how long a process must live to count as started (default 1s)"`
	// Timeout bounds each command; copying a release may take ten times as long.
	Timeout Duration `json:"timeout,omitempty" jsonschema:"description=time-out of each command (default 60s); a copy may take ten times as long"`
}

// Instance is one process of the component.
type Instance struct {
	Name    string `json:"name" jsonschema:"description=name of the instance"`
	Host    string `json:"host,omitempty" jsonschema:"description=host of the environment that it runs on (default: the machine that astern runs on)"`
	Address string `json:"address,omitempty" jsonschema:"description=where it listens as host:port; {address} in checks and commands"`
}

// Systemd names a unit.
type Systemd struct {
	Unit string `json:"unit" jsonschema:"minLength=1,description=name of the unit; may hold {instance}"`
	User bool   `json:"user,omitempty" jsonschema:"description=a unit of the login's own systemd"`
}

// Commands are argument lists in which {instance}, {address}, {root} and {link} are replaced. They are run in the root,
// with ASTERN_TOKEN, ASTERN_INSTANCE, ASTERN_REVISION, ASTERN_ADDRESS and ASTERN_ROOT in the environment.
type Commands struct {
	Start   []string `json:"start,omitempty" jsonschema:"minItems=1,description=starts an instance and puts it into the background"`
	Stop    []string `json:"stop,omitempty" jsonschema:"minItems=1,description=stops an instance and waits until it has ended"`
	Restart []string `json:"restart,omitempty" jsonschema:"minItems=1,description=restarts an instance; without it: stop then start"`
	Status  []string `json:"status,omitempty" jsonschema:"minItems=1,description=prints the process id; exit code 0 running and 3 stopped"`
	Drain   []string `json:"drain,omitempty" jsonschema:"minItems=1,description=takes an instance out of traffic; may be repeated"`
	Undrain []string `json:"undrain,omitempty" jsonschema:"minItems=1,description=puts an instance back into traffic; may be repeated"`
}

// Retention is the rule by which old releases are removed by whoever deploys.
type Retention struct {
	Keep int `json:"keep" jsonschema:"minimum=1,description=how many releases are kept"`
}

// Duration is a length of time as it is written in astern.yaml: 500ms, 30s, 5m, 1h30m, 90d.
type Duration time.Duration

const durationPattern = `^(0|([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+)$`

var (
	durationShape = pattern.New(durationPattern)
	durationPart  = pattern.New(`([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)`)
	durationUnits = map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
	}
)

// SchemaPattern returns the pattern that the JSON Schema demands of the text.
func (Duration) SchemaPattern() string { return durationPattern }

// UnmarshalText reads the written form.
func (d *Duration) UnmarshalText(b []byte) error {
	if !durationShape.Match(b) {
		return fmt.Errorf("%q is not a duration such as 500ms, 30s, 5m or 90d", b)
	}
	total := 0.0
	for _, m := range durationPart.FindAllStringSubmatch(string(b), -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return fmt.Errorf("%q is not a duration: %w", b, err)
		}
		total += n * float64(durationUnits[m[2]])
	}
	if total >= math.MaxInt64 {
		return fmt.Errorf("%q is longer than 292 years", b)
	}
	*d = Duration(math.Round(total))
	return nil
}

// MarshalText writes a form that UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) {
	return []byte(strconv.FormatFloat(time.Duration(d).Seconds(), 'f', -1, 64) + "s"), nil
}

// place is one instance with where it is.
type place struct {
	name, host, address string
}

// spec is a component's settings, complete: every default filled in, every path absolute, every name valid.
type spec struct {
	Settings
	component astern.Component
	releases  string // absolute
	link      string // absolute, may hold {instance}
	pidFile   string // absolute, may hold {instance}; "" when none is declared
	source    string // absolute, may hold {revision}; "" when none is declared
	places    []place
	uptime    time.Duration
	timeout   time.Duration
}

// resolve reads a component's settings. It returns an Invalid error that names the first problem.
func resolve(c astern.Component) (spec, error) {
	sp, problems := read(c)
	if len(problems) > 0 {
		p := problems[0]
		return spec{}, astern.Errorf(astern.Invalid, "reading the settings of %s: with/%s %s", c.Address(), p.Path, p.What).WithHint("%s", p.Hint)
	}
	return sp, nil
}

// resolved remembers the settings that were resolved last: judging a component resolves the same ones for each target.
type resolved struct {
	mu   sync.Mutex
	last spec
}

// resolve returns what the function of that name does.
func (r *resolved) resolve(c astern.Component) (spec, error) {
	if r == nil {
		return resolve(c)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if was := r.last.component; was.Settings == nil || !bytes.Equal(was.Settings, c.Settings) || was.Folder != c.Folder ||
		was.Address() != c.Address() || !slices.EqualFunc(was.Hosts, c.Hosts, func(a, b astern.Host) bool {
		return a.Name == b.Name && (a.SSH == nil) == (b.SSH == nil)
	}) {
		sp, err := resolve(c)
		if err != nil {
			return spec{}, err
		}
		sp.component.Settings, sp.component.Hosts = bytes.Clone(c.Settings), slices.Clone(c.Hosts)
		r.last = sp
	}
	sp := r.last
	sp.component = c
	return sp, nil
}

// read decodes and completes the settings and returns every problem of them.
func read(c astern.Component) (spec, []astern.Problem) {
	sp := spec{component: c}
	d := json.NewDecoder(bytes.NewReader(c.Settings))
	d.DisallowUnknownFields()
	if err := d.Decode(&sp.Settings); err != nil {
		return sp, []astern.Problem{{What: "can't be read: " + err.Error(), Hint: "astern schema shows what is allowed"}}
	}
	if sp.Releases == "" {
		sp.Releases = "releases"
	}
	if sp.Link == "" {
		sp.Link = "current"
	}
	sp.Parallel = max(sp.Parallel, 1)
	sp.uptime, sp.timeout = time.Duration(sp.Uptime), time.Duration(sp.Timeout)
	if sp.uptime == 0 {
		sp.uptime = time.Second
	}
	if sp.timeout == 0 {
		sp.timeout = time.Minute
	}
	for _, in := range sp.Instances {
		h := in.Host
		if declared, ok := c.Host(h); h == "" || ok && declared.SSH == nil {
			h = host.Local
		}
		sp.places = append(sp.places, place{in.Name, h, in.Address})
	}
	problems := judge(sp)
	if !path.IsAbs(sp.Root) {
		sp.Root = path.Join(c.Folder, sp.Root)
	}
	sp.Root = path.Clean(sp.Root)
	sp.releases, sp.link = path.Join(sp.Root, sp.Releases), path.Join(sp.Root, sp.Link)
	if sp.PIDFile != "" {
		sp.pidFile = path.Join(sp.Root, sp.PIDFile)
	}
	if sp.source = sp.Source; sp.source != "" && !path.IsAbs(sp.source) {
		sp.source = path.Join(c.Folder, sp.source)
	}
	return sp, problems
}

// hosts returns the hosts of the places, each once, in order.
func hosts(places []place) []string {
	var out []string
	for _, p := range firsts(places) {
		out = append(out, p.host)
	}
	return out
}

// firsts returns the first place on each host.
func firsts(places []place) []place {
	var out []place
	seen := map[string]bool{}
	for _, p := range places {
		if !seen[p.host] {
			seen[p.host] = true
			out = append(out, p)
		}
	}
	return out
}

// on returns the places that are on the host.
func on(places []place, name string) []place {
	var out []place
	for _, p := range places {
		if p.host == name {
			out = append(out, p)
		}
	}
	return out
}

// forInstance replaces {instance} in a path or a unit's name.
func forInstance(pattern, name string) string { return strings.ReplaceAll(pattern, "{instance}", name) }

// forRevision replaces {revision} in the path of a source.
func forRevision(pattern, revision string) string {
	return strings.ReplaceAll(pattern, "{revision}", revision)
}

// ownLinks reports whether each instance has a link of its own.
func (sp spec) ownLinks() bool { return strings.Contains(sp.Link, "{instance}") }
