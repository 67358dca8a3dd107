package flags

import (
	"context"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

//go:embed scripts/*.sh
var scriptFiles embed.FS

// Exit codes of this driver's scripts, beside those that all share.
const (
	exitNoFile = 85 // there is no plain file
	exitOwner  = 92 // the owner of the file could not be kept
)

// Limits of reading.
const (
	readTimeout = 30 * time.Second
	maxCopies   = 100 // states of the file that are read, the newest
	keepOutput  = 24 << 20
)

// script returns the command that runs the script of that name with the arguments.
func script(name string, args ...string) host.Command { return host.Script(scriptFiles, name, args...) }

// copyOf is a file that was looked at: the flag file, or a state of it that is kept.
type copyOf struct {
	absent  bool
	trouble string // why it could not be read, "" when it could
	text    []byte
	at      time.Time // of its last change
}

// sight is what was seen of a flag file.
type sight struct {
	file     copyOf
	kept     map[string]copyOf // by hash
	hindered []string
	lock     string
}

// look reads the file and what lies beside it.
func (d *driver) look(ctx context.Context, p place) (sight, error) {
	m, err := d.machine(p)
	if err != nil {
		return sight{}, err
	}
	doing := "looking at " + p.file()
	c := script("look", p.folder, p.name, strconv.Itoa(maxFile), strconv.Itoa(maxCopies))
	c.Timeout, c.Keep = readTimeout, keepOutput
	r, err := m.Run(ctx, c)
	if err != nil {
		return sight{}, fmt.Errorf("%s: %w", doing, err)
	}
	parts := strings.Split(r.Stdout, "\x00")
	if r.ExitCode != 0 || r.Truncated || len(parts)%4 != 1 {
		return sight{}, astern.Errorf(astern.Internal, "%s on %s: %s", doing, p.host, orCode(r))
	}
	s := sight{file: copyOf{absent: true}, kept: map[string]copyOf{}}
	for i := 0; i+4 < len(parts); i += 4 {
		switch parts[i] {
		case "file":
			s.file = seen(parts[i+2], parts[i+3])
		case "kept":
			s.kept["sha256:"+strings.TrimSuffix(parts[i+1], ".json")] = seen(parts[i+2], parts[i+3])
		case "hindered":
			s.hindered = append(s.hindered, oneLine(parts[i+1]))
		case "lock":
			s.lock = strings.TrimSpace(parts[i+1])
		}
	}
	if t := s.file.trouble; t != "" {
		s.hindered = append(s.hindered, "the file "+t)
	}
	return s, nil
}

// seen reads what look.sh says of a file.
func seen(what, content string) copyOf {
	kind, at, _ := strings.Cut(what, " ")
	switch kind {
	case "absent":
		return copyOf{absent: true}
	case "link":
		return copyOf{trouble: "is a symbolic link to " + oneLine(content) + ": declare the file that it leads to"}
	case "large":
		return copyOf{trouble: fmt.Sprintf("is larger than %d MB, or too many are", maxFile>>20)}
	case "denied":
		return copyOf{trouble: "can't be read: permission denied"}
	case "file":
		text, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(content), ""))
		if err != nil {
			return copyOf{trouble: "could not be read whole"}
		}
		c := copyOf{text: text}
		if n, err := strconv.ParseInt(at, 10, 64); err == nil {
			c.at = time.Unix(n, 0).UTC()
		}
		return c
	}
	return copyOf{trouble: "is no plain file"}
}

// Observe reads the component's state. The paths:
//
//	revision                   the state that the file is in: the first twelve digits of its hash
//	content                    the file as it is written
//	problem                    why the file is no valid flag file; absent when it is one
//	hindered                   what is in the way of a change, a line each
//	fence, claim               fence in the lock, and who acts there, or did last, as JSON (see astern.Claim)
//	release/REV                content hash of a state of the file: of the present one, and of those that are kept
//	release-time/REV           when the file got that state
//	release-problem/REV        why that state is no valid flag file
//	kept/REV                   "as it was", or what became of the copy
//	evaluated/FLAG             what flagd answers for an empty context, where an evaluation URL is declared
func (d *driver) Observe(ctx context.Context, c astern.Component, scope astern.Scope) (astern.State, error) {
	p, err := resolve(c)
	if err != nil {
		return astern.State{}, err
	}
	asked := func(path string) bool { return len(scope.Paths) == 0 || slices.Contains(scope.Paths, path) }
	state := astern.State{Address: c.Address(), Values: map[string]astern.Value{}}
	at := d.now().UTC()
	known := func(path, text string) { state.Values[path] = astern.Value{Text: text, At: at} }
	s, err := d.look(ctx, p)
	if err != nil {
		for _, path := range append([]string{"revision", "content", "hindered"}, scope.Paths...) {
			state.Values[path] = astern.Value{Unknown: oneLine(err.Error()), At: at}
		}
	} else {
		d.note(&state, s, at, known)
	}
	if p.evaluate != "" {
		d.answers(ctx, p, scope.Paths, known, func(path, why string) {
			state.Values[path] = astern.Value{Unknown: oneLine(why), At: at}
		})
	}
	maps.DeleteFunc(state.Values, func(path string, _ astern.Value) bool { return !asked(path) })
	return state, nil
}

// note writes down what was seen.
func (d *driver) note(state *astern.State, s sight, at time.Time, known func(path, text string)) {
	release := func(hash string, c copyOf) {
		rev := revisionOf(hash)
		path := "release/" + rev
		if other, ok := state.Values[path]; ok && other.Text != hash {
			state.Values[path] = astern.Value{Unknown: "two states begin with the same digits", At: at}
			return
		}
		known(path, hash)
		if !c.at.IsZero() {
			known("release-time/"+rev, c.at.Format(time.RFC3339))
		}
		if _, err := read(c.text); err != nil {
			known("release-problem/"+rev, oneLine(err.Error()))
		}
	}
	for _, hash := range slices.Sorted(maps.Keys(s.kept)) {
		c := s.kept[hash]
		path := "kept/" + revisionOf(hash)
		switch {
		case c.trouble != "":
			known(path, "it "+c.trouble)
		case hashOf(c.text) != hash:
			known(path, "its content was changed")
		default:
			known(path, asItWas)
			release(hash, c)
		}
	}
	switch {
	case s.file.trouble != "":
		state.Values["revision"] = astern.Value{Unknown: "the file " + s.file.trouble, At: at}
		state.Values["content"] = state.Values["revision"]
	case !s.file.absent:
		hash := hashOf(s.file.text)
		known("revision", revisionOf(hash))
		release(hash, s.file)
		known("content", strings.ToValidUTF8(string(s.file.text), "\ufffd"))
		if _, err := read(s.file.text); err != nil {
			known("problem", oneLine(err.Error()))
		}
	}
	if len(s.hindered) > 0 {
		known("hindered", strings.Join(s.hindered, "\n"))
	}
	if s.lock != "" {
		var claim astern.Claim
		if json.Unmarshal([]byte(s.lock), &claim) == nil {
			known("fence", strconv.FormatInt(claim.Fence, 10))
			known("claim", s.lock)
		}
	}
}

// asItWas is what kept/REV says of a good copy.
const asItWas = "as it was"

// orCode returns what a command printed last, or its exit code when it printed nothing.
func orCode(r host.Result) string {
	if text := oneLine(r.LastLines(5)); text != "" && r.Stderr != "" {
		return text
	}
	return fmt.Sprintf("exit code %d", r.ExitCode)
}
