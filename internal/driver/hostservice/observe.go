package hostservice

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// asked is the scope of an observation.
type asked struct {
	all   bool
	full  bool // everything is read again
	paths map[string]bool
}

func newAsked(s astern.Scope) asked {
	a := asked{all: len(s.Paths) == 0, full: s.Full, paths: map[string]bool{}}
	for _, p := range s.Paths {
		a.paths[p] = true
	}
	return a
}

// any reports whether everything or one of the paths is asked for.
func (a asked) any(paths ...string) bool {
	for _, p := range paths {
		if a.paths[p] {
			return true
		}
	}
	return a.all
}

// members returns the places of which something is asked. Before each step its own member is, one of thousands.
func (a asked) members(places []place) []place {
	if a.any("revision") {
		return places
	}
	named := map[string]bool{}
	for path := range a.paths {
		member, _, _ := strings.Cut(path, "/")
		named[member] = true
	}
	var out []place
	for _, p := range places {
		if named[p.name] {
			out = append(out, p)
		}
	}
	return out
}

// below returns the last segments of the paths asked for that lie below prefix.
func (a asked) below(prefix string) []string {
	var out []string
	for p := range a.paths {
		if rest, ok := strings.CutPrefix(p, prefix+"/"); ok {
			out = append(out, rest)
		}
	}
	sort.Strings(out)
	return out
}

// Observe reads the component's state, all hosts side by side. A host that can't be asked makes its members' values
// unknown, with the reason, and hides no other. The paths:
//
//	revision                   what the members run, or would when started; several joined by "+"
//	MEMBER/host, /address      as declared
//	MEMBER/link                the revision that the member's link points to
//	MEMBER/process             identity of the running process
//	MEMBER/runs                the revision that the process was started under: differs from the link before a restart; see runs.go
//	MEMBER/fence               fence in the lock file of the release root
//	MEMBER/claim               who acts there, or did last, as JSON (see astern.Claim)
//	MEMBER/releases            names of the release folders, separated by spaces
//	MEMBER/release/REV         content hash of a release folder
//	MEMBER/release-read/REV    when its files were read, where they were not read again because nothing about them changed
//	MEMBER/release-time/REV    when the folder was last changed
//	MEMBER/ignored/NAME        why something among the releases is none
//	MEMBER/hindered            what is in the way of a swap or a restart of the member: "broken: WHY" or "at risk: WHY", a line each
//	MEMBER/history             the last swaps as the host remembers them, JSON lines (see HistoryLine)
//	source/REV                 content hash of the folder from which REV would be copied
func (d *driver) Observe(ctx context.Context, c astern.Component, scope astern.Scope) (astern.State, error) {
	sp, err := resolve(c)
	if err != nil {
		return astern.State{}, err
	}
	want := newAsked(scope)
	sp.places = want.members(sp.places)
	names := hosts(sp.places)
	parts := make([]map[string]astern.Value, len(names)+1)
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() { parts[i] = d.observeHost(ctx, sp, name, want) })
	}
	group.Go(func() { parts[len(names)] = d.observeSource(ctx, sp, want) })
	group.Wait()
	// The others are added to the part with the most values: a host of thousands of releases is not copied.
	largest := 0
	for i, part := range parts {
		if len(part) > len(parts[largest]) {
			largest = i
		}
	}
	state := astern.State{Address: c.Address(), Values: parts[largest]}
	if state.Values == nil {
		state.Values = map[string]astern.Value{}
	}
	for i, part := range parts {
		if i != largest {
			maps.Copy(state.Values, part)
		}
	}
	if v, ok := overall(sp, state); ok {
		state.Values["revision"] = v
	}
	if !want.all {
		maps.DeleteFunc(state.Values, func(p string, _ astern.Value) bool { return !want.any(p) })
	}
	return state, nil
}

