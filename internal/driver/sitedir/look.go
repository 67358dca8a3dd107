package sitedir

import (
	"context"
	"embed"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

//go:embed scripts/*.sh
var scriptFiles embed.FS

const exitNotALink = 85 // something else is where the link should be

// Limits of reading.
const (
	lookTimeout = 30 * time.Second
	readTimeout = 10 * time.Minute // of all files of one folder
	keepLook    = 8 << 20
	keepRead    = 96 << 20 // some 200,000 files
)

// script returns the command that runs the script of that name with the arguments.
func script(name string, args ...string) host.Command { return host.Script(scriptFiles, name, args...) }

// sight is what was seen of a site's root, without reading its files.
type sight struct {
	missing   string // why there is no root; "" when there is one
	real      string // where the root really is
	linked    bool
	linkText  string // as written
	linkTo    string // where it leads, below the root; "" when nowhere there
	releases  map[string]time.Time
	views     []string
	unlisted  string // why the releases can't be listed, "" when they can
	hindered  []string
	closed    string // why no manifest can be written, "" when one can
	held      string // that somebody has the lock, "" when nobody has
	lock      string
	roomKiB   int64 // on the disk; negative where it can't be told
	roomFiles int64 // how many more files it can hold; negative where it can't be told
}

// records splits a script's output into records of four fields.
func records(r host.Result) ([][4]string, error) {
	parts := strings.Split(r.Stdout, "\x00")
	if r.Truncated || len(parts)%4 != 1 {
		return nil, fmt.Errorf("the answer was cut off")
	}
	out := make([][4]string, 0, len(parts)/4)
	for i := 0; i+4 <= len(parts); i += 4 {
		out = append(out, [4]string(parts[i:i+4]))
	}
	return out, nil
}

// look reads what is in the root.
func (d *driver) look(ctx context.Context, p place) (sight, error) {
	doing := "looking at " + p.root
	m, err := d.machine(p)
	if err != nil {
		return sight{}, err
	}
	c := script("look", p.root, p.releases, p.link)
	c.Timeout, c.Keep = lookTimeout, keepLook
	r, err := m.Run(ctx, c)
	if err != nil {
		return sight{}, fmt.Errorf("%s: %w", doing, err)
	}
	all, err := records(r)
	if r.ExitCode != 0 || err != nil {
		return sight{}, astern.Errorf(astern.Internal, "%s on %s: %s", doing, p.host, orCode(r))
	}
	s := sight{releases: map[string]time.Time{}, roomKiB: -1, roomFiles: -1}
	for _, f := range all {
		switch f[0] {
		case "noroot":
			s.missing = oneLine(f[1])
		case "root":
			s.real = f[1]
		case "link":
			s.linked, s.linkText = true, f[1]
			s.linkTo, _ = strings.CutPrefix(f[2], s.real+"/")
			if s.linkTo == f[2] {
				s.linkTo = ""
			}
		case "lock":
			s.lock = strings.TrimSpace(f[1])
		case "hindered":
			s.hindered = append(s.hindered, oneLine(f[1]))
		case "unlisted":
			s.unlisted = oneLine(f[1])
		case "closed":
			s.closed = oneLine(f[1])
		case "held":
			s.held = oneLine(f[1])
		case "release":
			n, _ := strconv.ParseInt(f[2], 10, 64) // without a time it is the oldest
			if goodRevision(f[1]) {
				s.releases[f[1]] = time.Unix(n, 0).UTC()
			}
		case "view":
			s.views = append(s.views, f[1])
		case "room":
			if n, err := strconv.ParseInt(strings.TrimSpace(f[1]), 10, 64); err == nil {
				s.roomKiB = n
			}
			var free, all int64
			if _, err := fmt.Sscan(f[2], &free, &all); err == nil && all > 0 { // some file systems do not count them
				s.roomFiles = free
			}
		}
	}
	return s, nil
}

// served returns the revision whose files the link leads to; "" when that can't be told.
func (s sight) served(p place) string {
	folder, name := path.Split(s.linkTo)
	switch strings.TrimSuffix(folder, "/") {
	case p.releases:
		if goodRevision(name) {
			return name
		}
	case servedFolder:
		if revision, ok := revisionOfView(name); ok {
			return revision
		}
	}
	return ""
}

// viewOf names what will be served: a release, and which folder it keeps other files of.
func viewOf(revision, from string) string { return revision + "." + digits(revision+"\n"+from) }

func revisionOfView(name string) (string, bool) {
	i := strings.LastIndexByte(name, '.')
	if i < 1 || len(name)-i != 13 || !digestShape.MatchString(name[i+1:]) || !goodRevision(name[:i]) {
		return "", false
	}
	return name[:i], true
}

// folder is what was read of a folder, and of the manifest beside it.
type folder struct {
	there    bool
	files    []file // sorted by path
	trouble  string // why it can't be a release, "" when it can
	noted    bool   // there is a manifest
	manifest manifest
	mistrust string // what is wrong with the manifest, "" when nothing is
}

// read reads every file of a folder below the root; revision is that of the manifest beside it, "" when none is wanted.
func (d *driver) read(ctx context.Context, p place, below, revision string) (folder, error) {
	at := p.root + "/" + below
	doing := "reading the files of " + at
	m, err := d.machine(p)
	if err != nil {
		return folder{}, err
	}
	beside := ""
	if revision != "" {
		beside = p.root + "/" + manifestsFolder + "/" + revision + ".json"
	}
	c := script("read", at, beside)
	c.Timeout, c.Keep = readTimeout, keepRead
	r, err := m.Run(ctx, c)
	if err != nil {
		return folder{}, fmt.Errorf("%s: %w", doing, err)
	}
	all, err := records(r)
	if err != nil || r.ExitCode != 0 && r.ExitCode != host.ExitMissing {
		return folder{}, astern.Errorf(astern.Internal, "%s on %s: %s", doing, p.host, orCode(r))
	}
	out := folder{there: r.ExitCode == 0}
	if out.there && strings.TrimSpace(r.Stderr) != "" {
		out.trouble = "not all of it can be read: " + oneLine(r.LastLines(1))
	}
	sizes, digests := "", ""
	for _, f := range all {
		switch f[0] {
		case "manifest":
			out.noted = true
			if out.manifest, err = decode([]byte(f[1]), revision); err != nil {
				out.mistrust = oneLine(err.Error())
			}
		case "manifest-odd":
			out.noted, out.mistrust = true, oneLine(f[1])+" is no plain file that can be read"
		case "odd":
			out.trouble = "the name of " + oneLine(f[1]) + " holds a line break or a backslash"
		case "special":
			out.trouble = oneLine(f[1]) + " is neither a file nor a folder"
		case "sizes":
			sizes = f[1]
		case "digests":
			digests = f[1]
		}
	}
	if out.trouble == "" {
		out.files, out.trouble = filesOf(sizes, digests)
	}
	return out, nil
}

// filesOf joins what wc and sha256sum say of the files.
func filesOf(sizes, digests string) (files []file, trouble string) {
	size := map[string]int64{}
	for line := range strings.Lines(sizes) {
		n, name, _ := strings.Cut(strings.TrimLeft(strings.TrimSuffix(line, "\n"), " \t"), " ")
		if name, ok := strings.CutPrefix(name, "./"); ok { // what is left is the total
			size[name], _ = strconv.ParseInt(n, 10, 64) // it is the output of wc
		}
	}
	files = make([]file, 0, len(size))
	for line := range strings.Lines(digests) {
		digest, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ./")
		n, known := size[name]
		switch {
		case !ok || !goodDigest(digest):
			return nil, "its digests could not be taken"
		case !utf8.ValidString(name):
			return nil, "the name of " + oneLine(name) + " is no UTF-8"
		case !known:
			return nil, oneLine(name) + " appeared while it was read"
		}
		files = append(files, file{name, n, digest})
	}
	if len(files) != len(size) {
		return nil, "it changed while it was read"
	}
	sortFiles(files)
	return files, ""
}

// hash returns the content hash of a folder without trouble.
func (f folder) hash() string { return hashOf(f.files) }

// orCode returns what a command printed last, or its exit code when it printed nothing.
func orCode(r host.Result) string {
	if text := oneLine(r.LastLines(5)); text != "" && r.Stderr != "" {
		return text
	}
	return fmt.Sprintf("exit code %d", r.ExitCode)
}

// missingEntries returns the entry points that are not among the files.
func missingEntries(p place, files []file) []string {
	return slices.DeleteFunc(slices.Clone(p.entries), func(name string) bool { _, ok := find(files, name); return ok })
}
