package hostservice

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern/internal/host"
)

// readTimeout bounds one reading on a host.
const readTimeout = 30 * time.Second

// historyLines is how many of the last swaps are read.
const historyLines = 200

// layout is where things are in a release root.
type layout struct {
	root, releases string
	link           string // may hold {instance}
}

// sight is what was seen in one release root.
type sight struct {
	trouble  string               // why the releases could not be listed, "" when they could
	releases map[string]time.Time // release folders with the time of their last change
	ignored  map[string]string    // what lies beside them, with the reason why it is no release
	links    map[string]linkSeen  // by path
	fence    string               // "" when nobody swapped yet
	claim    string               // the line in the lock file, "" when it is none
	history  []HistoryLine
	real     string // the real path of the folder of the releases
}

// linkSeen is what a link points to.
type linkSeen struct {
	revision string    // "" when there is none
	target   string    // as readlink shows it
	trouble  string    // why it is no link to a release
	changed  time.Time // when it was last put in place, zero where that is not known
}

// HistoryLine is one line of ROOT/.astern-history.jsonl: a swap, as the host remembers it. An observation of everything
// shows an instance's lines at MEMBER/history.
type HistoryLine struct {
	At        time.Time `json:"at"`
	Address   string    `json:"address"`
	Instances []string  `json:"instances"`
	Link      string    `json:"link"`
	Revision  string    `json:"revision"`
	Hash      string    `json:"hash,omitempty"`
	From      string    `json:"from,omitempty"`
	Execution string    `json:"execution"`
	Token     string    `json:"token"`
	// Processes are the identities that the instances' processes had at the swap, as far as they were known.
	Processes map[string]string `json:"processes,omitempty"`
}

// of reports whether the line is about the instance.
func (h HistoryLine) of(name string) bool {
	for _, i := range h.Instances {
		if i == name {
			return true
		}
	}
	return false
}

func newSight() sight {
	return sight{releases: map[string]time.Time{}, ignored: map[string]string{}, links: map[string]linkSeen{}}
}

