package sitedir

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// Settings is the `with` of a component of kind site.dir.
type Settings struct {
	// Root holds releases and link. A relative one is below the folder of astern.yaml, and for this machine only.
	Root string `json:"root" jsonschema:"minLength=1,description=folder that holds the releases and the link"`
	// Host is where the folder is.
	Host string `json:"host,omitempty" jsonschema:"description=host of the environment that has the folder (default: the machine that astern runs on)"`
	// Releases is the folder of the releases, in the root.
	Releases string `json:"releases,omitempty" jsonschema:"description=folder of the releases in the root (default releases)"`
	// Link is the symbolic link in the root that the web server serves.
	Link string `json:"link,omitempty" jsonschema:"description=symbolic link in the root that the web server serves (default current)"`
	// Entries are the files that a visitor asks for first, below a release.
	Entries []string `json:"entries,omitempty" jsonschema:"description=files below a release that visitors ask for first (default index.html); a release without them is broken"`
	// URL is where the site answers, as seen from this machine.
	URL string `json:"url,omitempty" jsonschema:"description=URL at which the site answers\\, as seen from this machine; its entry points are then proven by content after each switch"`
	// CacheControl is what the site must answer for its entry points.
	CacheControl string `json:"cache_control,omitempty" jsonschema:"description=header Cache-Control that the site must answer for its entry points (default: it is shown and not judged)"`
}

// The folders in the root that are astern's own.
const (
	servedFolder    = "served"
	manifestsFolder = "manifests"
)

// place is a component's settings, complete and valid.
type place struct {
	component    astern.Component
	root         string // absolute
	host         string
	releases     string // in the root
	link         string // in the root
	entries      []string
	url          string // without a slash at its end; "" when none is declared
	cacheControl string
}

// resolve reads a component's settings. It returns an Invalid error that names the first problem.
func resolve(c astern.Component) (place, error) {
	p, problems := examine(c)
	if len(problems) > 0 {
		w := problems[0]
		return place{}, astern.Errorf(astern.Invalid, "reading the settings of %s: with/%s %s", c.Address(), w.Path, w.What).WithHint("%s", w.Hint)
	}
	return p, nil
}

// examine decodes the settings and returns every problem of them.
func examine(c astern.Component) (place, []astern.Problem) {
	var s Settings
	d := json.NewDecoder(bytes.NewReader(c.Settings))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return place{}, []astern.Problem{{What: "can't be read: " + err.Error(), Hint: "astern schema shows what is allowed"}}
	}
	var problems []astern.Problem
	add := func(at, hint, format string, args ...any) {
		problems = append(problems, astern.Problem{Path: at, What: fmt.Sprintf(format, args...), Hint: hint})
	}
	p := place{component: c, host: host.Local, root: s.Root, releases: s.Releases, link: s.Link, entries: s.Entries,
		url: strings.TrimSuffix(s.URL, "/"), cacheControl: strings.TrimSpace(s.CacheControl)}
	if declared, ok := c.Host(s.Host); ok && declared.SSH != nil {
		p.host = s.Host
	} else if !ok && s.Host != "" && s.Host != host.Local {
		add("host", "declare it below hosts of the environment", "%q is no host of %s", s.Host, c.Environment)
	}
	if !path.IsAbs(p.root) {
		if p.host != host.Local {
			add("root", "write the absolute folder on the host", "%q is relative, but it is on another machine", p.root)
		}
		p.root = path.Join(c.Folder, p.root)
	}
	p.root = path.Clean(p.root)
	if s.Root == "" || !path.IsAbs(p.root) || p.root == "/" || strings.ContainsFunc(p.root, unicode.IsControl) {
		add("root", "write a folder such as /srv/site", "%q is no folder that can hold releases", s.Root)
	}
	if p.releases == "" {
		p.releases = "releases"
	}
	if p.link == "" {
		p.link = "current"
	}
	own := []string{servedFolder, manifestsFolder}
	if !goodSegment(p.releases) || slices.Contains(own, p.releases) {
		add("releases", "write the name of a folder in the root, such as releases", "%q is no name of a folder for releases", p.releases)
	}
	if !goodSegment(p.link) || slices.Contains(append(own, p.releases), p.link) {
		add("link", "write the name of a link in the root, such as current", "%q is no name of a link beside the releases", p.link)
	}
	if p.entries == nil {
		p.entries = []string{"index.html"}
	}
	for i, e := range p.entries {
		if !goodPath(e) {
			add(fmt.Sprintf("entries/%d", i), "write a path below a release, such as index.html", "%q is no path below a release", e)
		}
	}
	if u, err := url.Parse(s.URL); s.URL != "" && (err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Scheme != "http" && u.Scheme != "https") {
		add("url", "write a URL such as https://www.example.org", "is no URL of the form https://HOST/PATH")
	}
	if s.CacheControl != "" && s.URL == "" {
		add("cache_control", "declare the url as well", "can't be proven without a url")
	}
	return p, problems
}

// goodSegment reports whether s is one plain segment of a path and no option of a command.
func goodSegment(s string) bool {
	return s != "" && len(s) <= 128 && s[0] != '-' && s[0] != '.' && !strings.ContainsAny(s, "/\\") && !strings.ContainsFunc(s, unicode.IsControl)
}

// goodPath reports whether s is a path of a file below a release, as a manifest may name it.
func goodPath(s string) bool {
	return s != "" && len(s) <= 4096 && s == path.Clean(s) && !path.IsAbs(s) && s != "." && s != ".." && !strings.HasPrefix(s, "../") &&
		!strings.ContainsAny(s, "\n\r\\\x00")
}

// goodRevision reports whether s is a revision's name: it then is one segment of a path and no option of a command.
func goodRevision(s string) bool { return astern.ValidRevision(s) && !strings.Contains(s, ":") }

// validator is the driver's Validator and Occupier.
type validator struct{}

// Validate returns every problem of the component's settings.
func (validator) Validate(c astern.Component) []astern.Problem {
	_, problems := examine(c)
	return problems
}

// Occupies names the root on its host: two environments would take each other's switches for somebody else's.
func (validator) Occupies(c astern.Component) []string {
	p, problems := examine(c)
	if len(problems) > 0 {
		return nil
	}
	where := "this machine"
	if h, ok := c.Host(p.host); ok && h.SSH != nil {
		where = h.SSH.Address
	}
	return []string{p.root + " on " + where}
}

// machine returns the machine that has the root.
func (d *driver) machine(p place) (host.Machine, error) {
	h, ok := p.component.Host(p.host)
	if p.host == host.Local || !ok {
		h = astern.Host{Name: host.Local}
	}
	return d.machines.Machine(h, p.component.Folder)
}

// oneLine makes text fit for a state's value or an error.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(strings.TrimSpace(s), "?"))
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}