// overall joins what the members run.
func overall(sp spec, s astern.State) (astern.Value, bool) {
	revisions := map[string]bool{}
	v := astern.Value{}
	for _, p := range sp.places {
		runs, ok := s.Runs(p.name)
		if !ok {
			continue
		}
		if v.At.Before(runs.At) {
			v.At = runs.At
		}
		if !runs.Known() {
			v.Unknown = p.name + ": " + runs.Unknown
			continue
		}
		revisions[runs.Text] = true
	}
	text := strings.Join(sortedKeys(revisions), "+")
	switch {
	case v.Unknown != "" && text != "":
		v.Unknown += "; others run " + text
	case v.Unknown == "" && text == "":
		return v, false
	case v.Unknown == "":
		v.Text = text
	}
	return v, true
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// hostView is an observation of one host under way.
type hostView struct {
	d       *driver
	sp      spec
	want    asked
	places  []place
	machine host.Machine
	values  map[string]astern.Value
}

func (v *hostView) known(path, text string) {
	v.values[path] = astern.Value{Text: text, At: v.d.now().UTC()}
}

func (v *hostView) unknown(path, why string) {
	v.values[path] = astern.Value{Unknown: oneLine(why), At: v.d.now().UTC()}
}

func (d *driver) observeHost(ctx context.Context, sp spec, name string, want asked) map[string]astern.Value {
	v := &hostView{d: d, sp: sp, want: want, places: on(sp.places, name), values: map[string]astern.Value{}}
	for _, p := range v.places {
		v.known(p.name+"/host", name)
		if p.address != "" {
			v.known(p.name+"/address", p.address)
		}
	}
	if !v.needed() {
		return v.values
	}
	m, err := d.machine(sp.component, name)
	if err != nil {
		v.unreachable(name, err)
		return v.values
	}
	v.machine = m
	var group sync.WaitGroup
	asked := false
	processes := make([]process, len(v.places))
	for i, p := range v.places {
		if want.any("revision", p.name+"/process", p.name+"/runs", p.name+"/hindered") {
			group.Go(func() { processes[i] = processOf(ctx, m, sp.way(p)) })
		}
		asked = asked || want.any(p.name+"/hindered")
	}
	var inTheWay []hindrance
	var notAsked error
	if asked {
		group.Go(func() { inTheWay, notAsked = readerOf(m).able(ctx, sp.Root, sp.needs(v.places)) })
	}
	s, err := v.look(ctx)
	if err == nil {
		v.room(s)
		v.hashes(ctx, name, s)
	}
	group.Wait()
	if err != nil {
		v.unreachable(name, err)
		return v.values
	}
	for i, p := range v.places {
		v.member(p, s, processes[i])
	}
	if asked {
		v.hindered(inTheWay, notAsked, processes)
	}
	return v.values
}

// room makes room for what will be told of each release, so that the values need not move again and again as they become more.
func (v *hostView) room(s sight) {
	if !v.want.all {
		return
	}
	const ofEach = 3 // its hash, when it was read, and its time
	values := make(map[string]astern.Value, len(v.values)+ofEach*len(s.releases)*len(v.places)+len(s.ignored))
	maps.Copy(values, v.values)
	v.values = values
}

// needed reports whether anything is asked for that only the host can tell.
func (v *hostView) needed() bool {
	if v.want.any("revision") {
		return true
	}
	for _, p := range v.places {
		for path := range v.want.paths {
			if rest, ok := strings.CutPrefix(path, p.name+"/"); ok && rest != "host" && rest != "address" {
				return true
			}
		}
	}
	return false
}

func (v *hostView) look(ctx context.Context) (sight, error) {
	var names []string
	lines := 0
	for _, p := range v.places {
		names = append(names, p.name)
		if v.want.any("revision", p.name+"/history", p.name+"/runs") {
			lines = historyLines
		}
	}
	return readerOf(v.machine).look(ctx, layout{v.sp.Root, v.sp.releases, v.sp.link}, names, lines)
}

// unreachable makes everything that was asked for and that the host would have told unknown.
func (v *hostView) unreachable(name string, err error) {
	why := err.Error()
	if !strings.Contains(why, name) {
		why = name + ": " + why
	}
	for _, p := range v.places {
		for _, path := range []string{"link", "process", "runs", "fence", "claim", "releases", "hindered", "history"} {
			v.unknown(p.name+"/"+path, why)
		}
		for path := range v.want.paths {
			for _, group := range []string{"/release/", "/release-read/", "/release-time/", "/ignored/"} {
				if strings.HasPrefix(path, p.name+group) {
					v.unknown(path, why)
				}
			}
		}
	}
}

// member notes what was seen of one member.
func (v *hostView) member(p place, s sight, proc process) {
	link := s.links[forInstance(v.sp.link, p.name)]
	switch {
	case link.trouble != "":
		v.unknown(p.name+"/link", link.trouble)
	case link.revision != "":
		v.known(p.name+"/link", link.revision)
	}
	switch {
	case proc.unknown:
		v.unknown(p.name+"/process", proc.why)
		v.unknown(p.name+"/runs", proc.why)
	case proc.identity != "":
		v.known(p.name+"/process", proc.identity)
		runs, unknown := s.runs(p.name, proc, link)
		switch {
		case unknown != "":
			v.unknown(p.name+"/runs", unknown)
		case runs != "":
			v.known(p.name+"/runs", runs)
		}
	}
	if s.fence != "" {
		v.known(p.name+"/fence", s.fence)
		v.known(p.name+"/claim", s.claim)
	}
	if s.trouble != "" {
		v.unknown(p.name+"/releases", s.trouble)
	} else {
		v.known(p.name+"/releases", strings.Join(sortedKeys(s.releases), " "))
	}
	for rev, at := range s.releases {
		v.known(p.name+"/release-time/"+rev, at.Format(time.RFC3339))
	}
	for name, why := range s.ignored {
		v.known(p.name+"/ignored/"+oneLine(name), why)
	}
	v.history(p, s)
}

func (v *hostView) history(p place, s sight) {
	var lines []string
	for _, h := range s.history {
		if b, err := json.Marshal(h); err == nil && h.of(p.name) && h.Address == v.sp.component.Address() {
			lines = append(lines, string(b))
		}
	}
	if len(lines) > 0 {
		v.known(p.name+"/history", strings.Join(lines, "\n"))
	}
}

// hashes hashes each release that is asked for once, for all members of the host.
func (v *hostView) hashes(ctx context.Context, name string, s sight) {
	wanted, membersOf := v.wanted(s)
	revisions := make([]string, 0, len(wanted))
	folders := make([]string, 0, len(wanted))
	for _, rev := range wanted {
		if _, there := s.releases[rev]; there && s.trouble == "" {
			revisions, folders = append(revisions, rev), append(folders, v.sp.releases+"/"+rev)
			continue
		}
		for _, member := range membersOf(rev) {
			if s.trouble != "" {
				v.unknown(member+"/release/"+rev, s.trouble)
			}
		}
	}
	key := v.sp.component.Address() + " " + name + " " + s.real
	for i, r := range v.d.read(ctx, readerOf(v.machine), v.want, key, folders, 10*v.sp.timeout) {
		for _, member := range membersOf(revisions[i]) {
			v.content(member+"/release", revisions[i], r)
		}
	}
}

// wanted returns the revisions whose files are asked for, sorted, and for each of them the members for which they are.
func (v *hostView) wanted(s sight) (revisions []string, membersOf func(revision string) []string) {
	if v.want.all { // all that are there, for every member
		members := make([]string, len(v.places))
		for i, p := range v.places {
			members[i] = p.name
		}
		return sortedKeys(s.releases), func(string) []string { return members }
	}
	of := map[string][]string{}
	for _, p := range v.places {
		for _, rev := range v.want.below(p.name + "/release") {
			if goodRevision(rev) {
				of[rev] = append(of[rev], p.name)
			}
		}
	}
	return sortedKeys(of), func(revision string) []string { return of[revision] }
}

// content notes the content hash of a folder, with the time at which its files were read.
func (v *hostView) content(group, rev string, r reading) {
	switch {
	case r.err != nil:
		v.unknown(group+"/"+rev, r.err.Error())
	case r.exists:
		v.values[group+"/"+rev] = astern.Value{Text: r.hash, At: r.at}
		if r.proven {
			v.known(group+"-read/"+rev, r.at.Format(time.RFC3339))
		}
	}
}

// observeSource hashes the folders on this machine from which releases are copied.
func (d *driver) observeSource(ctx context.Context, sp spec, want asked) map[string]astern.Value {
	revisions := want.below("source")
	if sp.source == "" || !want.all && len(revisions) == 0 {
		return nil
	}
	v := &hostView{d: d, sp: sp, want: want, values: map[string]astern.Value{}}
	if want.all {
		revisions = sources(sp.source)
	}
	revisions = slices.DeleteFunc(revisions, func(rev string) bool { return !goodRevision(rev) })
	m, err := d.machine(sp.component, host.Local)
	if err != nil {
		for _, rev := range revisions {
			v.unknown("source/"+rev, err.Error())
		}
		return v.values
	}
	folders := make([]string, len(revisions))
	for i, rev := range revisions {
		folders[i] = forRevision(sp.source, rev)
	}
	for i, r := range d.read(ctx, readerOf(m), want, sp.component.Address()+" source", folders, 10*sp.timeout) {
		v.content("source", revisions[i], r)
	}
	return v.values
}

// sources returns the revisions for which the source's pattern names a folder.
func sources(pattern string) []string {
	before, after, _ := strings.Cut(pattern, "{revision}")
	found, err := filepath.Glob(before + "*" + strings.ReplaceAll(after, "{revision}", "*"))
	if err != nil {
		return nil // a pattern that holds none of Glob's special characters can't be wrong
	}
	var out []string
	for _, f := range found {
		rev := strings.TrimPrefix(f, before)
		if i := strings.IndexByte(rev, '/'); i >= 0 {
			rev = rev[:i]
		}
		if tail, _, _ := strings.Cut(after, "/"); tail != "" {
			rev = strings.TrimSuffix(rev, tail)
		}
		if info, err := os.Stat(f); err == nil && info.IsDir() && goodRevision(rev) && forRevision(pattern, rev) == f {
			out = append(out, rev)
		}
	}
	sort.Strings(out)
	return out
}