// linkPaths returns the links of the instances, each once.
func linkPaths(l layout, names []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, n := range names {
		if p := forInstance(l.link, n); !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	return out
}

// seen reads the records of look.sh.
func seen(l layout, all []fields) (sight, error) {
	s := newSight()
	for _, f := range all {
		switch f[0] {
		case "noroot", "noreleases":
			// A folder that is not there holds no release; one that can't be looked into may hold any.
			if !strings.Contains(f[1], "No such file") {
				s.trouble = oneLine(f[1])
			}
			if f[0] == "noroot" && s.trouble != "" {
				return s, fmt.Errorf("looking at %s: %s", l.root, s.trouble)
			}
		case "unreadable":
			s.trouble = f[1]
		case "releases":
			s.real = f[1]
		case "release":
			s.addListed(strings.TrimPrefix(f[1], "./"), f[2])
		case "other":
			s.ignored[f[1]] = f[2]
		case "link":
			s.links[f[1]] = readLink(l, s.real, f[1], f[2], f[3])
		case "changed":
			link := s.links[f[1]]
			link.changed = fromEpoch(f[2])
			s.links[f[1]] = link
		case "notlink":
			s.links[f[1]] = linkSeen{trouble: f[1] + " is no symbolic link"}
		case "lock":
			s.addLock(f[1])
		case "history":
			s.history = readHistory(f[1])
		}
	}
	return s, nil
}

// addListed is addRelease of a folder that look.sh lists.
func (s *sight) addListed(name, changed string) {
	sec, err := strconv.ParseInt(changed, 10, 64)
	s.addRelease(name, sec)
	if _, is := s.releases[name]; is && err != nil {
		delete(s.releases, name)
		s.ignored[name] = "its time of change can't be read: " + oneLine(changed)
	}
}

// addRelease notes a folder, which was last changed then, in seconds since 1970.
func (s *sight) addRelease(name string, changed int64) {
	switch {
	case strings.HasPrefix(name, ".partial-"):
		s.ignored[name] = "left by a copy that did not finish"
	case !goodRevision(name):
		s.ignored[name] = "not a name that a revision can have"
	default:
		s.releases[name] = time.Unix(changed, 0).UTC()
	}
}

// addLock reads the fence from the first line of the lock file.
func (s *sight) addLock(line string) {
	var lock struct{ Fence int64 }
	if json.Unmarshal([]byte(line), &lock) == nil {
		s.fence, s.claim = strconv.FormatInt(lock.Fence, 10), strings.TrimSpace(line)
	}
}

// readLink tells the revision that a link points to: one segment below the releases, by what is written in it or by
// where it really leads.
func readLink(l layout, real, at, target, resolved string) linkSeen {
	written := target
	if !path.IsAbs(written) {
		written = path.Join(path.Dir(at), written)
	}
	for _, try := range [][2]string{{l.releases, path.Clean(written)}, {real, resolved}} {
		if dir, rev := path.Split(try[1]); try[0] != "" && path.Clean(dir) == try[0] && goodRevision(rev) {
			return linkSeen{revision: rev, target: target}
		}
	}
	return linkSeen{target: target, trouble: fmt.Sprintf("the link %s points to %s, which is no release below %s",
		at, oneLine(target), l.releases)}
}

// readHistory reads the lines that can be read: a line that was cut off by a power failure hides no other.
func readHistory(text string) []HistoryLine {
	var out []HistoryLine
	for _, line := range strings.Split(text, "\n") {
		var h HistoryLine
		if json.Unmarshal([]byte(line), &h) == nil && goodRevision(h.Revision) {
			out = append(out, h)
		}
	}
	return out
}

// way says how an instance's process is seen.
type way struct {
	status  []string // complete, "" when there is none
	pidFile string
	unit    string
	user    bool
	dir     string
	env     map[string]string
}

// cannotSee is why the process of an instance is unknown without any way to see it.
const cannotSee = "nothing tells the process: declare status or pid_file"

// process is what was seen of an instance's process.
type process struct {
	identity string // "" when none runs
	why      string // why it is stopped, or not known
	starting bool
	unknown  bool
	// What tells which release a running process came from, as far as the system shows it.
	exe, cwd string
	started  time.Time
}

// processOf reads the identity of an instance's process.
func processOf(ctx context.Context, m host.Machine, w way) process {
	if host.IsHere(m) {
		if p, ok := processHere(ctx, m, w); ok {
			return p
		}
	}
	return processThere(ctx, m, w)
}

// processThere asks a script.
func processThere(ctx context.Context, m host.Machine, w way) process {
	var c host.Command
	switch {
	case w.unit != "":
		scope := "system"
		if w.user {
			scope = "user"
		}
		c = script("process", "unit", scope, w.unit)
	case w.status != nil:
		c = script("process", append([]string{"status"}, w.status...)...)
		c.Dir, c.Env = w.dir, w.env
	case w.pidFile != "":
		c = script("process", "pid", w.pidFile)
	default:
		return process{unknown: true, why: cannotSee}
	}
	all, err := ask(ctx, m, "looking for the process", readTimeout, c)
	if err != nil {
		return process{unknown: true, why: oneLine(err.Error())}
	}
	var p process
	for _, f := range all {
		switch f[0] {
		case "exe":
			p.exe = f[1]
		case "cwd":
			p.cwd = f[1]
		case "times":
			now, err := strconv.ParseInt(f[3], 10, 64) // a date that knows no nanoseconds prints a letter
			if err == nil {
				p.started = startedAt(f[1], f[2], time.Unix(0, now))
			}
		case "running":
			p.identity = f[1]
			return p
		case "stopped":
			return process{why: oneLine(f[1])}
		case "starting":
			return process{why: oneLine(f[1]), starting: true}
		case "unknown":
			return process{unknown: true, why: said(f[1])}
		}
	}
	return process{unknown: true, why: "the host did not say"}
}

// ticks is how many of them Linux counts a second in /proc.
const ticks = 100

// startedAt returns when a process was started: after so many ticks since the system came up, which was so many seconds ago.
func startedAt(start, uptime string, now time.Time) time.Time {
	t, err := strconv.ParseInt(start, 10, 64)
	up, upErr := strconv.ParseFloat(uptime, 64)
	if err != nil || upErr != nil || !(up >= 0 && up <= 1e9) || t < 0 || t > 1e11 {
		return time.Time{}
	}
	return now.Round(0).Add(time.Duration(t) * (time.Second / ticks)).Add(-time.Duration(up * float64(time.Second)))
}

// fromEpoch reads seconds since 1970, with or without a fraction; what is no time is none.
func fromEpoch(text string) time.Time {
	whole, part, _ := strings.Cut(strings.TrimSpace(text), ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}
	}
	nano, err := strconv.ParseInt((part + "000000000")[:9], 10, 64)
	if err != nil {
		nano = 0
	}
	return time.Unix(sec, nano)
}
